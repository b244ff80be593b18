"""Exact oracles for small noise that is not zero: mean exit times and stationary densities by finite differences.

The generator is ``L = (eps/2) D : Hess + b . grad`` (Ito). They have the error of the mesh but none of the limit eps
-> 0.
"""

import numpy as np

from claimkit.errors import InputError

from ..fields import evaluate_region, refuse_not_positive, refuse_outside
from ..plane.mesh import Mesh
from .exits import Problem, Tables


def _bernoulli(z):
    """``z / (1 - exp(-z))``."""
    small = np.abs(z) < 1e-8
    safe = np.clip(np.where(small, 1.0, z), -500, 500)
    return np.where(small, 1.0, safe / -np.expm1(-safe))


def _fitted(b, spread, right, left):
    """Rates of jumps of length ``right`` and ``left`` that have the drift b and leave ``exp(-2 b x / spread)`` unchanged."""
    k = np.clip(2 * b / spread, -250 / np.maximum(right, left), 250 / np.maximum(right, left))
    plain = np.abs(k) * (right + left) < 1e-4
    k = np.where(plain, 1.0, k)
    forth = np.where(plain, 1.0, k * right - k * left * np.expm1(-k * right) / -np.expm1(k * left))
    up = np.where(plain, (spread + b * left) / (right * (right + left)), 0.5 * spread * k**2 / forth)
    down = (up * right - b) / left
    return up, np.where(plain, (spread - b * right) / (left * (right + left)), down)


