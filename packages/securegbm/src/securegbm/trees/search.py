"""LightGBM's threshold search on histograms (`feature_histogram.hpp`), for all features of both parties at once.

The label party runs it on sums it computed itself and on sums it decrypted. The order of the additions and LightGBM's
kEpsilon are kept (`trees.scan`), because differences of 1e-16 decide ties; without them one split in some hundreds differs.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from securegbm.tables.binning import BinLayout
from securegbm.trees.categories import Leaf, best_set
from securegbm.trees.rules import EPSILON, UNBOUNDED, Bounds, Floats, SplitRules

MONOTONE_GAIN = 1.0 + EPSILON
"""LightGBM multiplies the gain of constrained columns by this (its penalty when none is asked for)."""

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Split:
    """The best split of a leaf; H of both children is reported without kEpsilon, values are computed with it.

    `categories` are the bins that go left of a categorical column; `monotone` is the column's direction, which bounds the
    children's values.
    """

    gain: float
    feature: int
    threshold: int
    default_left: bool
    left_gradient: float
    left_hessian: float
    left_value: float
    right_gradient: float
    right_hessian: float
    right_value: float
    categories: tuple[int, ...] = ()
    monotone: int = 0


class SplitSearch:
    """The search over a fixed list of features.

    Args:
        layouts: One per feature, the label party's first, then the feature party's.
        rules: Regularisation.
    """

    def __init__(self, layouts: list[BinLayout], rules: SplitRules) -> None:
        from securegbm.trees.scan import fill, scan  # numba takes half a second to load; predictions need not wait for it

        self.rules, self._scan, self._fill = rules, scan, fill
        least = (rules.lambda_l1, rules.lambda_l2, rules.min_data_in_leaf, rules.min_sum_hessian_in_leaf)
        self._least = np.array(least, dtype=np.float64)
        self.num_bin = np.array([layout.num_bin for layout in layouts])
        self.most_freq = np.array([layout.most_freq_bin for layout in layouts])
        self.default = np.array([layout.default_bin for layout in layouts])
        wide = self.num_bin > 2
        missing = np.array([layout.missing for layout in layouts])
        self.nan_apart = wide & (missing == "nan")
        self.zero_apart = wide & (missing == "zero")
        self.default_left = ~((missing == "nan") & ~wide)
        self.width = int(self.num_bin.max())
        bins = np.arange(self.width)
        self.stored = bins < self.num_bin[:, None]
        self.entries = self.stored & (self.num_bin > 1)[:, None]
        skips_first = self.zero_apart & (self.most_freq == 0) & (self.default != 0)
        self.monotone = np.array([layout.monotone for layout in layouts])
        self.constrained = bool(self.monotone.any())
        self._categorical = np.flatnonzero([layout.categorical and layout.num_bin > 1 for layout in layouts])
        self._ordered = np.ones(len(layouts), dtype=bool)
        self._ordered[self._categorical] = False
        described = (self.num_bin, self.nan_apart, self.zero_apart, self.default, self.most_freq, skips_first, self.monotone)
        self._columns = np.column_stack(described).astype(np.int64)

    def pad(self, entries: Floats) -> Floats:
        """Flat sums of all (feature, bin) pairs, `(entries,)`, to `(features, widest)`, the most frequent bins empty."""
        table = np.zeros(self.stored.shape)
        table[self.entries] = entries
        table[np.arange(len(table)), self.most_freq] = 0.0
        return table

    def fix(self, table: Floats, total: float) -> Floats:
        """Fill each most frequent bin (when it is not bin 0) with `total` minus the other bins, as LightGBM does."""
        self._fill(table, self.most_freq, total)
        return table

    def best(
        self,
        gradient: Floats,
        hessian: Floats,
        totals: tuple[float, float],
        n_rows: int,
        allowed: Flags,
        bounds: Bounds = UNBOUNDED,
    ) -> tuple[Split | None, Flags]:
        """The best split of one leaf.

        Args:
            gradient: `(features, widest)` fixed sums of gradients per bin.
            hessian: The same of hessians.
            totals: The leaf's sums (G, H).
            n_rows: The leaf's true number of rows.
            allowed: `(features,)` which features were splittable at the parent.
            bounds: Of the leaf's value, by monotone constraints.

        Returns:
            The split (none when no candidate gains) and which features had any gaining candidate.
        """
        sum_gradient, sum_hessian = totals[0], totals[1] + 2 * EPSILON
        rules = self.rules
        floor = float(rules.gain(np.float64(sum_gradient), np.float64(sum_hessian)))  # type: ignore[arg-type]
        floor += rules.min_gain_to_split
        leaf = np.array([sum_gradient, sum_hessian, totals[1], n_rows, floor])
        limits, found = np.array([*bounds, self.constrained], dtype=np.float64), np.zeros((len(self.num_bin), 5))
        self._scan(gradient, hessian, leaf, self._least, limits, self._columns, allowed & self._ordered, found)
        best, threshold, best_left, best_left_h = found[:, 0], found[:, 1], found[:, 3], found[:, 4]
        default_left = self.default_left & (found[:, 2] > 0)

        sets, kept = {}, bounds if self.constrained else None
        for feature in self._categorical[allowed[self._categorical]].tolist():
            size, node = int(self.num_bin[feature]), Leaf(sum_gradient, sum_hessian, n_rows, floor)
            chosen = best_set(gradient[feature, :size], hessian[feature, :size], node, rules, kept)
            if chosen is not None:
                sets[feature] = chosen
                best[feature] = chosen.gain
                best_left[feature], best_left_h[feature] = chosen.left_gradient, chosen.left_hessian

        splittable = (best > -np.inf) & allowed
        reported = np.where(splittable, best - floor, -np.inf)
        reported[splittable & (self.monotone != 0)] *= MONOTONE_GAIN
        feature = int(reported.argmax())
        if not splittable[feature]:
            return None, splittable
        left_g, left_hess = float(best_left[feature]), float(best_left_h[feature])
        right_g, right_hess = sum_gradient - left_g, sum_hessian - left_hess
        chosen = sets.get(feature)
        l2 = chosen.l2 if chosen else rules.lambda_l2
        return Split(
            float(reported[feature]),
            feature,
            0 if chosen else int(threshold[feature]),
            bool(default_left[feature]) and chosen is None,
            left_g,
            left_hess - EPSILON,
            rules.output(left_g, left_hess, kept, l2),
            right_g,
            right_hess - EPSILON,
            rules.output(right_g, right_hess, kept, l2),
            chosen.bins if chosen else (),
            int(self.monotone[feature]),
        ), splittable
