"""Sums of integers per bin: one pass over the rows for all columns and both vectors."""

from typing import Any

import numpy as np
import numpy.typing as npt

from securegbm.compiled import kernel

Ints = npt.NDArray[np.int64]


@kernel
def _of_bins(bins: Any, starts: Any, rows: Any, gradient: Any, hessian: Any, out: Any) -> None:
    for row in rows:
        g, h = gradient[row], hessian[row]
        for column in range(bins.shape[1]):
            if starts[column] >= 0:
                at = starts[column] + np.int64(bins[row, column])
                out[at, 0] += g
                out[at, 1] += h


@kernel
def _of_entries(entries: Any, gradient: Any, hessian: Any, out: Any) -> None:
    for row in range(len(entries)):
        g, h = gradient[row], hessian[row]
        for column in range(entries.shape[1]):
            entry = entries[row, column]
            if entry >= 0:
                out[entry, 0] += g
                out[entry, 1] += h


def sums_of_bins(bins: npt.NDArray[np.uint16], starts: Ints, size: int, rows: Ints, vectors: tuple[Ints, Ints]) -> Ints:
    """`(2, size)` exact sums over some rows.

    Args:
        bins: `(all rows, columns)` bin numbers.
        starts: `(columns,)` the entry of each column's first bin, -1 for columns that are left out.
        size: Entries.
        rows: Which rows.
        vectors: Two vectors over all rows.
    """
    out = np.zeros((size, 2), dtype=np.int64)
    _of_bins(bins, starts, rows, *vectors, out)
    return np.ascontiguousarray(out.T)


def sums_of_entries(entries: npt.NDArray[np.int32], size: int, vectors: tuple[Ints, Ints]) -> Ints:
    """`(2, size)` exact sums; entries `(rows, columns)`, -1 for none, and two vectors over these rows."""
    out = np.zeros((size, 2), dtype=np.int64)
    _of_entries(entries, *vectors, out)
    return np.ascontiguousarray(out.T)
