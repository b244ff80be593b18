"""Where the march begins: the points around an attractor whose values come from the local polynomial."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import label

from claimkit.errors import InputError

from .local import LocalPotential, expand, fit_polynomials
from .mesh import Mesh

DEGREE = 6
"""Degree of the local polynomial; odd and even terms to here cost nothing against the march."""

RESIDUAL = 0.15
"""Largest Hamilton-Jacobi residual of the polynomial, relative to the kinetic term, times the squared number of
points a side: it
falls like the march's own error, 9e-6 at 129 points."""

SHARE = 1 / 8
"""Largest start level as a share of the lowest polynomial value on the edge of the mesh: about a third of the way,
so that the
march computes nearly nine tenths of the area also where the polynomial happens to be exact everywhere."""


@dataclass(frozen=True)
class Start:
    """Start values around one attractor, on mesh points.

    Attributes:
        local: the polynomial used.
        columns: mesh columns ``(n,)``.
        rows: mesh rows ``(n,)``.
        ring: 0 for a point inside, 1 for the accepted rim, 2 for the points that wait ``(n,)``.
        values: U there, ``(n,)``.
        slopes: its gradient, ``(n, 2)``.
    """

    local: LocalPotential
    columns: np.ndarray
    rows: np.ndarray
    ring: np.ndarray
    values: np.ndarray
    slopes: np.ndarray

    @property
    def level(self) -> float:
        """Highest value that counts as known."""
        return float(self.values[self.ring < 2].max())


class TooCoarseError(InputError):
    """The mesh does not see how the drift vanishes at an attractor: a finer one around it is needed."""


def find_start(mesh: Mesh, drift: np.ndarray, diffusion: np.ndarray | None, attractor, kind: str) -> Start:
    """Check the attractor and choose the start points.

    Args:
        mesh: the mesh.
        drift: half-grid table ``(2 ny - 1, 2 nx - 1, 2)``.
        diffusion: half-grid table ``(2 ny - 1, 2 nx - 1, 4)``, or one matrix ``(2, 2)``.
        attractor: a stable equilibrium, to within a tenth of a mesh spacing.
        kind: ``"taylor"`` for the largest sublevel set on which the polynomial of degree six solves the equation,
            ``"linear"``
            for the eight neighbours of the equilibrium with the quadratic form.

    Raises:
        InputError: when the point is not a stable equilibrium well inside the mesh, or the mesh is too coarse around
        it.
    """
    attractor = np.asarray(attractor, float)
    where = f"({attractor[0]:.6g}, {attractor[1]:.6g})"
    index = mesh.index_of(attractor)
    shape = np.array(mesh.shape)
    if not ((index >= 3).all() and (index <= shape - 4).all()):
        raise InputError(
            f"The attractor {where} must lie at least three mesh points inside the domain {mesh.domain}; move the domain."
        )
    near = _window(mesh, drift, index, 2)
    center, jacobian = _equilibrium(mesh, near, attractor, where)
    growth = np.linalg.eigvals(jacobian).real.max()
    if growth >= 0:
        raise InputError(
            f"The equilibrium {where} is not stable (an eigenvalue of the drift's Jacobian has real part "
            f"{growth:.3g} >= 0); "
            "give an attractor of dX = b dt."
        )
    half = max(2, int(0.5 * min(np.minimum(index, shape - 1 - index))))
    if kind == "taylor":
        while half >= 4:
            local = _local(mesh, drift, diffusion, center, half, DEGREE)
            start = _sublevel(mesh, drift, diffusion, local, half)
            if start is not None:
                return start
            half //= 2
    local = _local(mesh, drift, diffusion, center, 2, 2)
    return _block(mesh, drift, diffusion, local, where)


def _window(mesh, table, index, half):
    """Half-grid points and values within ``half`` mesh spacings of a position, thinned to at most 33 a side."""
    middle = np.rint(2 * np.asarray(index)).astype(int)
    steps = np.rint(np.linspace(-2 * half, 2 * half, min(33, 4 * half + 1))).astype(int)
    columns = np.clip(middle[0] + steps, 0, table.shape[1] - 1)
    rows = np.clip(middle[1] + steps, 0, table.shape[0] - 1)
    points = np.stack(np.broadcast_arrays(columns[None, :], rows[:, None]), -1) * 0.5 * mesh.spacing + mesh.corner
    return points.reshape(-1, 2), table[np.ix_(rows, columns)].reshape(-1, table.shape[2])


