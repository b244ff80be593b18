"""Bin edges exactly as LightGBM makes them, found by each party alone for its own columns (its `bin.cpp`).

A column's edges depend on that column, the number of rows and the binning settings only, so edges made by each party
for itself equal the edges of a joint data set (`tables.edges` reads them from LightGBM).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from securegbm.errors import SecureGBMError
from securegbm.tables.edges import upper_edges

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
        monotone: 1 or -1 where predictions must rise or fall with the column, 0 elsewhere.
        categorical: The bins are categories without an order; bin 0 holds missing, rare and unseen ones.
    """

    num_bin: int
    missing: Missing
    default_bin: int
    most_freq_bin: int
    monotone: int = 0
    categorical: bool = False

    def __post_init__(self) -> None:
        fits = self.monotone in (-1, 0, 1) and not (self.monotone and self.categorical)
        fits = fits and 1 <= self.num_bin <= 1024 and 0 <= self.default_bin < self.num_bin
        if not fits or not 0 <= self.most_freq_bin < self.num_bin or self.missing not in ("none", "nan", "zero"):
            raise SecureGBMError(f"the other party describes an impossible column ({self}); its software is not ours")

    @property
    def entries(self) -> npt.NDArray[np.int64]:
        """The bins whose sums are asked for: all, so that a column's sums can be held against the node's.

        LightGBM derives the most frequent bin's from the leaf's totals instead; so does the search.
        """
        return np.arange(self.num_bin if self.num_bin > 1 else 0)

    def goes_left(
        self, bins: Bins, threshold: int, default_left: bool, categories: Sequence[int] = ()
    ) -> npt.NDArray[np.bool_]:
        """Which of `bins` a split at `threshold` sends to the left child; missing ones follow `default_left`.

        A categorical split sends the bins of `categories` left.
        """
        if self.categorical:
            return np.isin(bins, np.array(categories, dtype=bins.dtype))
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
        upper: `(bins without the NaN one,)` upper edges, ascending, the last one infinite; for a categorical column the
            category of every bin, -1 for the first.
        layout: What may be said about the column.
    """

    upper: Floats
    layout: BinLayout

    def transform(self, column: Floats) -> Bins:
        """Bin numbers of `column` (`(rows,)`): the first bin whose upper edge is not below the value, or a category's."""
        missing = np.isnan(column)
        if self.layout.categorical:
            order = np.argsort(self.upper)
            whole = np.trunc(np.where(missing, -1.0, column))
            place = np.minimum(np.searchsorted(self.upper[order], whole), len(order) - 1)
            return np.where(self.upper[order][place] == whole, order[place], 0).astype(np.uint16)
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

    def goes_left(
        self, column: Floats, threshold: float, default_left: bool, categories: Sequence[int] = ()
    ) -> npt.NDArray[np.bool_]:
        """LightGBM's decision on raw values, as its predictor takes it."""
        if self.layout.categorical:
            return np.isin(self.transform(column), np.array(categories, dtype=np.uint16))
        missing = np.isnan(column)
        left = np.where(missing, 0.0, column) <= threshold
        if self.layout.missing == "nan":
            left[missing] = default_left
        elif self.layout.missing == "zero":
            left[missing | (np.abs(column) <= ZERO_THRESHOLD)] = default_left
        return left


def find_bins(column: npt.ArrayLike, config: BinConfig, name: str = "column") -> ColumnBins:
    """The bins LightGBM makes of one column; see `find_all_bins`.

    Args:
        column: `(rows,)` numbers, NaN allowed, infinities not.
        config: How to bin.
        name: What to call the column in an error.
    """
    return find_all_bins(_numbers(column, name)[:, None], config, [name])[0]


