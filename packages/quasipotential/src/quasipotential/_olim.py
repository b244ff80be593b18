"""The ordered line integral method with the midpoint rule, compiled: one kernel for every drift and every diffusion.

Straight segments and a linear front; the hierarchical update (one triangle unless the new point is the best single base).
The geometric action of a segment ``l`` with midpoint drift ``b`` and metric ``A`` (inverse of D) is
``|b|_A |l|_A - <b, A l>``. Method: Dahiya and Cameron 2017, 2018; written from the formulas, not from their code.
"""

import math

import numpy as np
from numba import njit

from ._kernels import (
    ACCEPTED,
    CONSIDERED,
    FRONT,
    UNKNOWN,
    clear_bit,
    count_trailing_zeros,
    decrease,
    masked_word,
    pop,
    push,
    set_bit,
)

HEAP_SIZE, ACCEPTED_COUNT, SINGLE_UPDATES, TRIANGLE_UPDATES, TRIANGLE_SOLVES, STOPPED = 0, 1, 2, 3, 4, 5
"""Places in the integer state that survives between two calls of the marching kernel."""


@njit(cache=True)
def segment_action(bx, by, lx, ly, metric, row, column):
    """Geometric action of one straight segment; ``row, column`` is its midpoint on the half-grid."""
    if metric is None:
        return math.sqrt((bx * bx + by * by) * (lx * lx + ly * ly)) - (bx * lx + by * ly)
    a, c, d = metric[row, column, 0], metric[row, column, 1], metric[row, column, 2]
    speed = a * bx * bx + 2 * c * bx * by + d * by * by
    length = a * lx * lx + 2 * c * lx * ly + d * ly * ly
    return math.sqrt(speed * length) - (a * bx * lx + c * (bx * ly + by * lx) + d * by * ly)


@njit(cache=True)
def triangle_slope(s, rise, b0x, b0y, dbx, dby, lx, ly, ex, ey, a, c, d, da, dc, dd, metric):
    """Value (less the first base's) and derivative in ``s`` of the action through the base point ``(1-s) z0 + s z1``.

    ``l - s e`` is the segment from the base point to the target, ``b0 + s db`` and ``(a, c, d) + s (da, dc, dd)`` the drift
    and the metric at its midpoint, both linear in ``s``; ``rise`` is the difference of the two base values.
    """
    bx, by = b0x + s * dbx, b0y + s * dby
    wx, wy = lx - s * ex, ly - s * ey
    if metric is None:
        speed, length = bx * bx + by * by, wx * wx + wy * wy
        cross = bx * wx + by * wy
        ratio = math.sqrt(speed / length)
        value = s * rise + ratio * length - cross
        if ratio < 1e-12:
            return value, rise - (dbx * wx + dby * wy)
        slope = rise - (wx * ex + wy * ey) * ratio + (bx * dbx + by * dby) / ratio + (ex * bx + ey * by) - (dbx * wx + dby * wy)
        return value, slope
    a, c, d = a + s * da, c + s * dc, d + s * dd
    abx, aby = a * bx + c * by, c * bx + d * by
    awx, awy = a * wx + c * wy, c * wx + d * wy
    speed, length = bx * abx + by * aby, wx * awx + wy * awy
    ratio = math.sqrt(speed / length)
    value = s * rise + ratio * length - (abx * wx + aby * wy)
    slope = rise - (dbx * awx + dby * awy) + (ex * abx + ey * aby) - (da * bx * wx + dc * (bx * wy + by * wx) + dd * by * wy)
    if ratio > 1e-12:
        half_length = 0.5 * (da * wx * wx + 2 * dc * wx * wy + dd * wy * wy) - (awx * ex + awy * ey)
        half_speed = 0.5 * (da * bx * bx + 2 * dc * bx * by + dd * by * by) + (abx * dbx + aby * dby)
        slope += half_length * ratio + half_speed / ratio
    return value, slope


