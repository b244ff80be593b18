"""One solve around the compiled march: its arrays, its start values, a progress bar, and what comes back."""

import math
import sys

import numpy as np

from claimkit.errors import InputError

from ...marching.front import (
    ACCEPTED,
    ACCEPTED_COUNT,
    CONSIDERED,
    FRONT,
    HEAP_SIZE,
    bit_set,
    count_waiting,
    heap_of,
    run,
)
from .march import march


def _problem(grid, b, d):
    """Drift table, metric table (None for the identity) and mesh vectors.

    A constant D becomes a sheared mesh with D = I.
    """
    basis = np.diag(grid.spacing)
    if d.ndim == 3:
        a, c, e = d[..., 0], d[..., 1], d[..., 3]
        determinant = a * e - c * c
        return b, np.stack([e / determinant, -c / determinant, a / determinant], -1), basis, np.eye(2)
    if np.array_equal(d, np.eye(2)):
        return b, None, basis, np.eye(2)
    back = np.linalg.inv(np.linalg.cholesky(d))
    return b @ back.T, None, back @ basis, back


def sweep(grid, b, d, starts, offsets, method, radius, every, stop, level, progress):
    """Set the arrays up, march, and give back values ``(ny, nx)``, gradient ``(ny, nx, 2)``, counters and seconds."""
    wide = _Halo(grid, radius)
    nx, ny = wide.shape
    stride, size = nx + 2, (nx + 2) * (ny + 2)
    d = d if d.ndim == 2 else grid.unroll(d, wide.low, wide.shape)
    b, metric, basis, back = _problem(grid, grid.unroll(b, wide.low, wide.shape), d)
    u = np.full(size, np.inf)
    single = np.full(size, np.inf)
    base = np.full(size, -1, np.int32)
    status = np.zeros((ny + 2, nx + 2), np.uint8)
    status[[0, -1]] = ACCEPTED
    status[:, [0, -1]] = ACCEPTED
    flat_status = status.reshape(-1)
    state = np.zeros(9, np.int64)
    gradient = np.zeros((size, 2)) if method == "jet" else None
    for begin, offset in zip(starts, offsets, strict=True):
        for which, place in wide.places(begin.columns, begin.rows):
            value, slope = begin.values[which] + offset, begin.slopes[which] @ np.linalg.inv(back)
            lower = value < u[place]
            place = place[lower]
            u[place] = value[lower]
            flat_status[place] = np.array([ACCEPTED, FRONT, CONSIDERED], np.uint8)[begin.ring[which][lower]]
            if gradient is not None:
                gradient[place] = slope[lower]
    core = np.zeros(status.shape, bool)
    core[wide.core[2] : wide.core[3], wide.core[0] : wide.core[1]] = True
    front, considered = bit_set(status == FRONT), bit_set((status == CONSIDERED) & core)
    heap = heap_of(u, np.flatnonzero((flat_status == CONSIDERED) & core.reshape(-1)))
    state[HEAP_SIZE] = (status[core] == CONSIDERED).sum()
    known, marks = (u, single, base), (flat_status, front, considered, count_waiting(status).reshape(-1))
    given = sum(int((begin.ring < 2).sum()) for begin in starts)
    jet = None
    if gradient is not None:
        jet = (gradient, np.full((size, 2), -1, np.int32), np.zeros(size), np.linalg.inv(basis))
    margin = np.where(grid.periodic, -1, 1 if stop == "boundary" else -1)

    def accept(batch):
        reach = radius
        if jet is not None and batch:
            reach, most = _reach((int(state[ACCEPTED_COUNT]) + given) / len(starts), radius)
            batch = min(batch, most)
        march(
            b, metric, basis, disc_half_widths(reach), every, margin, float(level), batch, wide.images, wide.core,
            known, jet, marks, heap, state,
        )  # fmt: skip

    seconds = run(accept, state, int(core.sum()), progress)
    for begin, offset in zip(starts, offsets, strict=True):
        _, place = next(wide.places(begin.columns, begin.rows))
        around = float(u[np.add.outer(place, [1, -1, stride, -stride])].min())
        if around < offset - 1e-9 * (1 + abs(offset)) and len(starts) > 1:
            x, y = begin.local.center
            raise InputError(
                f"The offset {offset:.6g} of the attractor ({x:.6g}, {y:.6g}) lies above the value {around:.6g} that the "
                "others reach beside it; leave that attractor out."
            )
    values = u.reshape(ny + 2, nx + 2)[1:-1, 1:-1].copy()
    values[status[1:-1, 1:-1] < FRONT] = np.nan
    if gradient is not None:
        slopes = gradient.reshape(ny + 2, nx + 2, 2)[1:-1, 1:-1] @ back
        slopes[np.isnan(values)] = np.nan
    else:
        along_y, along_x = np.gradient(values, *grid.spacing[::-1])
        slopes = np.stack([along_x, along_y], -1)
    return wide.fold(values), wide.fold(slopes), state, seconds


