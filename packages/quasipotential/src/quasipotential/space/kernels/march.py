"""The label-setting march in space, compiled: hierarchical one-, two- and three-point updates.

As in the plane, points are accepted in the order of their values, and each improves the Considered points of a ball around
it. A new point tries one edge, with the best single base so far, and all its edges when it becomes that base itself;
triangles are tried at the edges that hold a minimum (arXiv 1808.00562, section 3).

A mesh of ``nx`` by ``ny`` by ``nz`` points is stored with one layer of padding, flat: point ``(i, j, k)`` is
``row * (nx + 2) + i + 1`` with ``row = (k + 1) * (ny + 2) + j + 1``; the padding is Accepted from the start. On the
half-grid, flat too, its place is ``2 q`` with ``q = (k * (2 ny - 1) + j) * (2 nx - 1) + i``, and the place half-way between
two points is the sum of their ``q``.
"""

import math

import numpy as np
from numba import njit, types
from numba.extending import overload

from ...marching.front import (
    ACCEPTED,
    ACCEPTED_COUNT,
    CONSIDERED,
    FRONT,
    HEAP_SIZE,
    SINGLES,
    STOPPED,
    UNKNOWN,
    clear_bit,
    count_trailing_zeros,
    decrease,
    edges_of,
    masked_word,
    pop,
    push,
    set_bit,
)
from .simplex import action, edge_update, minus, plus, triangle_update

EDGES, TRIANGLES = range(4, 6)
"""Further places in the integer state, after those of ``front``."""


@njit(cache=True, error_model="numpy", inline="always")
def triple(table, place):
    """A row of three numbers as a tuple."""
    return float(table[place, 0]), float(table[place, 1]), float(table[place, 2])


def metric(table, place):
    """A row of six numbers as a tuple; None without a table. Compiled code takes :func:`_metric`, chosen by type."""
    return None if table is None else tuple(float(x) for x in table[place])


@overload(metric)
def _metric(table, place):
    if isinstance(table, types.NoneType):
        return lambda table, place: None
    return lambda table, place: (
        float(table[place, 0]),
        float(table[place, 1]),
        float(table[place, 2]),
        float(table[place, 3]),
        float(table[place, 4]),
        float(table[place, 5]),
    )


@njit(cache=True, error_model="numpy", inline="always")
def along(basis, i, rest):
    """``rest`` and ``i`` mesh vectors in x."""
    return basis[0, 0] * i + rest[0], basis[1, 0] * i + rest[1], basis[2, 0] * i + rest[2]


@njit(cache=True, error_model="numpy", inline="always")
def across(basis, j, k):
    """``j`` mesh vectors in y and ``k`` in z."""
    return (
        basis[0, 1] * j + basis[0, 2] * k,
        basis[1, 1] * j + basis[1, 2] * k,
        basis[2, 1] * j + basis[2, 2] * k,
    )


@njit(cache=True, error_model="numpy")
def which_neighbour(shift, stride, layer, number):
    """Number of the neighbour that lies ``shift`` further in the flat arrays; -1 for none of the first 18."""
    k = np.int64(2 * shift > layer) - np.int64(2 * shift < -layer)
    shift -= k * layer
    j = np.int64(2 * shift > stride) - np.int64(2 * shift < -stride)
    i = shift - j * stride
    return number[i + 1, j + 1, k + 1] if -1 <= i <= 1 else np.int64(-1)


