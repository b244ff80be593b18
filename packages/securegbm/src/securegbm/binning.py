"""Bin edges exactly as LightGBM makes them, found by each party alone for its own columns (its `bin.cpp`).

A column's edges depend on that column, the number of rows and the binning settings only, so edges made by each party
for itself equal the edges of a joint data set. LightGBM does not expose the edges; it does write them as thresholds of
trees. We let it grow, for each column, the one tree that separates every bin, and read the thresholds.
"""

import re
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from securegbm.errors import SecureGBMError

ZERO_THRESHOLD = float(np.float32(1e-35))
"""Values with |x| at most this are LightGBM's zero."""
SPARSE_RATE = 0.7
"""LightGBM keeps the fullest bin as `most_freq_bin` only from this share of the rows on."""

Missing = Literal["none", "nan", "zero"]
Floats = npt.NDArray[np.float64]
Bins = npt.NDArray[np.uint16]


@dataclass(frozen=True)
class BinConfig:
    """How columns are binned.

    Args:
        max_bin: Most bins a column may have (2 to 1023).
        min_data_in_bin: Fewest rows a bin may hold when edges are chosen.
        zero_as_missing: Treat zeros (and NaN) as missing instead of NaN alone.
    """

    max_bin: int = 255
    min_data_in_bin: int = 3
    zero_as_missing: bool = False

    def __post_init__(self) -> None:
        if not 2 <= self.max_bin <= 1023:
            raise SecureGBMError(f"max_bin is {self.max_bin}; give a number from 2 to 1023")
        if self.min_data_in_bin < 1:
            raise SecureGBMError(f"min_data_in_bin is {self.min_data_in_bin}; give at least 1")


@dataclass(frozen=True)
class BinLayout:
    """What is said of a column to the other party: how many bins, never where they are.

    Args:
        num_bin: Bins, the one for NaN included (it is the last one).
        missing: What counts as missing.
        default_bin: The bin of the value 0.
        most_freq_bin: The bin LightGBM does not store but derives from the leaf's sums.
    """

    num_bin: int
    missing: Missing
    default_bin: int
    most_freq_bin: int

    def __post_init__(self) -> None:
        fits = 1 <= self.num_bin <= 1024 and 0 <= self.default_bin < self.num_bin
        if not fits or not 0 <= self.most_freq_bin < self.num_bin or self.missing not in ("none", "nan", "zero"):
            raise SecureGBMError(f"the other party describes an impossible column ({self}); its software is not ours")

    @property
    def entries(self) -> npt.NDArray[np.int64]:
        """The bins whose sums are ever asked for: LightGBM derives the most frequent one from the leaf's totals."""
        return np.delete(np.arange(self.num_bin), self.most_freq_bin)

    def goes_left(self, bins: Bins, threshold: int, default_left: bool) -> npt.NDArray[np.bool_]:
        """Which of `bins` a split at `threshold` sends to the left child; missing ones follow `default_left`."""
        left = bins <= threshold
        if self.missing == "nan":
            left[bins == self.num_bin - 1] = default_left
        elif self.missing == "zero":
            left[bins == self.default_bin] = default_left
        return left


@dataclass(frozen=True)
class ColumnBins:
    """One column's edges; they never leave their owner.

    Args:
        upper: `(bins without the NaN one,)` upper edges, ascending, the last one infinite.
        layout: What may be said about the column.
    """

    upper: Floats
    layout: BinLayout

    def transform(self, column: Floats) -> Bins:
        """Bin numbers of `column` (`(rows,)`): the first bin whose upper edge is not below the value."""
        missing = np.isnan(column)
        bins = np.searchsorted(self.upper, np.where(missing, 0.0, column), side="left").astype(np.uint16)
        if self.layout.missing == "nan":
            bins[missing] = self.layout.num_bin - 1
        return bins

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; edges keep every bit, the last one too."""
        return {"upper": [repr(edge) for edge in self.upper.tolist()], "layout": vars(self.layout)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "ColumnBins":
        """The inverse of `to_dict`."""
        return cls(np.array([float(edge) for edge in data["upper"]]), BinLayout(**data["layout"]))

    def goes_left(self, column: Floats, threshold: float, default_left: bool) -> npt.NDArray[np.bool_]:
        """LightGBM's decision on raw values, as its predictor takes it."""
        missing = np.isnan(column)
        left = np.where(missing, 0.0, column) <= threshold
        if self.layout.missing == "nan":
            left[missing] = default_left
        elif self.layout.missing == "zero":
            left[missing | (np.abs(column) <= ZERO_THRESHOLD)] = default_left
        return left


