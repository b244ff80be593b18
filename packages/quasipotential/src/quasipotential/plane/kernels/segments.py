"""Updates along straight segments, compiled: one base, and two neighbouring bases with the best point between them.

The geometric action of a segment ``l`` with midpoint drift ``b`` and metric ``A`` (inverse of D) is
``|b|_A |l|_A - <b, A l>``. Method: Dahiya and Cameron 2017, 2018; written from the formulas, not from their code.
"""

import math

from numba import njit


@njit(cache=True, error_model="numpy")
def segment_action(bx, by, lx, ly, metric, row, column):
    """Geometric action of one straight segment; ``row, column`` is its midpoint on the half-grid."""
    if metric is None:
        return math.sqrt((bx * bx + by * by) * (lx * lx + ly * ly)) - (bx * lx + by * ly)
    a, c, d = metric[row, column, 0], metric[row, column, 1], metric[row, column, 2]
    speed = a * bx * bx + 2 * c * bx * by + d * by * by
    length = a * lx * lx + 2 * c * lx * ly + d * ly * ly
    return math.sqrt(speed * length) - (a * bx * lx + c * (bx * ly + by * lx) + d * by * ly)


@njit(cache=True, error_model="numpy")
def triangle_slope(s, rise, t0, t1, b0x, b0y, dbx, dby, lx, ly, ex, ey, a, c, d, da, dc, dd, metric):
    """Value (less the first base's) and derivative in ``s`` of the action through the base point ``(1-s) z0 + s z1``.

    ``l - s e`` is the segment from the base point to the target, ``b0 + s db`` and ``(a, c, d) + s (da, dc, dd)``
    the drift
    and the metric at its midpoint, both linear in ``s``; ``rise`` is the difference of the two base values and ``t0,
    t1`` the
    slopes of U along the edge; with None the front is linear.
    """
    front, slant = s * rise, rise
    if t0 is not None:
        r = 1.0 - s
        front = s * (s * (3.0 - 2.0 * s) * rise + r * (r * t0 - s * t1))
        slant = 6.0 * s * r * rise + r * (1.0 - 3.0 * s) * t0 - s * (2.0 - 3.0 * s) * t1
    bx, by = b0x + s * dbx, b0y + s * dby
    wx, wy = lx - s * ex, ly - s * ey
    if metric is None:
        speed, length = bx * bx + by * by, wx * wx + wy * wy
        cross = bx * wx + by * wy
        ratio = math.sqrt(speed / length)
        value = front + ratio * length - cross
        if ratio < 1e-12:
            return value, slant - (dbx * wx + dby * wy)
        slope = (
            slant - (wx * ex + wy * ey) * ratio + (bx * dbx + by * dby) / ratio + (ex * bx + ey * by) - (dbx * wx + dby * wy)
        )
        return value, slope
    a, c, d = a + s * da, c + s * dc, d + s * dd
    abx, aby = a * bx + c * by, c * bx + d * by
    awx, awy = a * wx + c * wy, c * wx + d * wy
    speed, length = bx * abx + by * aby, wx * awx + wy * awy
    ratio = math.sqrt(speed / length)
    value = front + ratio * length - (abx * wx + aby * wy)
    slope = (
        slant - (dbx * awx + dby * awy) + (ex * abx + ey * aby) - (da * bx * wx + dc * (bx * wy + by * wx) + dd * by * wy)
    )
    if ratio > 1e-12:
        half_length = 0.5 * (da * wx * wx + 2 * dc * wx * wy + dd * wy * wy) - (awx * ex + awy * ey)
        half_speed = 0.5 * (da * bx * bx + 2 * dc * bx * by + dd * by * by) + (abx * dbx + aby * dby)
        slope += half_length * ratio + half_speed / ratio
    return value, slope


@njit(cache=True, error_model="numpy")
def triangle_update(u0, u1, t0, t1, bound, b, metric, r0, c0, r1, c1, lx, ly, ex, ey):
    """Smallest action through the open edge between two bases, and where; infinity and -1 when not below ``bound``.

    Two exits before any root is sought: a slope that does not point inwards at the first base (no interior minimum),
    and the
    tangent at the first base, a lower bound because the function is convex for all but degenerate triangles.
    """
    b0x, b0y = b[r0, c0, 0], b[r0, c0, 1]
    dbx, dby = b[r1, c1, 0] - b0x, b[r1, c1, 1] - b0y
    a, c, d, da, dc, dd = 1.0, 0.0, 1.0, 0.0, 0.0, 0.0
    if metric is not None:
        a, c, d = metric[r0, c0, 0], metric[r0, c0, 1], metric[r0, c0, 2]
        da, dc, dd = metric[r1, c1, 0] - a, metric[r1, c1, 1] - c, metric[r1, c1, 2] - d
    rise = u1 - u0
    v0, f0 = triangle_slope(0.0, rise, t0, t1, b0x, b0y, dbx, dby, lx, ly, ex, ey, a, c, d, da, dc, dd, metric)
    if f0 >= 0.0 or u0 + v0 + f0 >= bound:
        return math.inf, -1.0
    _, f1 = triangle_slope(1.0, rise, t0, t1, b0x, b0y, dbx, dby, lx, ly, ex, ey, a, c, d, da, dc, dd, metric)
    if f1 <= 0.0:
        return math.inf, -1.0
    low, high = 0.0, 1.0
    value = v0
    scale = 1e-6 * (f1 - f0)
    side = 0
    s = 0.5
    for _ in range(30):
        s = (low * f1 - high * f0) / (f1 - f0)
        value, slope = triangle_slope(s, rise, t0, t1, b0x, b0y, dbx, dby, lx, ly, ex, ey, a, c, d, da, dc, dd, metric)
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
    return u0 + value, s


@njit(cache=True, error_model="numpy")
def edge_update(first, i, j, second, ei, ej, ti, tj, bound, u, jet, b, metric, basis):
    """Best straight path to ``(ti, tj)`` from the edge between ``first`` at ``(i, j)`` and ``second``.

    ``(ei, ej)`` further.

    With jets the front is cubic along the edge, without it is linear.
    """
    lx = (ti - i) * basis[0, 0] + (tj - j) * basis[0, 1]
    ly = (ti - i) * basis[1, 0] + (tj - j) * basis[1, 1]
    ex, ey = ei * basis[0, 0] + ej * basis[0, 1], ei * basis[1, 0] + ej * basis[1, 1]
    r, c = j + tj, i + ti
    if jet is None:
        return triangle_update(u[first], u[second], None, None, bound, b, metric, r, c, r + ej, c + ei, lx, ly, ex, ey)
    gradient = jet[0]
    t0 = gradient[first, 0] * ex + gradient[first, 1] * ey
    t1 = gradient[second, 0] * ex + gradient[second, 1] * ey
    return triangle_update(u[first], u[second], t0, t1, bound, b, metric, r, c, r + ej, c + ei, lx, ly, ex, ey)