@njit(cache=True, error_model="numpy")
def try_edge(first, which, half, w, best, u, status, field, neighbours, state):
    """Best value through the edge from ``first`` to its neighbour number ``which``, and through its triangles.

    ``w`` leads from ``first`` to the target, and ``half`` is the place half-way. Triangles are tried where the edge holds a
    minimum.
    """
    near, vectors, halves, thirds, _ = neighbours
    b, table = field
    b0, a0 = triple(b, half), metric(table, half)
    db1, e1 = minus(triple(b, half + halves[which]), b0), triple(vectors, which)
    da1 = plus(metric(table, half + halves[which]), -1.0, a0)
    begin = u[first]
    rise = u[first + near[which]] - begin
    state[EDGES] += 1
    value, s = edge_update(begin, rise, (b0, db1), (w, e1), (a0, da1))
    if s < 0.0:
        return best
    best = min(best, value)
    for m in range(thirds.shape[1]):
        other = thirds[which, m]
        if other < 0:
            break
        if status[first + near[other]] != FRONT:
            continue
        db2, e2 = minus(triple(b, half + halves[other]), b0), triple(vectors, other)
        da2 = plus(metric(table, half + halves[other]), -1.0, a0)
        state[TRIANGLES] += 1
        further = u[first + near[other]] - begin
        best = min(best, triangle_update(s, begin, rise, further, (b0, db1, db2), (w, e1, e2), (a0, da1, da2)))
    return best


@njit(cache=True, error_model="numpy")
def update_ball(new, here, ball, known, marks, heap, field, basis, neighbours, size, state):
    """Improve the Considered points in the ball around a point that has just become known."""
    (u, single, base), (status, front, considered, waiting), (keys, ids, where) = known, marks, heap
    near, vectors, halves, _, number = neighbours
    stride, layer = size[0] + 2, (size[0] + 2) * (size[1] + 2)
    half = (here[2] * (2 * size[1] - 1) + here[1]) * (2 * size[0] - 1) + here[0]
    side = np.empty(18, np.int64)
    sides = edges_of(new, near, 18, stride, status, front, waiting, side)
    row, column, u_new = new // stride, here[0] + 1, u[new]
    for m in range(len(ball)):
        dj, dk, wide = ball[m, 0], ball[m, 1], ball[m, 2]
        if not (0 <= here[1] + dj < size[1] and 0 <= here[2] + dk < size[2]):
            continue
        r = row + dk * (size[1] + 2) + dj
        low, high = max(column - wide, 1), min(column + wide, size[0])
        rest = across(basis, dj, dk)
        begin = 2 * half + (dk * (2 * size[1] - 1) + dj) * (2 * size[0] - 1)
        for word in range(low >> 6, (high >> 6) + 1):
            flags = masked_word(considered, r, word, low, high)
            while flags != 0:
                col = (word << 6) + np.int64(count_trailing_zeros(flags))  # pyright: ignore[reportCallIssue]
                flags &= flags - np.uint64(1)
                point = r * stride + col
                if base[point] < 0:
                    continue
                di = col - column
                w = along(basis, di, rest)
                state[SINGLES] += 1
                trial = u_new + action(triple(field[0], begin + di), w, metric(field[1], begin + di))
                best = u[point]
                if trial < single[point]:
                    single[point] = trial
                    base[point] = new
                    best = min(best, trial)
                    for n in range(sides):
                        best = try_edge(new, side[n], begin + di, w, best, u, status, field, neighbours, state)
                else:
                    first = np.int64(base[point])
                    if abs(new - first) > layer + stride:
                        continue
                    which = which_neighbour(new - first, stride, layer, number)
                    if which >= 0:
                        back = vectors[which]
                        w = (w[0] + back[0], w[1] + back[1], w[2] + back[2])
                        best = try_edge(
                            first, which, begin + di - halves[which], w, best, u, status, field, neighbours, state
                        )
                if best < u[point]:
                    u[point] = best
                    decrease(keys, ids, where, point, best)


