"""Trial values of Considered points, compiled: the best triangle and the best single base so far."""

import math

import numpy as np
from numba import njit

from ...marching.front import SINGLES, count_trailing_zeros, masked_word
from .segments import edge_update, segment_action

TRIANGLES, SOLVES, WIDE_SEARCHES, LONE_BASES, DEFERRED = range(4, 9)
"""Further places in the integer state, after those of ``front``."""


@njit(cache=True, error_model="numpy")
def improve(point, ti, tj, edge, best, u, jet, b, metric, basis, state):
    """Try one triangle for one Considered point at ``(ti, tj)`` and remember its edge when it is the best so far.

    ``edge`` holds the first base, its column and row, the second base, and the columns and rows from the first to it.
    """
    first, i, j, second, ei, ej = edge
    value, s = edge_update(first, i, j, second, ei, ej, ti, tj, best, u, jet, b, metric, basis)
    state[TRIANGLES] += 1
    if s >= 0.0:
        state[SOLVES] += 1
    if value < best:
        best = value
        if jet is not None:
            jet[1][point, 0], jet[1][point, 1] = first, second
            jet[2][point] = s
    return best


@njit(cache=True, error_model="numpy")
def best_single(point, front, u, half_widths, b, metric, basis, stride, state):
    """The Front point of the disc from which one straight segment costs least: ``(value, padded column, padded row)``."""
    row, column = point // stride, point % stride
    radius = len(half_widths) - 1
    best = math.inf
    best_i = best_j = 0
    for dj in range(-radius, radius + 1):
        r = row + dj
        if r < 1 or r > front.shape[0] - 2:
            continue
        half = half_widths[abs(dj)]
        low, high = max(column - half, 1), min(column + half, stride - 2)
        for word in range(low >> 6, (high >> 6) + 1):
            flags = masked_word(front, r, word, low, high)
            while flags != 0:
                col = (word << 6) + np.int64(count_trailing_zeros(flags))  # pyright: ignore[reportCallIssue]
                flags &= flags - np.uint64(1)
                begin = u[r * stride + col]
                if begin >= best:  # the way costs at least nothing
                    continue
                di = column - col
                lx, ly = di * basis[0, 0] - dj * basis[0, 1], di * basis[1, 0] - dj * basis[1, 1]
                mr, mc = row + r - 2, column + col - 2
                state[SINGLES] += 1
                trial = begin + segment_action(b[mr, mc, 0], b[mr, mc, 1], lx, ly, metric, mr, mc)
                if trial < best:
                    best, best_i, best_j = trial, col, r
    return best, best_i, best_j
