"""LightGBM's two scans over the bins of a column (`feature_histogram.hpp`), compiled.

The order of the additions and kEpsilon are LightGBM's: differences of 1e-16 decide ties.
"""

from typing import Any

import numpy as np

from securegbm.compiled import kernel
from securegbm.trees.rules import EPSILON


@kernel
def _shrunk(gradient: Any, l1: Any) -> Any:
    return np.sign(gradient) * max(0.0, abs(gradient) - l1) if l1 != 0.0 else gradient


@kernel
def _gain(left: Any, left_h: Any, right: Any, right_h: Any, rules: Any, bounds: Any, monotone: Any) -> Any:
    left, right, left_h, right_h = _shrunk(left, rules[0]), _shrunk(right, rules[0]), left_h + rules[1], right_h + rules[1]
    if not bounds[2]:
        return left * left / left_h + right * right / right_h
    one, other = min(max(-left / left_h, bounds[0]), bounds[1]), min(max(-right / right_h, bounds[0]), bounds[1])
    if (other - one) * monotone < 0:
        return 0.0
    return -(2.0 * left * one + left_h * one * one) + -(2.0 * right * other + right_h * other * other)


@kernel
def fill(table: Any, frequent: Any, total: Any) -> None:
    """Each column's most frequent bin, when it is not bin 0, becomes `total` minus the others, one after the other."""
    for f in range(len(table)):
        if frequent[f] > 0:
            rest = total
            for b in range(table.shape[1]):
                rest -= table[f, b]
            table[f, frequent[f]] = rest


@kernel
def scan(gradient: Any, hessian: Any, leaf: Any, rules: Any, bounds: Any, columns: Any, allowed: Any, found: Any) -> None:
    """The best threshold of every column.

    Args:
        gradient: `(columns, widest)` sums per bin.
        hessian: The same of hessians.
        leaf: G, H with 2 kEpsilon, H, rows of the leaf, and the gain a split must exceed.
        rules: lambda_l1, lambda_l2, min_data_in_leaf, min_sum_hessian_in_leaf.
        bounds: Least and greatest value of the leaf's children, and whether monotone constraints are in force.
        columns: `(columns, 7)` numbers of bins; whether NaN has a bin; whether zero is missing; the bins of zero and of
            most rows; whether the scan from the left leaves out bin 0; direction.
        allowed: `(columns,)` which are scanned.
        found: `(columns, 5)`, filled with gain (-inf: none), threshold, 1 if from the right, G and H of the left child.
    """
    total_g, total_h, total_plain, floor = leaf[0], leaf[1], leaf[2], leaf[4]
    n_rows, factor = np.int64(leaf[3]), leaf[3] / leaf[1]
    fewest, least = rules[2], rules[3]
    counts = np.empty(gradient.shape[1], dtype=np.int64)
    for f in range(len(columns)):
        bins, nan, zero, default = columns[f, 0], columns[f, 1], columns[f, 2], columns[f, 3]
        frequent, skips, monotone = columns[f, 4], columns[f, 5], columns[f, 6]
        best, found[f, 0] = -np.inf, -np.inf
        if not allowed[f]:
            continue
        for b in range(bins):
            counts[b] = np.int64(np.floor(max(hessian[f, b] * factor + 0.5, 0.0)))
        right, right_h, right_n = 0.0, EPSILON, np.int64(0)
        for b in range(bins - 1 - nan, 0, -1):
            if zero and b == default:
                continue
            right, right_h, right_n = right + gradient[f, b], right_h + hessian[f, b], right_n + counts[b]
            if right_n < fewest or right_h < least:
                continue
            left, left_h = total_g - right, total_h - right_h
            if n_rows - right_n < fewest or left_h < least:
                break
            gain = _gain(left, left_h, right, right_h, rules, bounds, monotone)
            if gain > floor and gain > best:
                best = gain
                found[f, 0], found[f, 1], found[f, 2], found[f, 3], found[f, 4] = gain, b - 1, 1.0, left, left_h
        if not (nan or zero):
            continue
        best_f, left, left_h, left_n = -np.inf, 0.0, EPSILON, np.int64(0)
        for b in range(bins - 1):
            if b == 0 and nan and frequent == 0:
                left, left_h, left_n = total_g, total_plain + 2 * EPSILON - EPSILON, n_rows
                for other in range(1, bins):
                    left, left_h, left_n = left - gradient[f, other], left_h - hessian[f, other], left_n - counts[other]
            elif (zero and b == default) or (b == 0 and skips):
                continue
            else:
                left, left_h, left_n = left + gradient[f, b], left_h + hessian[f, b], left_n + counts[b]
            if left_n < fewest or left_h < least:
                continue
            right, right_h = total_g - left, total_h - left_h
            if n_rows - left_n < fewest or right_h < least:
                break
            gain = _gain(left, left_h, right, right_h, rules, bounds, monotone)
            if gain > floor and gain > best_f and gain > (best - floor) + floor:
                best_f = gain
                found[f, 0], found[f, 1], found[f, 2], found[f, 3], found[f, 4] = gain, b, 0.0, left, left_h
