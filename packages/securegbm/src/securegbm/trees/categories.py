"""LightGBM's search for a set of categories that goes left (`FindBestThresholdCategoricalInner`), for one column.

Few bins: each category against all others. Otherwise categories are sorted by G / (H + cat_smooth) and the best prefix
from either end is taken. Bin 0 holds missing, rare and unseen categories; it never goes left.
"""

from dataclasses import dataclass

from securegbm.trees.rules import EPSILON, Bounds, Floats, SplitRules


@dataclass(frozen=True)
class Found:
    """The best set: its gain (before the floor is taken off), bins, sums of the left child, and the L2 penalty it used."""

    gain: float
    bins: tuple[int, ...]
    left_gradient: float
    left_hessian: float
    l2: float


@dataclass(frozen=True)
class Leaf:
    """What is known of the leaf: its sums (H with 2 kEpsilon), its rows, and the gain a split must exceed."""

    gradient: float
    hessian: float
    n_rows: int
    floor: float


def best_set(gradient: Floats, hessian: Floats, leaf: Leaf, rules: SplitRules, bounds: Bounds | None) -> Found | None:
    """The best set of categories to send left.

    Args:
        gradient: `(bins,)` sums of gradients.
        hessian: `(bins,)` sums of hessians.
        leaf: The leaf's sums.
        rules: Regularisation.
        bounds: Of the leaf's value, where constraints are in force.
    """
    factor = leaf.n_rows / leaf.hessian
    counts = [int(h * factor + 0.5) for h in hessian.tolist()]
    search = _one_of_all if len(gradient) <= rules.categories.max_cat_to_onehot else _prefix
    return search(gradient.tolist(), hessian.tolist(), counts, leaf, rules, bounds)


def _one_of_all(
    g: list[float], h: list[float], n: list[int], leaf: Leaf, rules: SplitRules, bounds: Bounds | None
) -> Found | None:
    best: Found | None = None
    for at in range(1, len(g)):
        rest = leaf.hessian - h[at] - EPSILON
        few = n[at] < rules.min_data_in_leaf or leaf.n_rows - n[at] < rules.min_data_in_leaf
        if few or h[at] < rules.min_sum_hessian_in_leaf or rest < rules.min_sum_hessian_in_leaf:
            continue
        gain = rules.split_gain(leaf.gradient - g[at], rest, g[at], h[at] + EPSILON, bounds, rules.lambda_l2)
        if gain > leaf.floor and (best is None or gain > best.gain):
            best = Found(gain, (at,), g[at], h[at] + EPSILON, rules.lambda_l2)
    return best


def _prefix(
    g: list[float], h: list[float], n: list[int], leaf: Leaf, rules: SplitRules, bounds: Bounds | None
) -> Found | None:
    ours = rules.categories
    order = [at for at in range(1, len(g)) if n[at] >= ours.cat_smooth]
    order.sort(key=lambda at: g[at] / (h[at] + ours.cat_smooth))
    most, l2 = min(ours.max_cat_threshold, (len(order) + 1) // 2), rules.lambda_l2 + ours.cat_l2
    best: Found | None = None
    for way in (order, order[::-1]):
        left_g, left_h, left_n, group = 0.0, EPSILON, 0, 0
        for taken, at in enumerate(way[:most], 1):
            left_g, left_h, left_n, group = left_g + g[at], left_h + h[at], left_n + n[at], group + n[at]
            if left_n < rules.min_data_in_leaf or left_h < rules.min_sum_hessian_in_leaf:
                continue
            right_n, right_h = leaf.n_rows - left_n, leaf.hessian - left_h
            if right_n < max(rules.min_data_in_leaf, ours.min_data_per_group) or right_h < rules.min_sum_hessian_in_leaf:
                break
            if group < ours.min_data_per_group:
                continue
            group = 0
            gain = rules.split_gain(left_g, left_h, leaf.gradient - left_g, right_h, bounds, l2)
            if gain > leaf.floor and (best is None or gain > best.gain):
                best = Found(gain, tuple(way[:taken]), left_g, left_h, l2)
    return best