def mean_exit_time(problem: Tables, region, noise: float, point=None) -> np.ndarray | float:
    """Solve ``L T = -1`` inside a region with ``T = 0`` on its boundary.

    Second order and exponentially fitted: along each axis the rates are exact where the drift is constant, so that the
    barrier, which the time contains exponentially, does not suffer from ``|b| h / eps``; what does is a rotation.
    The distance to the boundary is taken from the crossing of the region's function; mixed derivatives use the four corners.
    At a point, on a mesh of odd numbers, the logarithms of this mesh and of every second of its points are extrapolated.

    Args:
        problem: a ``Solution`` or the result of ``tabulate``. The edge of the mesh is part of the boundary.
        region: function of points ``(..., 2)``, negative inside.
        noise: eps. The spacing should stay below ``eps / |b|``.
        point: where to read the result ``(2,)``, inside the region; None for the table ``(ny, nx)``, zero outside.

    Raises:
        InputError: when no mesh point lies inside, the point lies outside, or the mesh cannot resolve the noise.
    """
    refuse_not_positive(noise=noise)
    if point is not None:
        refuse_outside(region, np.asarray(point, float), problem.mesh)
    table = _solve(problem, region, noise, 2.0)
    mesh = problem.mesh
    if point is None:
        return table
    fine = _read(table, mesh, point)
    if not all(n % 2 for n in mesh.shape) or min(mesh.shape) < 33 or fine <= 0:
        return fine
    half = Mesh(mesh.domain, ((mesh.shape[0] + 1) // 2, (mesh.shape[1] + 1) // 2))
    d = problem.diffusion if problem.diffusion.ndim == 2 else np.ascontiguousarray(problem.diffusion[::2, ::2])
    coarse = _read(_solve(Problem(half, problem.drift[::2, ::2], d), region, noise, np.inf), half, point)
    correction = np.log(fine / coarse) / 3 if coarse > 0 else 0.0
    if abs(correction) > 0.25:
        raise InputError(
            f"The mesh is too coarse for noise {noise}: the time changes by a factor of {np.exp(abs(3 * correction)):.2g} "
            f"from every second point to all; use about {int(2 * max(mesh.shape))} points a side, or split_exits."
        )
    return fine * float(np.exp(correction))


def _solve(problem, region, noise, bound):
    """The table of mean exit times on one mesh, whose cell Peclet numbers must be below a bound."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.linalg import spsolve

    mesh = problem.mesh
    mesh.refuse_periodic("mean_exit_time")
    nx, ny = mesh.shape
    signed = evaluate_region(region, mesh.points)
    inside = signed < 0
    inside[[0, -1]] = inside[:, [0, -1]] = False
    rows, columns = np.nonzero(inside)
    if not len(rows):
        raise InputError("No mesh point lies inside the region: its function must be negative there.")
    b = problem.drift[::2, ::2][rows, columns]
    d = problem.diffusion if problem.diffusion.ndim == 2 else problem.diffusion[::2, ::2][rows, columns]
    d = np.broadcast_to(d.reshape(-1, 2, 2), (len(rows), 2, 2))
    peclet = np.abs(b) * mesh.spacing / (noise * np.stack([d[:, 0, 0], d[:, 1, 1]], -1))
    if peclet.max() > bound:
        raise InputError(
            f"The mesh is too coarse for noise {noise} (cell Peclet number {peclet.max():.1f} > {bound:.0f}); use about "
            f"{int(max(nx, ny) * peclet.max() / bound) + 1} points a side."
        )
    number = np.full((ny, nx), -1)
    number[rows, columns] = np.arange(len(rows))
    entries = ([], [], [])

    def add(which, dj, di, weight):
        other = number[rows[which] + dj, columns[which] + di]
        kept = other >= 0
        entries[0].append(which[kept])
        entries[1].append(other[kept])
        entries[2].append(weight[kept])

    everyone = np.arange(len(rows))
    diagonal = np.zeros(len(rows))
    for axis, (dj, di) in enumerate(((0, 1), (1, 0))):
        h, legs, fitted = mesh.spacing[axis], [], []
        spread = noise * d[:, axis, axis]
        for sign in (1, -1):
            own, beyond = signed[rows, columns], signed[rows + sign * dj, columns + sign * di]
            share = np.where(beyond >= 0, own / np.where(beyond >= 0, own - beyond, 1.0), 1.0)
            legs.append(h * np.maximum(share, 1e-3))
            half = 2 * rows + sign * dj, 2 * columns + sign * di
            there = problem.diffusion if problem.diffusion.ndim == 2 else problem.diffusion[half].reshape(-1, 2, 2)
            z = sign * 2 * problem.drift[half][:, axis] * h / (noise * there[..., axis, axis])
            fitted.append(0.5 * spread / h**2 * _bernoulli(z))
        cut = (legs[0] < h) | (legs[1] < h)
        right, left = (np.where(cut, c, f) for c, f in zip(_fitted(b[:, axis], spread, *legs), fitted, strict=True))
        add(everyone, dj, di, right)
        add(everyone, -dj, -di, left)
        diagonal -= right + left
    mixed = noise * d[:, 0, 1] / (4 * mesh.spacing.prod())
    if np.any(mixed):
        for dj, di in ((1, 1), (-1, -1), (1, -1), (-1, 1)):
            add(everyone, dj, di, mixed * dj * di)
    entries[0].append(everyone)
    entries[1].append(everyone)
    entries[2].append(diagonal)
    i, j, w = (np.concatenate(part) for part in entries)
    times = np.asarray(spsolve(csr_matrix((w, (i, j))).tocsc(), -np.ones(len(rows))))
    table = np.zeros((ny, nx))
    table[rows, columns] = times
    return table


def _read(table, mesh, point):
    """A table on the mesh, bilinear at one point."""
    nx, ny = mesh.shape
    column, row = np.clip(np.floor(mesh.index_of(point)).astype(int), 0, (nx - 2, ny - 2))
    s, t = mesh.index_of(point) - (column, row)
    return float(
        (1 - t) * ((1 - s) * table[row, column] + s * table[row, column + 1])
        + t * ((1 - s) * table[row + 1, column] + s * table[row + 1, column + 1])
    )


def stationary_density(problem: Tables, noise: float) -> np.ndarray:
    """Stationary density on the mesh ``(ny, nx)``, normalised, with reflection at the edge.

    The generator is discretised as a jump process between neighbours (exponential fitting along each axis, so that
    all rates are
    positive at any Peclet number), whose stationary vector is found by one sparse solve.

    Args:
        problem: a ``Solution`` or the result of ``tabulate``; D must be diagonal.
        noise: eps.

    Raises:
        InputError: when D has off-diagonal entries, or the noise is not positive.
    """
    refuse_not_positive(noise=noise)
    from scipy.sparse import coo_matrix
    from scipy.sparse.linalg import spsolve

    mesh = problem.mesh
    mesh.refuse_periodic("stationary_density")
    nx, ny = mesh.shape
    d = problem.diffusion if problem.diffusion.ndim == 2 else problem.diffusion[::2, ::2]
    d = np.broadcast_to(d.reshape(-1, 2, 2) if d.ndim == 2 else d.reshape(ny * nx, 2, 2), (ny * nx, 2, 2)).reshape(
        ny, nx, 2, 2
    )
    if np.abs(d[..., 0, 1]).max() > 1e-12 * np.abs(d).max():
        raise InputError("The stationary density is computed for a diagonal diffusion only; turn the axes or simulate.")
    b = problem.drift[::2, ::2]
    number = np.arange(ny * nx).reshape(ny, nx)
    sources, targets, rates = [], [], []
    for axis in (0, 1):
        h = mesh.spacing[axis]
        for sign in (1, -1):
            a = (slice(None), slice(None, -1)) if axis == 0 else (slice(None, -1), slice(None))
            c = (slice(None), slice(1, None)) if axis == 0 else (slice(1, None), slice(None))
            here, there = (a, c) if sign == 1 else (c, a)
            spread = 0.5 * noise * d[here][..., axis, axis]
            z = sign * b[here][..., axis] * h / spread
            fitted = np.where(np.abs(z) < 1e-8, 1.0, z / np.where(np.abs(z) < 1e-8, 1.0, -np.expm1(-z)))
            rates.append((spread / h**2 * fitted).ravel())
            sources.append(number[here].ravel())
            targets.append(number[there].ravel())
    i, j, w = (np.concatenate(part) for part in (sources, targets, rates))
    balance = coo_matrix((np.concatenate([w, -w]), (np.concatenate([j, i]), np.concatenate([i, i])))).tocsr()
    # one balance equation follows from the others: fix the density at the point where it is surely not negligible instead
    anchor = int(np.argmin(np.linalg.norm(b.reshape(-1, 2), axis=1)))
    keep = np.delete(np.arange(ny * nx), anchor)
    solution = np.ones(ny * nx)
    solution[keep] = np.asarray(spsolve(balance[keep][:, keep].tocsc(), -balance[keep][:, [anchor]].toarray().ravel()))
    return (solution / (solution.sum() * mesh.spacing.prod())).reshape(ny, nx)
