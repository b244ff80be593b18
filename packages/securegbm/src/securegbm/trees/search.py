"""LightGBM's threshold search on histograms (`feature_histogram.hpp`), for all features of both parties at once.

The label party runs it on sums it computed itself and on sums it decrypted. The order of the additions and LightGBM's
kEpsilon are kept, because differences of 1e-16 decide ties; without them one split in some hundreds differs.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from securegbm.errors import SecureGBMError
from securegbm.tables.binning import BinLayout

EPSILON = float(np.float32(1e-15))
"""LightGBM's kEpsilon, added to every sum of hessians."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class SplitRules:
    """LightGBM's regularisation parameters, under LightGBM's names.

    Args:
        lambda_l1: L1 penalty on leaf values, >= 0.
        lambda_l2: L2 penalty on leaf values, >= 0.
        min_data_in_leaf: Fewest rows of a leaf, >= 1 (rows are estimated from hessians, as LightGBM does).
        min_sum_hessian_in_leaf: Least sum of hessians of a leaf, > 0.
        min_gain_to_split: A split must gain more than this, >= 0.
    """

    lambda_l1: float = 0.0
    lambda_l2: float = 0.0
    min_data_in_leaf: int = 20
    min_sum_hessian_in_leaf: float = 1e-3
    min_gain_to_split: float = 0.0

    def __post_init__(self) -> None:
        if min(self.lambda_l1, self.lambda_l2, self.min_gain_to_split, self.min_sum_hessian_in_leaf) < 0:
            raise SecureGBMError("lambda_l1, lambda_l2, min_sum_hessian_in_leaf and min_gain_to_split must be >= 0")
        if self.min_data_in_leaf < 1:
            raise SecureGBMError(f"min_data_in_leaf is {self.min_data_in_leaf}; give at least 1")

    def for_share(self, share: float) -> "SplitRules":
        """The rules for a leaf of which only a share of the rows is seen: `min_data_in_leaf` counts all rows."""
        return replace(self, min_data_in_leaf=max(1, round(self.min_data_in_leaf * share)))

    def threshold_l1(self, gradient: Floats) -> Floats:
        """Soft threshold sign(G) max(0, |G| - lambda_l1)."""
        if self.lambda_l1 == 0.0:
            return gradient
        return np.sign(gradient) * np.maximum(0.0, np.abs(gradient) - self.lambda_l1)

    def gain(self, gradient: Floats, hessian: Floats) -> Floats:
        """A leaf's gain T(G)^2 / (H + lambda_l2)."""
        shrunk = self.threshold_l1(gradient)
        return shrunk * shrunk / (hessian + self.lambda_l2)

    def output(self, gradient: float, hessian: float) -> float:
        """A leaf's value -T(G) / (H + lambda_l2)."""
        return float(-self.threshold_l1(np.float64(gradient)) / (hessian + self.lambda_l2))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Split:
    """The best split of a leaf; H of both children is reported without kEpsilon, values are computed with it."""

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
        self, gradient: Floats, hessian: Floats, totals: tuple[float, float], n_rows: int, allowed: Flags
    ) -> tuple[Split | None, Flags]:
        """The best split of one leaf.

        Args:
            gradient: `(features, widest)` fixed sums of gradients per bin.
            hessian: The same of hessians.
            totals: The leaf's sums (G, H).
            n_rows: The leaf's true number of rows.
            allowed: `(features,)` which features were splittable at the parent.

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
        gains = self._gains(left, left_h, left_n, right, right_h, right_n)
        gains = self._admissible(gains, self._reverse, right_h, right_n, left_h, left_n, floor, reverse=True)
        at = self.width - 1 - gains[:, ::-1].argmax(axis=1)
        every = np.arange(len(gains))
        best, threshold, default_left = gains[every, at], at - 1, self.default_left.copy()
        best_left, best_left_h = left[every, at], left_h[every, at]

        if self._forward.any():
            f_left, f_left_h, f_left_n = self._from_left(gradient, hessian, count, totals, n_rows)
            f_right, f_right_h, f_right_n = sum_gradient - f_left, sum_hessian - f_left_h, n_rows - f_left_n
            gains_f = self._gains(f_left, f_left_h, f_left_n, f_right, f_right_h, f_right_n)
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

        splittable = (best > -np.inf) & allowed
        reported = np.where(splittable, best - floor, -np.inf)
        feature = int(reported.argmax())
        if not splittable[feature]:
            return None, splittable
        left_g, left_hess = float(best_left[feature]), float(best_left_h[feature])
        right_g, right_hess = sum_gradient - left_g, sum_hessian - left_hess
        return Split(
            float(reported[feature]),
            feature,
            int(threshold[feature]),
            bool(default_left[feature]),
            left_g,
            left_hess - EPSILON,
            self.rules.output(left_g, left_hess),
            right_g,
            right_hess - EPSILON,
            self.rules.output(right_g, right_hess),
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

    def _gains(self, left: Floats, left_h: Floats, left_n: Ints, right: Floats, right_h: Floats, right_n: Ints) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.rules.gain(left, left_h) + self.rules.gain(right, right_h)

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