def _equilibrium(mesh, near, attractor, where):
    """Zero of the drift next to the given point, from a fit of degree five, and the Jacobian there."""
    points, values = near
    scale = float(mesh.spacing.max())
    fit = fit_polynomials(points, values, attractor, scale, 5)
    constant = np.array([c[0, 0] for c in fit])
    jacobian = np.array([[c[1, 0], c[0, 1]] for c in fit]) / scale
    typical = np.abs(values).max()
    if abs(np.linalg.det(jacobian)) <= 1e-12 * typical**2 / scale**2:
        raise InputError(f"The drift's Jacobian at {where} is singular; the attractor must be a non-degenerate equilibrium.")
    step = -np.linalg.solve(jacobian, constant)
    if np.abs(step / mesh.spacing).max() > 0.1:
        seen = np.abs(step / mesh.spacing).max() <= 2
        raise InputError(
            f"The attractor {where} is not an equilibrium: the drift there is ({constant[0]:.3g}, {constant[1]:.3g}); "
            + (
                f"the nearest zero is about ({attractor[0] + step[0]:.6g}, {attractor[1] + step[1]:.6g})."
                if seen
                else "it has no zero within two mesh points (find_cycle finds a limit cycle, find_equilibria all zeros)."
            )
        )
    return attractor + np.where(np.abs(step) < 1e-9 * scale, 0.0, step), jacobian


def _local(mesh, drift, diffusion, center, half, degree):
    index = mesh.index_of(center)
    scale = float(half * mesh.spacing.max())
    fit = fit_polynomials(*_window(mesh, drift, index, half), center, scale, max(degree, 3))
    if diffusion.ndim == 2:
        constant = [np.zeros_like(fit[0]) for _ in range(3)]
        for c, value in zip(constant, (diffusion[0, 0], diffusion[0, 1], diffusion[1, 1]), strict=True):
            c[0, 0] = value
        spread = constant
    else:
        parts = fit_polynomials(*_window(mesh, diffusion, index, half), center, scale, max(degree, 3))
        spread = [parts[0], parts[1], parts[3]]
    size = degree + 1
    return expand(center, scale, [c[:size, :size].copy() for c in fit], [c[:size, :size].copy() for c in spread])


def residual(local: LocalPotential, points: np.ndarray, drift: np.ndarray, diffusion: np.ndarray) -> np.ndarray:
    """Hamilton-Jacobi residual of a polynomial, ``|k + <b, p>| / (k + max k / 1000)`` with ``k = 1/2 <p, D p>``.

    The small term keeps the rounding at the equilibrium, where both vanish, from counting.
    """
    p = local.gradient(points)
    d = diffusion.reshape(*diffusion.shape[:-1], 2, 2) if diffusion.shape[-1] == 4 else diffusion
    kinetic = 0.5 * np.einsum("...i,...ij,...j", p, np.broadcast_to(d, (*p.shape, 2)), p)
    work = np.einsum("...i,...i", drift, p)
    return np.abs(kinetic + work) / (kinetic + 1e-3 * kinetic.max())


def _sublevel(mesh, drift, diffusion, local, half):
    """The largest admissible sublevel set of the polynomial inside the window, or None when it is too small."""
    index = np.rint(mesh.index_of(local.center)).astype(int)
    shape = np.array(mesh.shape)
    low, high = np.maximum(index - half, 2), np.minimum(index + half, shape - 3)
    columns, rows = (np.arange(a, b + 1) for a, b in zip(low, high, strict=True))
    points = np.stack(np.broadcast_arrays(columns[None, :], rows[:, None]), -1) * mesh.spacing + mesh.corner
    values = local(points)
    b = drift[np.ix_(2 * rows, 2 * columns)]
    d = diffusion if diffusion.ndim == 2 else diffusion[np.ix_(2 * rows, 2 * columns)]
    poor = (residual(local, points, b, d) > RESIDUAL / max(mesh.shape) ** 2) | (values < -1e-9 * values.max())
    rim = np.ones_like(poor)
    rim[2:-2, 2:-2] = False
    quadratic = LocalPotential(
        local.center, local.scale, np.where(np.add.outer(range(DEGREE + 1), range(DEGREE + 1)) == 2, local.coefficients, 0)
    )
    edge = _edge_values(mesh, quadratic)
    level = min(values[rim].min(), edge.min() * SHARE, values[poor].min() if poor.any() else np.inf)
    inside = values < level
    if inside.sum() < 25:
        return None
    ring, (r, c) = rings(inside)
    points = points[r, c]
    return Start(local, columns[c], rows[r], ring, local(points), local.gradient(points))


