"""LightGBM's own bin edges, read from a `Dataset` without training anything.

Python shows bins but no edges. A data set that is saved does hold them: after the token a chain of (size, block), two
blocks of headers, then one block per column that has more than one bin. A column's block holds, in words of 8 bytes: how
it is stored, 1, the number of bins, what is missing, ..., then smallest and largest value, two bins of note, and the upper
edges. Only one row is saved (`subset`), so the file holds edges and nearly nothing else. Whatever does not fit is refused.
"""

import struct
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from securegbm.errors import SecureGBMError

Floats = npt.NDArray[np.float64]
_TOKEN = b"______LightGBM_Binary_File_Token______\n\0"
_NAN = 2
_BINS, _EDGES = 8 * 4, 8 * 13
"""Where a block, after its size, holds the number of bins and the edges."""


def upper_edges(values: Floats, max_bin: int, min_data_in_bin: int, categorical: tuple[int, ...] = ()) -> list[Floats]:
    """The upper edges of every column's bins, or the category of every bin of a categorical column.

    Args:
        values: `(rows, columns)`, finite or NaN, no column of one value only.
        max_bin: Most bins of a column.
        min_data_in_bin: Fewest rows of a bin.
        categorical: Columns of categories, which are whole numbers of at least 0.

    Returns:
        Per column its edges, ascending, the last one infinite; NaN follows where NaN has a bin of its own. A column
        that LightGBM puts into one bin has the infinite edge alone. A categorical column has the category of each bin;
        the first bin, of missing and rare ones, has -1, or NaN where LightGBM calls the column one with missing values.

    Raises:
        SecureGBMError: If the installed LightGBM saves data sets in another form.
    """
    import lightgbm

    settings: dict[str, object] = {
        "max_bin": max_bin,
        "min_data_in_bin": min_data_in_bin,
        "feature_pre_filter": False,
        "enable_bundle": False,
        "verbose": -1,
        "num_threads": 1,
        "deterministic": True,
        "force_col_wise": True,
    }
    kinds = list(categorical)
    data = lightgbm.Dataset(
        values, label=np.zeros(len(values)), params=settings, free_raw_data=False, categorical_feature=kinds
    )
    data.construct()
    num_bin = [int(data.feature_num_bin(column)) for column in range(values.shape[1])]
    used = [column for column, count in enumerate(num_bin) if count > 1]
    with tempfile.TemporaryDirectory(prefix="securegbm") as folder:
        path = Path(folder) / "edges"
        data.subset([0]).construct().save_binary(path)
        saved = path.read_bytes()
    found = [np.array([np.inf]) for _ in num_bin]
    blocks = _blocks(saved)[2:]
    if len(blocks) != len(used):
        raise _other_form()
    for column, block in zip(used, blocks, strict=True):
        count = num_bin[column]
        width = 4 if column in categorical else 8
        if len(block) < _EDGES + width * count or struct.unpack_from("<qq", block, _BINS - 8) != (1, count):
            raise _other_form()
        (missing,) = struct.unpack_from("<q", block, _BINS + 8)
        if column in categorical:
            held = np.frombuffer(block, dtype="<i4", count=count, offset=_EDGES).astype(np.float64)
            if held[0] != -1 or len(set(held.tolist())) != count or (held[1:] < 0).any():
                raise _other_form()
            found[column] = np.concatenate([[np.nan if missing == _NAN else -1.0], held[1:]])
            continue
        edges = np.frombuffer(block, dtype="<f8", count=count, offset=_EDGES).copy()
        if missing == _NAN:
            edges[-1] = np.nan  # what is saved there is whatever followed in memory
        ordinary = edges[:-1] if missing == _NAN else edges
        if ordinary[-1] != np.inf or not all(one < other for one, other in pairwise(ordinary.tolist())):
            raise _other_form()
        found[column] = edges
    return found


def _blocks(saved: bytes) -> list[bytes]:
    if not saved.startswith(_TOKEN):
        raise _other_form()
    at, found = len(_TOKEN), []
    while at + 8 <= len(saved):
        (size,) = struct.unpack_from("<q", saved, at)
        if not 0 < size <= len(saved) - at - 8:
            raise _other_form()
        found.append(saved[at + 8 : at + 8 + size])
        at += 8 + size
    return found


def _other_form() -> SecureGBMError:
    return SecureGBMError("the installed lightgbm saves data sets in an unknown form; install lightgbm 4.6 or 4.7")
