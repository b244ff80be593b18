"""The label-setting march, compiled: one loop for both methods, every drift and every diffusion.

Points are accepted in the order of their values, as in Dijkstra's method; each accepted point improves the Considered
points of a disc around it. Update rule of olim2D (hierarchical): a new point tries one triangle with the best single base
so far, and all its triangles only when it becomes that base itself (or always, with ``every``). With ``jet`` None this is
OLIM with the midpoint rule; with jets the trial values use the cubic front and the accepted value is refined by
``accept.accept_jet``; a point whose refined value lies well above its trial value waits until it is the lowest again.

On a periodic axis the mesh goes on beyond both ends by as much as an update reaches. Only the points of the core wait in the
heap; what is beyond are images of them, which are known as soon as the point in the core is.
"""

import numpy as np
from numba import njit

from ...marching.front import (
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
from .accept import DEFER, accept_jet
from .segments import segment_action
from .trial import DEFERRED, LONE_BASES, WIDE_SEARCHES, best_single, improve


@njit(cache=True, error_model="numpy")
def update_disc(new, half_widths, every, known, jet, marks, heap, near, b, metric, basis, state):
    """Improve the Considered points in the disc around a point that has just become known."""
    (u, single, base), (status, front, considered, waiting), (keys, ids, where) = known, marks, heap
    ny, nx = (b.shape[0] + 1) // 2, (b.shape[1] + 1) // 2
    stride = nx + 2
    row, column = new // stride, new % stride
    j_new, i_new, u_new = row - 1, column - 1, u[new]
    e00, e01, e10, e11 = basis[0, 0], basis[0, 1], basis[1, 0], basis[1, 1]
    radius = len(half_widths) - 1
    side = np.empty(4, np.int64)
    sides = edges_of(new, near, 4, stride, status, front, waiting, side)
    for dj in range(-radius, radius + 1):
        r = row + dj
        if r < 1 or r > ny:
            continue
        half = half_widths[abs(dj)]
        low, high = max(column - half, 1), min(column + half, nx)
        for word in range(low >> 6, (high >> 6) + 1):
            flags = masked_word(considered, r, word, low, high)
            while flags != 0:
                col = (word << 6) + np.int64(count_trailing_zeros(flags))  # pyright: ignore[reportCallIssue]
                flags &= flags - np.uint64(1)
                point = r * stride + col
                other = np.int64(base[point])
                if other < 0:
                    continue
                di = col - column
                lx, ly = di * e00 + dj * e01, di * e10 + dj * e11
                mr, mc = j_new + r - 1, i_new + col - 1
                state[SINGLES] += 1
                trial = u_new + segment_action(b[mr, mc, 0], b[mr, mc, 1], lx, ly, metric, mr, mc)
                lower = trial < single[point]
                shift = new - other
                if not (lower or every or shift == 1 or shift == -1 or shift == stride or shift == -stride):
                    continue
                best = u[point]
                if lower:
                    single[point] = trial
                    base[point] = new
                    best = min(best, trial)
                if lower or every:
                    for k in range(sides):
                        step = near[side[k]]
                        ej = int(step > 1) - int(step < -1)
                        ei, second = step - ej * stride, new + step
                        edge = (new, i_new, j_new, second, ei, ej)
                        best = improve(point, col - 1, r - 1, edge, best, u, jet, b, metric, basis, state)
                else:
                    ej = np.int64(shift == stride) - np.int64(shift == -stride)
                    ei = shift - ej * stride
                    edge = (other, i_new - ei, j_new - ej, new, ei, ej)
                    best = improve(point, col - 1, r - 1, edge, best, u, jet, b, metric, basis, state)
                if best < u[point]:
                    u[point] = best
                    decrease(keys, ids, where, point, best)


@njit(cache=True, error_model="numpy")
def enlist(new, core, half_widths, known, jet, marks, heap, size, near, b, metric, basis, state):
    """Give the unknown neighbours of a known point, as far as they lie in the core, a trial value; the heap's new size."""
    (u, single, base), (status, front, considered, _), (keys, ids, where) = known, marks, heap
    stride = (b.shape[1] + 1) // 2 + 2
    for k in range(8):
        point = new + near[k]
        row, column = point // stride, point % stride
        if status[point] != UNKNOWN or not (core[0] <= column < core[1] and core[2] <= row < core[3]):
            continue
        status[point] = CONSIDERED
        set_bit(considered, row, column)
        best, i, j = best_single(point, front, u, half_widths, b, metric, basis, stride, state)
        first = j * stride + i
        single[point] = best
        base[point] = first
        for m in range(4):
            second = first + near[m]
            if status[second] == FRONT:
                ej = int(near[m] > 1) - int(near[m] < -1)
                ei = near[m] - ej * stride
                edge = (first, i - 1, j - 1, second, ei, ej)
                best = improve(point, column - 1, row - 1, edge, best, u, jet, b, metric, basis, state)
        u[point] = best
        push(keys, ids, where, size, point, best)
        size += 1
    return size


@njit(cache=True, error_model="numpy")
def march(b, metric, basis, half_widths, every, margin, level, batch, images, core, known, jet, marks, heap, state):
    """Accept up to ``batch`` points; the arrays and ``state`` carry everything from one call to the next.

    Args:
        b: drift on the half-grid, ``(2 ny - 1, 2 nx - 1, 2)``.
        metric: None for the identity, else A on the half-grid, ``(2 ny - 1, 2 nx - 1, 3)`` as (A11, A12, A22).
        basis: ``(2, 2)``, its columns the two mesh vectors.
        half_widths: rows of the update disc.
        every: try all triangles of a new point, not only those with the best single base.
        margin: stop when a point this close to the edge of the mesh is accepted, in x and in y; -1 never stops there.
        level: stop when the next value lies above it.
        batch: how many points to accept before returning.
        images: columns and rows from a point to itself and to its images, ``(n, 2)``.
        core: the first and the end of the padded columns, then rows, of the points that are not images.
        known: u, the best value from one base and that base, -1 where u is given, ``(n,)`` each.
        jet: None, or (gradient ``(n, 2)``, best edge ``(n, 2)``, place on it ``(n,)``, inverse of ``basis``).
        marks: what each point is ``(n,)``; bit sets of the Front and of the Considered points; how many neighbours of a
            point are not known yet ``(n,)``.
        heap: keys, points, and where each point is.
        state: the counters named in ``front`` and ``trial``.
    """
    ny, nx = (b.shape[0] + 1) // 2, (b.shape[1] + 1) // 2
    stride = nx + 2
    near = np.array([1, stride, -1, -stride, stride + 1, stride - 1, -stride - 1, -stride + 1])
    size, count = state[HEAP_SIZE], state[ACCEPTED_COUNT]
    goal = count + batch
    same = np.empty(len(images), np.int64)
    (u, _, base), (status, front, considered, _), (keys, ids, where) = known, marks, heap
    while size > 0 and count < goal:
        if keys[0] > level:
            state[STOPPED] = 2
            break
        key = keys[0]
        new = np.int64(pop(keys, ids, where, size))
        size -= 1
        if jet is not None and base[new] >= 0:
            found = accept_jet(new, u, base, jet[1], jet[2], jet[0], status, stride, near, b, metric, basis, jet[3])
            if size > 0 and u[new] > keys[0] and u[new] - key > DEFER * (u[new] - u[base[new]]):
                push(keys, ids, where, size, new, u[new])
                size += 1
                state[DEFERRED] += 1
                continue
            state[WIDE_SEARCHES] += found == 2
            state[LONE_BASES] += found == 3
        count += 1
        copies = 0
        for k in range(len(images)):
            row, column = new // stride + images[k, 1], new % stride + images[k, 0]
            if row < 1 or row > ny or column < 1 or column > nx:
                continue
            same[copies] = row * stride + column
            u[same[copies]] = u[new]
            if jet is not None:
                jet[0][same[copies]] = jet[0][new]
            status[same[copies]] = FRONT
            set_bit(front, row, column)
            copies += 1
        row, column = new // stride, new % stride
        clear_bit(considered, row, column)
        if min(column - 1, nx - column) <= margin[0] or min(row - 1, ny - row) <= margin[1]:
            state[STOPPED] = 1
            break
        for k in range(copies):
            update_disc(same[k], half_widths, every, known, jet, marks, heap, near, b, metric, basis, state)
        for k in range(copies):
            size = enlist(same[k], core, half_widths, known, jet, marks, heap, size, near, b, metric, basis, state)
    state[HEAP_SIZE], state[ACCEPTED_COUNT] = size, count