def rings(inside):
    """The codes of a sublevel set's points and of the ring that waits around it, and where they are."""
    kept = inside & ~grow(~inside)
    ring = np.full(inside.shape, -1)
    ring[grow(inside)], ring[inside], ring[kept] = 2, 1, 0
    r, c = np.nonzero(ring >= 0)
    return ring[r, c], (r, c)


def start_within(mesh: Mesh, inner, attractor: np.ndarray, level: float | None = None) -> Start | None:
    """Start values from a solve on a finer mesh around the attractor, on a sublevel set that it reached; None if too small.

    Args:
        mesh: the mesh to start on.
        inner: a ``Solution``.
        attractor: the one of its attractors to start from ``(2,)``.
        level: of the sublevel set; by default as high as the mesh of ``inner`` allows.
    """
    which = int(np.argmin(np.linalg.norm(inner.attractors - attractor, axis=1)))
    column, row = np.rint(mesh.index_of(attractor)).astype(int)
    points = mesh.points
    (left, right), (bottom, top) = inner.mesh.domain
    covered = (points >= [left, bottom]).all(-1) & (points <= [right, top]).all(-1)
    values = np.full(covered.shape, np.nan)
    values[covered] = inner(points[covered])
    level = level or 0.9 * float(np.nanmax(inner.values))
    for _ in range(40):
        parts = np.zeros(values.shape, int)
        label(values < level, output=parts)
        inside = (parts == parts[row, column]) & (parts > 0)
        if inside.sum() < 9:
            return None
        if np.isfinite(values[grow(inside)]).all():
            ring, (r, c) = rings(inside)
            return Start(inner.local[which], c, r, ring, values[r, c], inner.gradient_at(points[r, c]))
        level *= 0.85
    return None


def _edge_values(mesh, local):
    nx, ny = mesh.shape
    (left, right), (bottom, top) = mesh.domain
    x, y = np.linspace(left, right, nx), np.linspace(bottom, top, ny)
    sides = [np.stack(np.broadcast_arrays(a, b), -1) for a, b in ((x, bottom), (x, top), (left, y), (right, y))]
    return local(np.concatenate(sides))


def grow(mask):
    """The points of a mask and their eight neighbours."""
    padded = np.pad(mask, 1)
    rows, columns = mask.shape
    return np.any([padded[j : j + rows, i : i + columns] for j in range(3) for i in range(3)], axis=0)


def _block(mesh, drift, diffusion, local, where):
    """The classical start: the mesh points next to the equilibrium accepted, one ring more waiting."""
    index = mesh.index_of(local.center)
    nearest = np.rint(index)
    off = np.abs(index - nearest)
    low = np.where(off < 0.25, nearest - 1, np.floor(index)).astype(int)
    high = np.where(off < 0.25, nearest + 1, np.ceil(index)).astype(int)
    columns, rows = np.meshgrid(np.arange(low[0] - 1, high[0] + 2), np.arange(low[1] - 1, high[1] + 2))
    columns, rows = columns.ravel(), rows.ravel()
    outer = (columns < low[0]) | (columns > high[0]) | (rows < low[1]) | (rows > high[1])
    same = (columns == nearest[0]) & (rows == nearest[1]) & (off < 0.25).all()
    ring = np.where(outer, 2, np.where(same, 0, 1))
    points = np.stack([columns, rows], -1) * mesh.spacing + mesh.corner
    d = diffusion if diffusion.ndim == 2 else diffusion[2 * rows, 2 * columns]
    error = residual(local, points, drift[2 * rows, 2 * columns], d)
    if error.max() > 0.5:
        raise TooCoarseError(
            f"The mesh is too coarse around the attractor {where}: two points away the drift is no longer nearly linear "
            f"(relative Hamilton-Jacobi residual {error.max():.2g}); refine the mesh or shrink the domain."
        )
    return Start(local, columns, rows, ring, local(points), local.gradient(points))