@njit(cache=True)
def triangle_update(u0, u1, bound, b, metric, r0, c0, r1, c1, lx, ly, ex, ey):
    """Smallest action through the open segment between two bases, or infinity when it cannot lie below ``bound``.

    Two exits before any root is sought: a slope that does not point inwards at the first base (no interior minimum), and the
    tangent at the first base, a lower bound because the function is convex for all but degenerate triangles.
    """
    b0x, b0y = b[r0, c0, 0], b[r0, c0, 1]
    dbx, dby = b[r1, c1, 0] - b0x, b[r1, c1, 1] - b0y
    a, c, d, da, dc, dd = 1.0, 0.0, 1.0, 0.0, 0.0, 0.0
    if metric is not None:
        a, c, d = metric[r0, c0, 0], metric[r0, c0, 1], metric[r0, c0, 2]
        da, dc, dd = metric[r1, c1, 0] - a, metric[r1, c1, 1] - c, metric[r1, c1, 2] - d
    rise = u1 - u0
    v0, f0 = triangle_slope(0.0, rise, b0x, b0y, dbx, dby, lx, ly, ex, ey, a, c, d, da, dc, dd, metric)
    if f0 >= 0.0 or u0 + v0 + f0 >= bound:
        return math.inf, False
    v1, f1 = triangle_slope(1.0, rise, b0x, b0y, dbx, dby, lx, ly, ex, ey, a, c, d, da, dc, dd, metric)
    if f1 <= 0.0:
        return math.inf, False
    low, high = 0.0, 1.0
    value = v0
    scale = 1e-6 * (f1 - f0)
    side = 0
    for _ in range(30):
        s = (low * f1 - high * f0) / (f1 - f0)
        value, slope = triangle_slope(s, rise, b0x, b0y, dbx, dby, lx, ly, ex, ey, a, c, d, da, dc, dd, metric)
        if abs(slope) < scale or high - low < 1e-6:
            break
        if slope < 0.0:
            low, f0 = s, slope
            if side == -1:
                f1 *= 0.5
            side = -1
        else:
            high, f1 = s, slope
            if side == 1:
                f0 *= 0.5
            side = 1
    return u0 + value, True