class _Halo:
    """The mesh with its periodic axes prolonged beyond both ends by as much as an update reaches.

    Attributes:
        shape: points ``(nx, ny)`` with the halo; on a periodic axis the last point, which is the first, is left out.
        low: mesh column and row of its first point.
        core: first and end of the padded columns, then rows, of the mesh itself.
        images: columns and rows from a point to itself and to its images, ``(m, 2)``.
    """

    def __init__(self, grid, radius):
        self.count = np.array(grid.shape) - grid.periodic
        halo = np.where(grid.periodic, np.minimum(radius + 4, self.count), 0)
        self.shape = tuple((self.count + 2 * halo).tolist())
        self.low = tuple((-halo).tolist())
        first = halo + 1
        self.core = np.stack([first, first + self.count], -1).reshape(-1)
        turns = [(0, -1, 1) if periodic else (0,) for periodic in grid.periodic]
        self.images = np.array([(i * self.count[0], j * self.count[1]) for j in turns[1] for i in turns[0]])
        self.grid = grid

    def places(self, columns, rows):
        """Of points given by mesh columns and rows, those in the core and then each set of images: which, and the places."""
        column, row = columns - self.low[0], rows - self.low[1]
        if self.grid.periodic[0]:
            column = columns % self.count[0] - self.low[0]
        if self.grid.periodic[1]:
            row = rows % self.count[1] - self.low[1]
        for di, dj in self.images:
            i, j = column + di, row + dj
            which = (i >= 0) & (i < self.shape[0]) & (j >= 0) & (j < self.shape[1])
            yield which, (j[which] + 1) * (self.shape[0] + 2) + i[which] + 1

    def fold(self, table):
        """The mesh's own part of a table, with the first column or row of a periodic axis once more at its end."""
        columns, rows = (np.arange(n) % k - low for n, k, low in zip(self.grid.shape, self.count, self.low, strict=True))
        return table[np.ix_(rows, columns)]


def _reach(known, radius):
    """Reach of an update of jets while ``known`` points around an attractor have values, and for how many points it holds.

    No farther than the known points extend: the midpoint rule undervalues a segment that crosses the attractor, where the
    drift vanishes, and a point would be accepted too early and too low.
    """
    reach = max(2, int(math.sqrt(known / math.pi)))
    if reach >= radius:
        return radius, sys.maxsize
    return reach, max(1, math.ceil(math.pi * (reach + 1) ** 2 - known))


def disc_half_widths(radius: int) -> np.ndarray:
    """Half-width of each row of the disc ``i*i + j*j <= max(radius*radius, 2)``, for rows 0 to ``radius``."""
    square = max(radius * radius, 2)
    rows = np.arange(radius + 1)
    return np.floor(np.sqrt(square - rows * rows)).astype(np.int64)
