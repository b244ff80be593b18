"""How the jet marcher accepts a point, compiled: from which edge of known points its characteristic comes.

The march proposes an edge by straight segments of any length. The path found over that edge tells where the characteristic
comes from; the same minimisation is then done over the nearest known edge that it crosses, because the error of one step
grows with the fifth power of its length. An edge is used only where the minimiser lies on it: a front extrapolated beyond
its known points passes errors of the gradient on, magnified, from step to step.
A candidate is the tuple (how far its minimiser lies beyond the edge, value, first, second, s, a0, a1, px, py).
"""

import math

import numpy as np
from numba import njit

from .jet import curve_action, fine_action, normal_to, refine
from .segments import segment_action

ON_EDGE = 1e-6
"""How far beyond the end of an edge, in edge lengths, a minimiser may lie."""

DEFER = 0.1
"""Share of its increment by which a point's jet may lie above its trial value; otherwise it waits for its turn again."""

EXCESS = 1e-3
"""Share of a straight step's cost by which a value may exceed it before it is sought again."""

FURTHER = 3
"""Rings beyond the found edge that are searched for one that the characteristic crosses between two known points."""


@njit(cache=True, error_model="numpy")
def known(point, target, front):
    """Whether a point has its final value (and lies inside the mesh)."""
    u, _, status, _ = front
    return status[point] >= 2 and u[point] < math.inf and point != target