@njit(cache=True)
def retire(status, front, neighbour, stride, near):
    """Take a Front point out of the front when none of its eight neighbours waits any more; tell whether it stayed."""
    for k in range(8):
        if status[neighbour + near[k]] < FRONT:
            return True
    status[neighbour] = ACCEPTED
    clear_bit(front, neighbour // stride, neighbour % stride)
    return False


@njit(cache=True)
def march_olim(b, metric, basis, half_widths, margin, level, batch, u, single, base, status, front, considered,
               keys, ids, where, state):
    """Accept up to ``batch`` points; the arrays and ``state`` carry everything from one call to the next.

    Args:
        b: drift on the half-grid, ``(2 ny - 1, 2 nx - 1, 2)``.
        metric: None for the identity, else A on the half-grid, ``(2 ny - 1, 2 nx - 1, 3)`` as (A11, A12, A22).
        basis: ``(2, 2)``, its columns the two mesh vectors.
        half_widths: rows of the update disc.
        margin: stop when a point this close to the edge of the mesh is accepted; -1 never stops there.
        level: stop when the next value lies above it.
        batch: how many points to accept before returning.
        u: values. single: best value from one base. base: that base. status, front, considered: what each point is.
        keys, ids, where: the heap. state: see the names at the top of this file.
    """
    ny, nx = (b.shape[0] + 1) // 2, (b.shape[1] + 1) // 2
    stride = nx + 2
    near = np.array([1, stride, -1, -stride, stride + 1, stride - 1, -stride - 1, -stride + 1])
    e00, e01, e10, e11 = basis[0, 0], basis[0, 1], basis[1, 0], basis[1, 1]
    radius = len(half_widths) - 1
    side = np.empty(4, np.int64)
    side_i = np.empty(4, np.int64)
    side_j = np.empty(4, np.int64)
    size, count = state[HEAP_SIZE], state[ACCEPTED_COUNT]
    singles = triangles = solves = 0
    goal = count + batch
    while size > 0 and count < goal:
        if keys[0] > level:
            state[STOPPED] = 2
            break
        new = pop(keys, ids, where, size)
        size -= 1
        count += 1
        row, column = new // stride, new % stride
        j_new, i_new = row - 1, column - 1
        u_new = u[new]
        status[new] = FRONT
        set_bit(front, row, column)
        clear_bit(considered, row, column)
        if i_new <= margin or j_new <= margin or i_new >= nx - 1 - margin or j_new >= ny - 1 - margin:
            state[STOPPED] = 1
            break
        sides = 0
        for k in range(8):
            neighbour = new + near[k]
            if status[neighbour] == FRONT and retire(status, front, neighbour, stride, near) and k < 4:
                side[sides] = neighbour
                side_i[sides], side_j[sides] = neighbour % stride - 1, neighbour // stride - 1
                sides += 1
        for dj in range(-radius, radius + 1):
            r = row + dj
            if r < 1 or r > ny:
                continue
            half = half_widths[abs(dj)]
            low, high = max(column - half, 1), min(column + half, nx)
            for word in range(low >> 6, (high >> 6) + 1):
                flags = masked_word(considered, r, word, low, high)
                while flags != 0:
                    col = (word << 6) + np.int64(count_trailing_zeros(flags))
                    flags &= flags - np.uint64(1)
                    point = r * stride + col
                    if base[point] < 0:
                        continue
                    di = col - column
                    lx, ly = di * e00 + dj * e01, di * e10 + dj * e11
                    mr, mc = j_new + r - 1, i_new + col - 1
                    singles += 1
                    trial = u_new + segment_action(b[mr, mc, 0], b[mr, mc, 1], lx, ly, metric, mr, mc)
                    best = u[point]
                    if trial < single[point]:
                        single[point] = trial
                        base[point] = new
                        best = min(best, trial)
                        for k in range(sides):
                            ei, ej = side_i[k] - i_new, side_j[k] - j_new
                            value, solved = triangle_update(
                                u_new, u[side[k]], best, b, metric, mr, mc, mr + ej, mc + ei,
                                lx, ly, ei * e00 + ej * e01, ei * e10 + ej * e11)
                            triangles += 1
                            solves += solved
                            best = min(best, value)
                    else:
                        other = base[point]
                        ej, ei = j_new - (other // stride - 1), i_new - (other % stride - 1)
                        if abs(ei) + abs(ej) == 1:
                            ex, ey = ei * e00 + ej * e01, ei * e10 + ej * e11
                            value, solved = triangle_update(
                                u[other], u_new, best, b, metric, mr - ej, mc - ei, mr, mc, lx + ex, ly + ey, ex, ey)
                            triangles += 1
                            solves += solved
                            best = min(best, value)
                    if best < u[point]:
                        u[point] = best
                        decrease(keys, ids, where, point, best)
        for k in range(8):
            point = new + near[k]
            if status[point] != UNKNOWN:
                continue
            prow, pcolumn = point // stride, point % stride
            status[point] = CONSIDERED
            set_bit(considered, prow, pcolumn)
            best = math.inf
            best_i = best_j = 0
            for dj in range(-radius, radius + 1):
                r = prow + dj
                if r < 1 or r > ny:
                    continue
                half = half_widths[abs(dj)]
                low, high = max(pcolumn - half, 1), min(pcolumn + half, nx)
                for word in range(low >> 6, (high >> 6) + 1):
                    flags = masked_word(front, r, word, low, high)
                    while flags != 0:
                        col = (word << 6) + np.int64(count_trailing_zeros(flags))
                        flags &= flags - np.uint64(1)
                        di = pcolumn - col
                        lx, ly = di * e00 - dj * e01, di * e10 - dj * e11
                        mr, mc = prow + r - 2, pcolumn + col - 2
                        singles += 1
                        trial = u[r * stride + col] + segment_action(b[mr, mc, 0], b[mr, mc, 1], lx, ly, metric, mr, mc)
                        if trial < best:
                            best, best_i, best_j = trial, col, r
            one = best_j * stride + best_i
            single[point] = best
            base[point] = one
            di, dj = pcolumn - best_i, prow - best_j
            lx, ly = di * e00 + dj * e01, di * e10 + dj * e11
            mr, mc = prow + best_j - 2, pcolumn + best_i - 2
            for m in range(4):
                other = one + near[m]
                if status[other] == FRONT:
                    ei, ej = other % stride - best_i, other // stride - best_j
                    value, solved = triangle_update(u[one], u[other], best, b, metric, mr, mc, mr + ej, mc + ei,
                                                    lx, ly, ei * e00 + ej * e01, ei * e10 + ej * e11)
                    triangles += 1
                    solves += solved
                    best = min(best, value)
            u[point] = best
            push(keys, ids, where, size, point, best)
            size += 1
    state[HEAP_SIZE], state[ACCEPTED_COUNT] = size, count
    state[SINGLE_UPDATES] += singles
    state[TRIANGLE_UPDATES] += triangles
    state[TRIANGLE_SOLVES] += solves
