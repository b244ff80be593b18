"""Minimum action paths: steepest descent of a solved quasi-potential, and the geometric minimum action method (gMAM).

gMAM (Heymann and Vanden-Eijnden 2008) works in any dimension without a mesh: a chain of points between two given
ends relaxes to
the path of least geometric action ``int |b|_A |phi'|_A - <b, A phi'> ds``, ``A = D^{-1}``.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from claimkit.errors import InputError


def descend(solution, point) -> np.ndarray:
    """Minimum action path from the attractor to a point, by following ``-(D grad U + b)`` back, ``(n, 2)``.

    Within the start region the gradient is the local polynomial's. From an equilibrium such as a saddle, where the
    direction
    vanishes, the path begins at the lowest of the points three spacings around.

    Args:
        solution: a ``Solution``.
        point: target ``(2,)`` inside the region that was reached.

    Raises:
        InputError: when the point is outside, or the march did not reach it.
    """
    target = np.asarray(point, float)
    step = float(solution.mesh.spacing.min())
    value = solution(target)
    if not np.isfinite(value):
        raise InputError(
            f"The point ({target[0]:.6g}, {target[1]:.6g}) was not reached by the solve; enlarge the domain or the level."
        )
    starts = list(zip(solution.attractors, solution.offsets, solution.local, strict=True))

    def gradient(x):
        for center, offset, local in starts:
            if np.linalg.norm(x - center) < 0.25 * local.scale and local(x) + offset <= solution(x) * (1 + 1e-3) + 1e-12:
                return local.gradient(x)
        return solution.gradient_at(x)

    def direction(x):
        flow = solution.diffusion_at(x) @ gradient(x) + solution.drift_at(x)
        return -flow, float(np.linalg.norm(flow))

    path = [target]
    here = target
    speed = float(np.linalg.norm(solution.drift_at(target)))
    typical = float(np.abs(solution.drift).mean())
    if speed < 1e-3 * typical and min(np.linalg.norm(target - c) for c, *_ in starts) > 3 * step:
        angles = np.linspace(0, 2 * np.pi, 72, endpoint=False)
        around = target + 3.0 * float(solution.mesh.spacing.max()) * np.stack([np.cos(angles), np.sin(angles)], -1)
        inside = np.array([solution.mesh.contains(p) for p in around])
        heights = np.full(72, np.inf)
        heights[inside] = solution(around[inside])
        here = around[int(np.nanargmin(heights))]
        path.append(here)
    longest = int(12 * np.sum(solution.mesh.shape))
    for _ in range(longest):
        nearest = min((np.linalg.norm(here - c) for c, *_ in starts))
        if nearest < 0.5 * step:
            break
        size = min(0.5 * step, 0.25 * nearest)
        total = np.zeros(2)
        x = here
        for weight, advance in ((1, 0.5), (2, 0.5), (2, 1.0), (1, 0.0)):
            flow, norm = direction(x)
            if not norm > 0:
                break
            total += weight * flow / norm
            x = here + advance * size * flow / norm
            if not solution.mesh.contains(x):
                x = here
        here = here + size * total / 6
        if not (np.isfinite(here).all() and solution.mesh.contains(here)):
            raise InputError(f"The path to {target.tolist()} left the region that was reached; enlarge the domain.")
        path.append(here)
    else:
        raise InputError(
            f"The path to {target.tolist()} did not come back to the attractor in {longest} steps; refine the mesh."
        )
    end = min((c for c, *_ in starts), key=lambda c: np.linalg.norm(here - c))
    return np.array([*path, end])[::-1]


@dataclass(frozen=True)
class ActionPath:
    """A path and its geometric action.

    Attributes:
        points: ``(n, d)``, equally spaced.
        action: the geometric action.
        iterations: relaxation steps taken.
        change: largest move of a point in the last step, relative to the length of the path.
    """

    points: np.ndarray
    action: float
    iterations: int
    change: float


def geometric_action(points: np.ndarray, drift: Callable, diffusion: Callable | np.ndarray | None = None) -> float:
    """Geometric action of a path through points ``(n, d)``, along its cubic spline with four Gauss nodes per piece.

    Args:
        points: the path.
        drift: function of points ``(..., d)``.
        diffusion: None, a matrix, or a function.

    >>> line = np.linspace([0.0, 0.0], [1.0, 0.0], 50)
    >>> round(geometric_action(line, lambda x: -x), 10)
    1.0
    """
    from scipy.interpolate import CubicSpline

    points = np.asarray(points, float)
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    spline = CubicSpline(length, points)
    nodes, weights = np.polynomial.legendre.leggauss(4)
    steps = np.diff(length)
    s = length[:-1, None] + steps[:, None] * (0.5 + 0.5 * nodes)
    x, v = spline(s), spline(s, 1)
    b = drift(x)
    metric = np.linalg.inv(_spread(diffusion, x))
    av, ab = (np.einsum("...ij,...j", metric, w) for w in (v, b))
    density = np.sqrt(np.einsum("...i,...i", b, ab) * np.einsum("...i,...i", v, av)) - np.einsum("...i,...i", b, av)
    return float(np.sum(0.5 * steps[:, None] * weights * density))


def _spread(diffusion, x):
    d = x.shape[-1]
    if diffusion is None:
        return np.broadcast_to(np.eye(d), (*x.shape, d))
    spread = np.asarray(diffusion(x) if callable(diffusion) else diffusion, float)
    return np.broadcast_to(spread, (*x.shape, d))


def _derivative(function, x, step=1e-5):
    """Central differences of ``function`` at points ``(n, d)``; the derivative is the last axis."""
    parts = []
    for k in range(x.shape[-1]):
        shift = np.zeros(x.shape[-1])
        shift[k] = step
        parts.append((function(x + shift) - function(x - shift)) / (2 * step))
    return np.stack(parts, -1)


def reparametrise(points: np.ndarray, count: int | None = None) -> np.ndarray:
    """The same path with equally spaced points (cubic spline)."""
    from scipy.interpolate import CubicSpline

    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    return CubicSpline(length, points)(np.linspace(0, length[-1], count or len(points)))


def minimum_action_path(
    drift: Callable,
    path: np.ndarray,
    *,
    diffusion: Callable | np.ndarray | None = None,
    jacobian: Callable | None = None,
    images: int = 100,
    step: float = 0.1,
    tolerance: float = 1e-7,
    iterations: int = 5000,
) -> ActionPath:
    """Relax a path with fixed ends to the one of least geometric action.

    One step of ``phi_t = l^2 phi'' - l H_px phi' + H_pp H_x + l l' phi'`` with ``l = |b|_A / |phi'|_A``, the second
    derivative
    implicit, then equal spacing again.

    Args:
        drift: function of points ``(n, d)``.
        path: first guess ``(m, d)``, two points or more; its ends stay.
        diffusion: None, a matrix ``(d, d)``, or a function returning ``(n, d, d)``.
        jacobian: derivative of the drift ``(n, d, d)``, ``[i, j] = d b_i / d x_j``; central differences by default, see
            ``autograd_jacobian`` for torch functions.
        images: points of the chain.
        step: relaxation step in units of the time that the path takes per unit of its parameter.
        tolerance: stop when no point moves by more than this share of the length per unit step.
        iterations: at most this many.

    Raises:
        InputError: when the relaxation diverges; a smaller step helps.
    """
    from scipy.linalg import solve_banded

    x = np.asarray(path, float)
    x = reparametrise(x, images) if len(x) > 3 else np.linspace(x[0], x[-1], images)
    jacobian = jacobian or (lambda y: _derivative(drift, y))
    width = 1.0 / (images - 1)
    change = np.inf
    iteration = 0
    for iteration in range(1, iterations + 1):  # noqa: B007
        slope = np.gradient(x, width, axis=0)
        b = drift(x)
        spread = _spread(diffusion, x)
        metric = np.linalg.inv(spread)
        speed = np.sqrt(np.einsum("ni,nij,nj->n", b, metric, b))
        length = np.sqrt(np.einsum("ni,nij,nj->n", slope, metric, slope))
        ratio = speed / length
        momentum = np.einsum("nij,nj->ni", metric, ratio[:, None] * slope - b)
        jac = jacobian(x)
        mixed = np.einsum("nij,nj->ni", jac, slope)
        pull = np.einsum("nij,ni->nj", jac, momentum)
        if callable(diffusion):
            bend = _derivative(diffusion, x)
            mixed = mixed + np.einsum("nijk,nj,nk->ni", bend, momentum, slope)
            pull = pull + 0.5 * np.einsum("nijk,ni,nj->nk", bend, momentum, momentum)
        rate = (
            -ratio[:, None] * mixed
            + np.einsum("nij,nj->ni", spread, pull)
            + (ratio * np.gradient(ratio, width))[:, None] * slope
        )
        pace = step / max(float(np.mean(ratio)), 1e-12)
        side = pace * ratio[1:-1] ** 2 / width**2
        banded = np.stack([np.append(0.0, -side[:-1]), 1 + 2 * side, np.append(-side[1:], 0.0)])
        right = x[1:-1] + pace * rate[1:-1]
        right[0] += side[0] * x[0]
        right[-1] += side[-1] * x[-1]
        new = x.copy()
        new[1:-1] = solve_banded((1, 1), banded, right)
        if not np.isfinite(new).all():
            raise InputError("The path diverged; use a smaller step or a better first guess.")
        new = reparametrise(new)
        change = float(np.abs(new - x).max() / np.linalg.norm(np.diff(new, axis=0), axis=1).sum() / step)
        x = new
        if change < tolerance:
            break
    return ActionPath(x, geometric_action(x, drift, diffusion), iteration, change)


def autograd_jacobian(function: Callable) -> Callable:
    """Jacobian ``(n, d, d)`` of a torch function of one point ``(d,)``, by reverse mode.

    For ``minimum_action_path``.
    """
    import torch

    batched = torch.func.vmap(torch.func.jacrev(function))
    return lambda x: batched(torch.as_tensor(np.asarray(x))).detach().numpy()
