"""LightGBM's threshold search on histograms (`feature_histogram.hpp`), for all features of both parties at once.

The label party runs it on sums it computed itself and on sums it decrypted. The order of the additions and LightGBM's
kEpsilon are kept, because differences of 1e-16 decide ties; without them one split in some hundreds differs.
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
        self.rules = rules
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
        self.last = self.num_bin - 1 - self.nan_apart
        self._not_default = ~(self.zero_apart[:, None] & (bins == self.default[:, None]))
        self._reverse = (bins >= 1) & (bins <= self.last[:, None]) & self._not_default
        two_scans = (self.nan_apart | self.zero_apart)[:, None]
        self._forward = two_scans & (bins <= self.num_bin[:, None] - 2) & self._not_default
        skips_first = self.zero_apart & (self.most_freq == 0) & (self.default != 0)
        self._forward[skips_first, 0] = False
        self._skips_first = skips_first
        self.monotone = np.array([layout.monotone for layout in layouts])
        self.constrained = bool(self.monotone.any())
        self._categorical = np.flatnonzero([layout.categorical and layout.num_bin > 1 for layout in layouts])
        for table in (self._reverse, self._forward):
            table[self._categorical] = False

    def pad(self, entries: Floats) -> Floats:
        """Flat sums of all (feature, bin) pairs, `(entries,)`, to `(features, widest)`, the most frequent bins empty."""
        table = np.zeros(self.stored.shape)
        table[self.entries] = entries
        table[np.arange(len(table)), self.most_freq] = 0.0
        return table

    def fix(self, table: Floats, total: float) -> Floats:
        """Fill each most frequent bin (when it is not bin 0) with `total` minus the other bins, as LightGBM does."""
        rows = np.flatnonzero(self.most_freq > 0)
        if len(rows):
            columns = self.most_freq[rows]
            terms = np.concatenate([np.full((len(rows), 1), total), -table[rows]], axis=1)
            table[rows, columns] = np.cumsum(terms, axis=1)[:, -1]
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
        floor = float(self.rules.gain(np.float64(sum_gradient), np.float64(sum_hessian)))  # type: ignore[arg-type]
        floor += self.rules.min_gain_to_split
        factor = n_rows / sum_hessian
        count = np.floor(np.maximum(hessian * factor + 0.5, 0.0)).astype(np.int64)

        kept = self._not_default & (np.arange(self.width) <= self.last[:, None])
        right = _running(np.where(kept, gradient, 0.0)[:, ::-1], 0.0)[:, ::-1]
        right_h = _running(np.where(kept, hessian, 0.0)[:, ::-1], EPSILON)[:, ::-1]
        right_n = np.cumsum(np.where(kept, count, 0)[:, ::-1], axis=1)[:, ::-1]
        left, left_h, left_n = sum_gradient - right, sum_hessian - right_h, n_rows - right_n
        gains = self._gains(left, left_h, right, right_h, bounds)
        gains = self._admissible(gains, self._reverse, right_h, right_n, left_h, left_n, floor, reverse=True)
        at = self.width - 1 - gains[:, ::-1].argmax(axis=1)
        every = np.arange(len(gains))
        best, threshold, default_left = gains[every, at], at - 1, self.default_left.copy()
        best_left, best_left_h = left[every, at], left_h[every, at]

        if self._forward.any():
            f_left, f_left_h, f_left_n = self._from_left(gradient, hessian, count, totals, n_rows)
            f_right, f_right_h, f_right_n = sum_gradient - f_left, sum_hessian - f_left_h, n_rows - f_left_n
            gains_f = self._gains(f_left, f_left_h, f_right, f_right_h, bounds)
            gains_f = self._admissible(
                gains_f, self._forward, f_left_h, f_left_n, f_right_h, f_right_n, floor, reverse=False
            )
            at_f = gains_f.argmax(axis=1)
            best_f = gains_f[every, at_f]
            better = (best_f > -np.inf) & (best_f > (best - floor) + floor)
            best = np.where(better, best_f, best)
            threshold = np.where(better, at_f, threshold)
            default_left &= ~better
            best_left = np.where(better, f_left[every, at_f], best_left)
            best_left_h = np.where(better, f_left_h[every, at_f], best_left_h)

        sets = {}
        for feature in self._categorical[allowed[self._categorical]].tolist():
            size, leaf = int(self.num_bin[feature]), Leaf(sum_gradient, sum_hessian, n_rows, floor)
            limits = bounds if self.constrained else None
            found = best_set(gradient[feature, :size], hessian[feature, :size], leaf, self.rules, limits)
            if found is not None:
                sets[feature] = found
                best[feature], best_left[feature], best_left_h[feature] = found.gain, found.left_gradient, found.left_hessian

        splittable = (best > -np.inf) & allowed
        reported = np.where(splittable, best - floor, -np.inf)
        reported[splittable & (self.monotone != 0)] *= MONOTONE_GAIN
        feature = int(reported.argmax())
        if not splittable[feature]:
            return None, splittable
        left_g, left_hess = float(best_left[feature]), float(best_left_h[feature])
        right_g, right_hess = sum_gradient - left_g, sum_hessian - left_hess
        chosen = sets.get(feature)
        limits, l2 = bounds if self.constrained else None, chosen.l2 if chosen else self.rules.lambda_l2
        return Split(
            float(reported[feature]),
            feature,
            0 if chosen else int(threshold[feature]),
            bool(default_left[feature]) and chosen is None,
            left_g,
            left_hess - EPSILON,
            self.rules.output(left_g, left_hess, limits, l2),
            right_g,
            right_hess - EPSILON,
            self.rules.output(right_g, right_hess, limits, l2),
            chosen.bins if chosen else (),
            int(self.monotone[feature]),
        ), splittable

    def _from_left(
        self, gradient: Floats, hessian: Floats, count: Ints, totals: tuple[float, float], n_rows: int
    ) -> tuple[Floats, Floats, Ints]:
        g, h, n = gradient.copy(), hessian.copy(), count.copy()
        for table in (g, h, n):
            table[~self._not_default] = 0
            table[self._skips_first, 0] = 0
        h[:, 0] += EPSILON
        derived = self.nan_apart & (self.most_freq == 0)
        if derived.any():
            rest = np.where(self.stored, 1.0, 0.0)[derived, 1:]
            g[derived, 0] = _running(-gradient[derived, 1:] * rest, totals[0])[:, -1]
            h[derived, 0] = _running(-hessian[derived, 1:] * rest, totals[1] + 2 * EPSILON - EPSILON)[:, -1]
            n[derived, 0] = n_rows - (count[derived, 1:] * rest.astype(np.int64)).sum(axis=1)
        return np.cumsum(g, axis=1), np.cumsum(h, axis=1), np.cumsum(n, axis=1)

    def _gains(self, left: Floats, left_h: Floats, right: Floats, right_h: Floats, bounds: Bounds) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            if not self.constrained:
                return self.rules.gain(left, left_h) + self.rules.gain(right, right_h)
            left_gain, left_value = self.rules.bounded_gain(left, left_h, bounds)
            right_gain, right_value = self.rules.bounded_gain(right, right_h, bounds)
            against = (right_value - left_value) * self.monotone[:, None] < 0
            return np.where(against, 0.0, left_gain + right_gain)

    def _admissible(
        self,
        gains: Floats,
        candidate: Flags,
        near_h: Floats,
        near_n: Ints,
        far_h: Floats,
        far_n: Ints,
        floor: float,
        *,
        reverse: bool,
    ) -> Floats:
        rules = self.rules
        enough = (near_n >= rules.min_data_in_leaf) & (near_h >= rules.min_sum_hessian_in_leaf)
        stops = candidate & enough & ((far_n < rules.min_data_in_leaf) | (far_h < rules.min_sum_hessian_in_leaf))
        stopped = (
            np.logical_or.accumulate(stops[:, ::-1], axis=1)[:, ::-1] if reverse else np.logical_or.accumulate(stops, axis=1)
        )
        return np.where(candidate & enough & ~stopped & (gains > floor), gains, -np.inf)


def _running(table: Floats, start: float) -> Floats:
    """Row-wise running sums that begin with `start`, added in LightGBM's order."""
    first = np.full((len(table), 1), start)
    return np.cumsum(np.concatenate([first, table], axis=1), axis=1)[:, 1:]
