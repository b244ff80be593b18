"""One solve in space around the compiled march: its arrays, its start values, a progress bar, and what comes back."""

import numpy as np

from ...marching.front import ACCEPTED, CONSIDERED, FRONT, HEAP_SIZE, bit_set, count_waiting, heap_of, run
from .march import march


def _neighbours(size, basis):
    """The neighbours of a point, see ``march``: an edge along the mesh completes to eight triangles, a diagonal to two."""
    steps = sorted(np.ndindex(3, 3, 3), key=lambda s: sum(abs(x - 1) for x in s))[1:]
    steps = np.array(steps) - 1
    nx, ny, _ = size
    near = steps @ [1, nx + 2, (nx + 2) * (ny + 2)]
    first, number, thirds = steps[:18], np.full((3, 3, 3), -1), np.full((18, 8), -1)
    for k, step in enumerate(first):
        number[tuple(step + 1)] = k
        apart = np.abs(first - step)
        reach = 2 if np.abs(step).sum() == 1 else 1
        other = np.flatnonzero((apart.sum(1) <= reach) & (apart.max(1) == 1))
        thirds[k, : len(other)] = other
    halves = first @ [1, 2 * nx - 1, (2 * nx - 1) * (2 * ny - 1)]
    return near, np.ascontiguousarray(first @ basis.T), halves, thirds, number


def sweep(box, table, noise, start, radius, stop, level, progress):
    """March, and give back the values ``(nz, ny, nx)``, NaN where it did not come, the counters and its seconds.

    ``noise`` is one D ``(3, 3)``, or the upper triangle of its inverse on the half-grid.
    """
    b, metric, basis = table.reshape(-1, 3), None, np.diag(box.spacing)
    if noise.ndim == 4:
        metric = noise.reshape(-1, 6)
    elif not np.array_equal(noise, np.eye(3)):
        back = np.linalg.inv(np.linalg.cholesky(noise))  # a constant D is a sheared mesh with D = I
        b, basis = b @ back.T.astype(b.dtype), back @ basis
    nx, ny, nz = box.shape
    padded = (nz + 2, ny + 2, nx + 2)
    status = np.full(padded, ACCEPTED, np.uint8)
    status[1:-1, 1:-1, 1:-1] = 0
    around, code, values = start
    place = tuple(around[:, ::-1].T + 1)
    status[place] = np.where(code == 1, FRONT, CONSIDERED)
    grid = np.full(padded, np.inf)
    grid[place] = values
    u = grid.reshape(-1)
    waiting = count_waiting(status)
    status[(status == FRONT) & (waiting == 0)] = ACCEPTED
    flat = status.reshape(-1)
    front, considered = (bit_set((status == kind).reshape(-1, nx + 2)) for kind in (FRONT, CONSIDERED))
    first = np.flatnonzero(flat == CONSIDERED)
    state = np.zeros(6, np.int64)
    state[HEAP_SIZE] = len(first)
    known = (u, np.full(u.size, np.inf), np.full(u.size, -1, np.int32))
    marks, heap = (flat, front, considered, waiting.reshape(-1)), heap_of(u, first)
    neighbours = _neighbours(box.shape, basis)
    edge = 1 if stop == "boundary" else -1

    def accept(batch):
        march((b, metric), basis, box.shape, _ball(radius), neighbours, edge, float(level), batch, known, marks, heap, state)

    seconds = run(accept, state, nx * ny * nz, progress)
    grid[status < FRONT] = np.nan
    return grid[1:-1, 1:-1, 1:-1].copy(), state, seconds


def _ball(radius):
    """Rows of the ball ``i*i + j*j + k*k <= radius**2``: steps in y and z and half-width in x."""
    j, k = np.meshgrid(*2 * (np.arange(-radius, radius + 1),))
    rest = max(radius * radius, 3) - j * j - k * k
    inside = rest >= 0
    return np.stack([j[inside], k[inside], np.sqrt(rest[inside]).astype(np.int64)], -1)