@njit(cache=True, error_model="numpy")
def edge_data(first, second, target, front, basis):
    """What ``curve_action`` needs to know of one edge and its target, as a tuple."""
    u, gradient, _, stride = front
    j0, i0 = first // stride - 1, first % stride - 1
    j1, i1 = second // stride - 1, second % stride - 1
    ei, ej = float(i1 - i0), float(j1 - j0)
    ex, ey = basis[0, 0] * ei + basis[0, 1] * ej, basis[1, 0] * ei + basis[1, 1] * ej
    t0 = gradient[first, 0] * ex + gradient[first, 1] * ey
    t1 = gradient[second, 0] * ex + gradient[second, 1] * ey
    xt, yt = float(target % stride - 1), float(target // stride - 1)
    return float(i0), float(j0), ei, ej, xt, yt, u[first], u[second] - u[first], t0, t1


@njit(cache=True, error_model="numpy")
def slide(first, second, s, target, front, b, metric, basis, inverse):
    """Minimise over an edge, and over the next ones on the same mesh line while the minimiser lies beyond the end.

    The value takes the action on twice as many nodes. One below both ends of its edge contradicts the order in which
    points are accepted.

    Returns:
        The candidate; it is infinitely far beyond when no minimiser was found within one edge length.
    """
    a0 = a1 = 0.0
    for _ in range(4):
        edge = edge_data(first, second, target, front, basis)
        converged, value, s, a0, a1, px, py = refine(s, a0, a1, True, edge, b, metric, basis, inverse)
        if not converged:
            break
        delta = second - first
        if s < -ON_EDGE and known(first - delta, target, front):
            first, second, s = first - delta, first, min(max(s + 1.0, 0.0), 1.0)
        elif s > 1.0 + ON_EDGE and known(second + delta, target, front):
            first, second, s = second, second + delta, min(max(s - 1.0, 0.0), 1.0)
        else:
            beyond = max(-s, s - 1.0, 0.0)
            if beyond > 1.0:
                break
            value += fine_action(s, a0, a1, edge, b, metric, basis, inverse)
            if value < min(front[0][first], front[0][second]):
                break
            return beyond, value, first, second, s, a0, a1, px, py
    return math.inf, math.inf, first, second, s, a0, a1, 0.0, 0.0


@njit(cache=True, error_model="numpy")
def better(one, two):
    """Whether a candidate is nearer to its edge than another, or as near and lower."""
    return one[0] < two[0] - ON_EDGE or (one[0] <= two[0] + ON_EDGE and one[1] < two[1])


@njit(cache=True, error_model="numpy")
def ring_point(target, m, k, front):
    """Point ``k`` of the 8 m on the square ring of half-width ``m`` around the target, anticlockwise from its lower right.

    A point of the padding, which is never known, where the ring leaves the mesh.
    """
    u, _, _, stride = front
    k %= 8 * m
    turn, place = k // (2 * m), k % (2 * m) - m
    if turn == 0:
        dx, dy = m, place
    elif turn == 1:
        dx, dy = -place, m
    elif turn == 2:
        dx, dy = -m, -place
    else:
        dx, dy = place, -m
    column, point = target % stride + dx, target + dx + dy * stride
    if column < 1 or column > stride - 2 or point < 0 or point >= len(u):
        return np.int64(0)
    return np.int64(point)


@njit(cache=True, error_model="numpy")
def crossed_edge(m, candidate, target, front, metric, basis, inverse):
    """The known edge of a ring where a candidate's path crosses it, ``(first, second, s)``; first is -1 for none.

    Beyond its foot the path is prolonged straight. Where one end of the edge is not known, the edge on the other side of
    the known end serves: where the mesh line turns, the path may cross that.
    """
    _, _, first, second, s, a0, a1, _, _ = candidate
    x0, y0, ei, ej, xt, yt, _, _, _, _ = edge_data(first, second, target, front, basis)
    zx, zy = x0 + s * ei, y0 + s * ej
    ix, iy = xt - zx, yt - zy
    ux, uy = normal_to(basis[0, 0] * ix + basis[0, 1] * iy, basis[1, 0] * ix + basis[1, 1] * iy, xt, yt, metric)
    nx, ny = inverse[0, 0] * ux + inverse[0, 1] * uy, inverse[1, 0] * ux + inverse[1, 1] * uy
    low, high = -1.0 - m, 1.0
    x, y = -ix, -iy
    for _ in range(16):
        r = 0.5 * (low + high)
        q = a0 * r * (1 - r) ** 2 - a1 * r * r * (1 - r) if r > 0 else a0 * r
        x, y = (r - 1) * ix + q * nx, (r - 1) * iy + q * ny
        if max(abs(x), abs(y)) > m:
            low = r
        else:
            high = r
    if abs(x) >= abs(y):
        turn, along = (0, y) if x > 0 else (2, -y)
    else:
        turn, along = (1, -x) if y > 0 else (3, x)
    below = min(max(math.floor(along), -m), m - 1)
    k = np.int64((2 * turn + 1) * m + below)
    one, two = ring_point(target, m, k, front), ring_point(target, m, k + 1, front)
    begins, ends = known(one, target, front), known(two, target, front)
    if begins and ends:
        return one, two, along - below
    if begins:
        before = ring_point(target, m, k + 8 * m - 1, front)
        if known(before, target, front):
            return before, one, 1.0
    if ends:
        after = ring_point(target, m, k + 2, front)
        if known(after, target, front):
            return two, after, 0.0
    return np.int64(-1), np.int64(-1), 0.0


@njit(cache=True, error_model="numpy")
def alone(base, target, front, b, metric, basis, inverse):
    """Value and gradient of a target reached from one known point by a curved path."""
    x0, y0, ei, ej, xt, yt, u0, _, _, _ = edge_data(base, base + 1, target, front, basis)
    lone = (x0, y0, ei, ej, xt, yt, u0, 0.0, 0.0, 0.0)
    converged, value, _, _, _, px, py = refine(0.0, 0.0, 0.0, False, lone, b, metric, basis, inverse)
    if not converged:
        value, _, _, _, px, py = curve_action(0.0, 0.0, 0.0, lone, b, metric, basis, inverse)
    return value, px, py


@njit(cache=True, error_model="numpy")
def straight_bound(target, front, near, b, metric, basis):
    """Least cost of a straight step (Simpson's rule) from a known neighbour, and that neighbour; U is at most that."""
    u, _, _, stride = front
    row, column = target // stride - 1, target % stride - 1
    bound, base = math.inf, np.int64(-1)
    for k in range(8):
        point = target + near[k]
        if known(point, target, front):
            j, i = point // stride - 1, point % stride - 1
            lx = basis[0, 0] * (column - i) + basis[0, 1] * (row - j)
            ly = basis[1, 0] * (column - i) + basis[1, 1] * (row - j)
            action = 0.0
            for m, weight in enumerate((1, 4, 1)):
                r, c = (2 - m) * j + m * row, (2 - m) * i + m * column
                action += weight / 6 * segment_action(b[r, c, 0], b[r, c, 1], lx, ly, metric, r, c)
            if u[point] + action < bound:
                bound, base = u[point] + action, point
    return bound, base


@njit(cache=True, error_model="numpy")
def seek_jet(target, one, edge, front, near, b, metric, basis, inverse):
    """The jet of a point that is about to be accepted: ``(how it was found, value, px, py)``.

    When the march's edge holds no minimiser, every edge at its best single base is tried, then every edge on the rings
    around; when none holds one, the base alone serves, with a curved path.

    ``one`` is the best single base, ``edge`` the march's edge and place on it.
    """
    stride = front[3]
    first, second, place = edge
    best = (math.inf, math.inf, one, one, 0.0, 0.0, 0.0, 0.0, 0.0)
    if second >= 0:
        best = slide(first, second, place, target, front, b, metric, basis, inverse)
    found = 1
    if best[0] > ON_EDGE:
        found = 2
        for k in range(8):
            two = one + near[k]
            if known(two, target, front):
                other = slide(one, two, 0.5, target, front, b, metric, basis, inverse)
                if better(other, best):
                    best = other
    m = 1
    while best[0] == math.inf and m <= FURTHER:
        for k in range(8 * m):
            begin, end = ring_point(target, m, k, front), ring_point(target, m, k + 1, front)
            if known(begin, target, front) and known(end, target, front):
                other = slide(begin, end, 0.5, target, front, b, metric, basis, inverse)
                if better(other, best):
                    best = other
        m += 1
    if best[0] == math.inf:
        return 3, *alone(one, target, front, b, metric, basis, inverse)
    x, y = target % stride, target // stride
    reach = max(abs(best[2] % stride - x), abs(best[2] // stride - y))
    reach = min(reach, max(abs(best[3] % stride - x), abs(best[3] // stride - y)))
    for m in range(1, reach if best[0] <= ON_EDGE else reach + FURTHER):
        begin, end, s = crossed_edge(m, best, target, front, metric, basis, inverse)
        if begin >= 0:
            other = slide(begin, end, s, target, front, b, metric, basis, inverse)
            if other[0] <= ON_EDGE:
                best = other
                break
    return found, best[1], best[7], best[8]


@njit(cache=True, error_model="numpy")
def accept_jet(target, u, base, partner, fraction, gradient, status, stride, near, b, metric, basis, inverse):
    """Replace the trial value of a point that is about to be accepted by its jet; tell how it was found.

    No point is accepted above what a straight step from a known neighbour costs: the edges at that neighbour are tried
    then, and at last the neighbour alone.

    Returns:
        1 for the march's edge, 2 for an edge found by the wider search, 3 for a single base.
    """
    front = (u, gradient, status, stride)
    edge = (np.int64(partner[target, 0]), np.int64(partner[target, 1]), fraction[target])
    found, value, px, py = seek_jet(target, np.int64(base[target]), edge, front, near, b, metric, basis, inverse)
    bound, neighbour = straight_bound(target, front, near, b, metric, basis)
    if value > bound + EXCESS * (bound - u[neighbour]):
        found, value, px, py = 3, *alone(neighbour, target, front, b, metric, basis, inverse)
        for k in range(8):
            other = neighbour + near[k]
            if known(other, target, front):
                beyond, lower, _, _, _, _, _, qx, qy = slide(neighbour, other, 0.5, target, front, b, metric, basis, inverse)
                if beyond <= ON_EDGE and lower < value:
                    found, value, px, py = 2, lower, qx, qy
    u[target], gradient[target, 0], gradient[target, 1] = value, px, py
    return found
