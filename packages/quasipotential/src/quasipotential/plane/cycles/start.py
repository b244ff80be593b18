"""Where the march begins around a limit cycle: the mesh points whose values come from the polynomial across it."""

import numpy as np

from claimkit.errors import InputError

from ..mesh import Mesh
from ..start import RESIDUAL, Start, TooCoarseError, grow, residual, rings
from .orbit import LimitCycle
from .tube import Tube, expand_tube

WIDEST = 0.25
"""Largest half-width of a tube as a share of the cycle's reach."""


def find_tube_start(mesh: Mesh, drift: np.ndarray, diffusion: np.ndarray, cycle: LimitCycle, fields) -> Start:
    """The widest tube on which the polynomial solves the equation, and every mesh cell that the cycle crosses.

    Args:
        mesh: the mesh.
        drift: half-grid table ``(2 ny - 1, 2 nx - 1, 2)``.
        diffusion: half-grid table ``(2 ny - 1, 2 nx - 1, 4)``, or one matrix ``(2, 2)``.
        cycle: a stable limit cycle at least three mesh points inside the domain.
        fields: drift and diffusion as functions of points, or the ``Tube`` where it is known already.

    Raises:
        InputError: where the cycle is unstable or too near to the edge, or the mesh is too coarse for it.
    """
    index = mesh.index_of(cycle.points)
    if not ((index >= 3) & (index <= np.array(mesh.shape) - 4)).all():
        x, y = cycle.points[np.argmax(np.abs(index / (np.array(mesh.shape) - 1) - 0.5).max(-1))]
        raise InputError(
            f"The limit cycle must lie at least three mesh points inside the domain {mesh.domain}; at ({x:.6g}, {y:.6g}) "
            "it does not: enlarge the domain."
        )
    if isinstance(fields, Tube):
        return _choose(mesh, drift, diffusion, fields)
    drift_at, spread_at = fields
    ends = np.array(mesh.domain).T
    inside = float((np.minimum(cycle.points - ends[0], ends[1] - cycle.points) / cycle.scale).min())
    width, best = min(WIDEST * cycle.reach, inside), None
    while best is None or width > 2 * float((mesh.spacing / cycle.scale).max()):
        found = _choose(mesh, drift, diffusion, expand_tube(cycle, drift_at, spread_at, width))
        if best is not None and found.level <= best.level:
            break
        best, width = found, 0.5 * width
    return best


def _choose(mesh, drift, diffusion, tube):
    """Start points of one tube: a sublevel set of it, and the cells on the cycle."""
    cycle, points = tube.cycle, mesh.points
    crossed = np.zeros((mesh.shape[1], mesh.shape[0]), bool)
    corners = np.floor(mesh.index_of(cycle.dense(mesh.spacing / 4))).astype(int)
    for dj in (0, 1):
        for di in (0, 1):
            crossed[corners[:, 1] + dj, corners[:, 0] + di] = True
    near = crossed
    for _ in range(int(np.ceil((tube.width * cycle.scale / mesh.spacing).max()))):
        near = grow(near)
    u, nu = np.zeros(near.shape), np.full(near.shape, np.inf)
    u[near], nu[near] = cycle.place(points[near])
    near = crossed | (np.abs(nu) <= tube.width)
    rows, columns = np.nonzero(near)
    values, error = np.full(near.shape, np.inf), np.full(near.shape, np.inf)
    values[near] = tube(points[near])
    d = diffusion if diffusion.ndim == 2 else diffusion[2 * rows, 2 * columns]
    error[near] = residual(tube, points[near], drift[2 * rows, 2 * columns], d)
    worst = float(error[crossed].max())
    if not worst <= 0.5 or (np.abs(nu[crossed]) > 0.5 * cycle.reach).any() or (values[crossed] < 0).any():
        raise TooCoarseError(
            f"The mesh is too coarse for the limit cycle through ({tube.center[0]:.6g}, {tube.center[1]:.6g}): next to it "
            f"the expansion misses the equation (relative Hamilton-Jacobi residual {worst:.2g}); refine the mesh."
        )
    poor = near & ~crossed & ~((error <= RESIDUAL / max(mesh.shape) ** 2) & (values >= 0))
    level = values[poor | (near & (np.abs(nu) > 0.9 * tube.width))].min(initial=values[near].max())
    ring, (rows, columns) = rings(crossed | (near & (values < level)))
    chosen = points[rows, columns]
    return Start(tube, columns, rows, ring, tube(chosen), tube.gradient(chosen))