def find_all_bins(values: Floats, config: BinConfig, names: list[str], categorical: Sequence[int] = ()) -> list[ColumnBins]:
    """The bins LightGBM makes of every column.

    Args:
        values: `(rows, columns)` numbers, NaN allowed, infinities not.
        config: How to bin.
        names: What to call the columns in an error.
        categorical: Columns of categories.

    Raises:
        SecureGBMError: If a column is not numeric or holds infinities, or a categorical one holds no categories.
    """
    if categorical and config.zero_as_missing:
        raise SecureGBMError("zero_as_missing does not go with categorical columns; mark missing values as such")
    for at in categorical:
        held = values[~np.isnan(values[:, at]), at]
        if (held < 0).any() or (held != np.trunc(held)).any() or (held >= 1 << 31).any():
            raise SecureGBMError(f"{names[at]} is declared categorical; its values must be whole numbers from 0 to 2^31 - 1")
    for column, name in zip(values.T, names, strict=True):
        if np.isinf(column).any():
            raise SecureGBMError(f"{name} holds infinite values; replace them by NaN or a finite bound")
    if config.zero_as_missing:
        values = np.nan_to_num(values, nan=0.0)
    varied = ~((values == values[:1]) | (np.isnan(values) & np.isnan(values[:1]))).all(axis=0)
    one = ColumnBins(np.array([np.inf]), BinLayout(1, "none", 0, 0))
    found = [one for _ in names]
    columns = np.flatnonzero(varied)
    if not len(columns):
        return found
    kinds = tuple(np.flatnonzero(np.isin(columns, list(categorical))).tolist())
    shown = values if varied.all() else values[:, varied]
    edges = upper_edges(shown, config.max_bin, config.min_data_in_bin, kinds)
    for column, upper in zip(columns.tolist(), edges, strict=True):
        describe = _describe_categories if column in categorical else _describe
        found[column] = describe(values[:, column], upper, config) or one
    return found


def _describe_categories(values: Floats, categories: Floats, config: BinConfig) -> ColumnBins | None:
    """A column with these categories, the first of them standing for missing, rare and unseen ones."""
    kind: Missing = "nan" if np.isnan(categories[0]) else "none"
    found = ColumnBins(
        np.concatenate([[-1.0], categories[1:]]), BinLayout(max(len(categories), 1), kind, 0, 0, categorical=True)
    )
    counts = np.bincount(found.transform(values), minlength=len(categories))
    if np.count_nonzero(counts) == 1:
        return None
    default_bin = int(found.transform(np.zeros(1))[0])
    most_freq = int(counts.argmax())
    if counts[most_freq] / len(values) < SPARSE_RATE:
        most_freq = default_bin
    return replace(found, layout=replace(found.layout, default_bin=default_bin, most_freq_bin=most_freq))


def _describe(values: Floats, upper: Floats, config: BinConfig) -> ColumnBins | None:
    """A column with these edges; none when all values fall into one bin."""
    num_bin, missing = len(upper), np.isnan(values)
    kind: Missing = "zero" if config.zero_as_missing and num_bin > 2 else "nan" if np.isnan(upper[-1]) else "none"
    upper = upper[~np.isnan(upper)].copy()
    bins = np.searchsorted(upper, np.where(missing, 0.0, values), side="left")
    if kind == "nan":
        bins[missing] = num_bin - 1
    counts = np.bincount(bins, minlength=num_bin)
    if np.count_nonzero(counts) == 1:
        return None
    default_bin = int(np.searchsorted(upper, 0.0, side="left"))
    most_freq = int(counts.argmax())
    if counts[most_freq] / len(values) < SPARSE_RATE:
        most_freq = default_bin
    return ColumnBins(upper, BinLayout(num_bin, kind, default_bin, most_freq))


def _numbers(column: npt.ArrayLike, name: str) -> Floats:
    try:
        return np.ascontiguousarray(column, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise SecureGBMError(f"{name} is not numeric; encode categories as numbers before training") from error


class EntryIndex:
    """The flat list of (feature, bin) pairs a party's histograms are made of.

    Args:
        layouts: The party's columns.

    Attributes:
        size: Pairs in all.
        feature: `(size,)` feature of each pair.
        bin: `(size,)` bin of each pair.
        starts: `(features,)` pair of each feature's first bin; -1 for columns of one bin.
    """

    def __init__(self, layouts: list[BinLayout]) -> None:
        entries = [layout.entries for layout in layouts]
        self.feature = np.repeat(np.arange(len(layouts)), [len(bins) for bins in entries])
        self.bin = np.concatenate([*entries, np.empty(0, dtype=np.int64)]).astype(np.int64)
        self.size = len(self.bin)
        counts = np.array([len(bins) for bins in entries], dtype=np.int64)
        self.starts = np.where(counts > 0, np.cumsum(counts) - counts, -1)

    def __call__(self, bins: Bins) -> npt.NDArray[np.int32]:
        """`(rows, features)` bin numbers to pair numbers; -1 in columns of one bin."""
        found = np.add(bins, self.starts.astype(np.int32), dtype=np.int32, casting="unsafe")
        found[:, self.starts < 0] = -1
        return found