@njit(cache=True, error_model="numpy")
def enlist(new, here, ball, known, marks, heap, count, field, basis, neighbours, size, state):
    """Give the unknown neighbours of a known point a trial value; the heap's new size."""
    (u, single, base), (status, front, considered, _), (keys, ids, where) = known, marks, heap
    near = neighbours[0]
    stride, wide_y, wide_x = size[0] + 2, 2 * size[1] - 1, 2 * size[0] - 1
    for n in range(26):
        point = new + near[n]
        if status[point] != UNKNOWN:
            continue
        row, column = point // stride, point % stride
        k, j = row // (size[1] + 2) - 1, row % (size[1] + 2) - 1
        half = (k * wide_y + j) * wide_x + column - 1
        status[point] = CONSIDERED
        set_bit(considered, row, column)
        best, first, middle, way = math.inf, np.int64(-1), half, (0.0, 0.0, 0.0)
        for m in range(len(ball)):
            dj, dk, wide = ball[m, 0], ball[m, 1], ball[m, 2]
            if not (0 <= j + dj < size[1] and 0 <= k + dk < size[2]):
                continue
            r = row + dk * (size[1] + 2) + dj
            low, high = max(column - wide, 1), min(column + wide, size[0])
            rest = across(basis, -dj, -dk)
            begin = 2 * half + (dk * wide_y + dj) * wide_x
            for word in range(low >> 6, (high >> 6) + 1):
                flags = masked_word(front, r, word, low, high)
                while flags != 0:
                    col = (word << 6) + np.int64(count_trailing_zeros(flags))  # pyright: ignore[reportCallIssue]
                    flags &= flags - np.uint64(1)
                    di = col - column
                    w = along(basis, -di, rest)
                    other = r * stride + col
                    if u[other] >= best:
                        continue
                    state[SINGLES] += 1
                    trial = u[other] + action(triple(field[0], begin + di), w, metric(field[1], begin + di))
                    if trial < best:
                        best, first, middle, way = trial, other, begin + di, w
        single[point], base[point] = best, first
        for m in range(18):
            if status[first + near[m]] == FRONT:
                best = try_edge(first, m, middle, way, best, u, status, field, neighbours, state)
        u[point] = best
        push(keys, ids, where, count, point, best)
        count += 1
    return count


@njit(cache=True, error_model="numpy")
def march(field, basis, size, ball, neighbours, edge, level, batch, known, marks, heap, state):
    """Accept up to ``batch`` points; the arrays and ``state`` carry everything from one call to the next.

    Args:
        field: drift on the half-grid, flat: ``((2 nz - 1) (2 ny - 1) (2 nx - 1), 3)``; and the upper triangle of A there,
            six numbers, or None for the identity.
        basis: ``(3, 3)``, its columns the three mesh vectors.
        size: ``(nx, ny, nz)``.
        ball: rows of the update ball: steps in y and z and half-width in x, ``(m, 3)``.
        neighbours: of the 26 neighbours, those that differ in one or two coordinates first, the steps in the flat arrays;
            of these 18 the vectors ``(18, 3)``, the steps on the half-grid, what completes them to triangles ``(18, 8)``
            (-1 for none), and their numbers by steps plus one, ``(3, 3, 3)``, -1 for others.
        edge: stop when a point this close to the edge of the mesh is accepted; -1 never stops there.
        level: stop when the next value lies above it.
        batch: how many points to accept before returning.
        known: u, value and place of the best single base, ``(n,)`` each; the place is -1 where u is given.
        marks: what each point is ``(n,)``; bit sets of the Front and of the Considered points; how many neighbours of a
            point are not known yet ``(n,)``.
        heap: keys, points, and where each point is.
        state: the counters named above and in ``front``.
    """
    status, front, considered, waiting = marks
    keys, ids, where = heap
    stride = size[0] + 2
    count, accepted = state[HEAP_SIZE], state[ACCEPTED_COUNT]
    goal = accepted + batch
    while count > 0 and accepted < goal:
        if keys[0] > level:
            state[STOPPED] = 2
            break
        new = np.int64(pop(keys, ids, where, count))
        count -= 1
        accepted += 1
        row, column = new // stride, new % stride
        clear_bit(considered, row, column)
        if waiting[new] > 0:
            status[new] = FRONT
            set_bit(front, row, column)
        else:
            status[new] = ACCEPTED
        here = (column - 1, row % (size[1] + 2) - 1, row // (size[1] + 2) - 1)
        rim = min(here[0], here[1], here[2], size[0] - 1 - here[0], size[1] - 1 - here[1], size[2] - 1 - here[2])
        if rim <= edge:
            state[STOPPED] = 1
            break
        update_ball(new, here, ball, known, marks, heap, field, basis, neighbours, size, state)
        count = enlist(new, here, ball, known, marks, heap, count, field, basis, neighbours, size, state)
    state[HEAP_SIZE], state[ACCEPTED_COUNT] = count, accepted