def _tree_thresholds(column: Floats, config: BinConfig) -> tuple[Floats, int]:
    import lightgbm

    settings = {
        "max_bin": config.max_bin,
        "min_data_in_bin": config.min_data_in_bin,
        "feature_pre_filter": False,
        "enable_bundle": False,
        "verbose": -1,
        "num_threads": 1,
        "deterministic": True,
        "force_col_wise": True,
    }
    data = lightgbm.Dataset(column[:, None], label=np.zeros(len(column)), params=settings, free_raw_data=False)
    data.construct()
    num_bin = int(data.feature_num_bin(0))
    if num_bin <= 1:
        return np.array([]), 1
    rank = np.unique(column, return_inverse=True)[1].astype(np.float32)
    gradient = rank.mean(dtype=np.float64).astype(np.float32) - rank
    tree = settings | {
        "objective": lambda _scores, _data: (gradient, np.ones_like(gradient)),
        "num_leaves": max(num_bin, 2),
        "min_data_in_leaf": 1,
        "min_sum_hessian_in_leaf": 0.0,
    }
    text = lightgbm.train(tree, data, num_boost_round=1).model_to_string()
    found = re.search(r"^threshold=(.*)$", text, re.MULTILINE)
    values = np.unique(np.array(found.group(1).split(), dtype=np.float64)) if found else np.array([])
    return values[values < 1e300], num_bin


def find_bins(column: npt.ArrayLike, config: BinConfig, name: str = "column") -> ColumnBins:
    """The bins LightGBM makes of one column.

    Args:
        column: `(rows,)` numbers, NaN allowed, infinities not.
        config: How to bin.
        name: What to call the column in an error.

    Raises:
        SecureGBMError: If the column is not numeric or holds infinities.
    """
    try:
        values = np.ascontiguousarray(column, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise SecureGBMError(f"{name} is not numeric; encode categories as numbers before training") from error
    if np.isinf(values).any():
        raise SecureGBMError(f"{name} holds infinite values; replace them by NaN or a finite bound")
    missing: Missing = "nan" if np.isnan(values).any() else "none"
    if config.zero_as_missing:
        missing, values = "zero", np.nan_to_num(values, nan=0.0)
    thresholds, num_bin = _tree_thresholds(values, config)
    if num_bin <= 1:
        return ColumnBins(np.array([np.inf]), BinLayout(1, "none", 0, 0))
    ordinary = num_bin - (missing == "nan")
    edges = set(thresholds.tolist())
    if len(edges) < ordinary - 1:
        edges |= {edge for edge in (-ZERO_THRESHOLD, ZERO_THRESHOLD) if (np.sign(values) == np.sign(edge)).any()}
    if len(edges) != ordinary - 1:
        raise SecureGBMError(
            f"{name}: LightGBM has {ordinary} bins, but {len(edges) + 1} were found; report the column's distribution"
        )
    upper = np.append(np.sort(np.array(list(edges), dtype=np.float64)), np.inf)
    if missing == "zero" and num_bin == 2:
        missing = "none"
    bins = np.searchsorted(upper, np.nan_to_num(values, nan=0.0), side="left")
    bins[np.isnan(values)] = num_bin - 1
    counts = np.bincount(bins, minlength=num_bin)
    if np.count_nonzero(counts) == 1:
        return ColumnBins(np.array([np.inf]), BinLayout(1, "none", 0, 0))
    default_bin = int(np.searchsorted(upper, 0.0, side="left"))
    most_freq = int(counts.argmax())
    if counts[most_freq] / len(values) < SPARSE_RATE:
        most_freq = default_bin
    return ColumnBins(upper, BinLayout(num_bin, missing, default_bin, most_freq))


class EntryIndex:
    """The flat list of (feature, bin) pairs a party's histograms are made of.

    Args:
        layouts: The party's columns.

    Attributes:
        size: Pairs in all.
        feature: `(size,)` feature of each pair.
        bin: `(size,)` bin of each pair.
    """

    def __init__(self, layouts: list[BinLayout]) -> None:
        entries = [layout.entries for layout in layouts]
        self.feature = np.repeat(np.arange(len(layouts)), [len(bins) for bins in entries])
        self.bin = np.concatenate([*entries, np.empty(0, dtype=np.int64)]).astype(np.int64)
        self.size = len(self.bin)
        self._of = np.full((len(layouts), max([layout.num_bin for layout in layouts], default=1)), -1, dtype=np.int64)
        self._of[self.feature, self.bin] = np.arange(self.size)

    def __call__(self, bins: Bins) -> npt.NDArray[np.int32]:
        """`(rows, features)` bin numbers to pair numbers; -1 where the bin is the most frequent one."""
        return self._of[np.arange(bins.shape[1]), bins].astype(np.int32)
