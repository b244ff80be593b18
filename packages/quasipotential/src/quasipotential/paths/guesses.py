"""First guesses of a minimum action path, and the string method that finds it for a gradient drift."""

from collections.abc import Callable

import numpy as np
from scipy.linalg import LinAlgError, expm, solve_continuous_lyapunov

from claimkit.errors import InputError

from ..fields import difference
from ..marching.mesh import named
from .relax import spaced


def polyline(points: np.ndarray, count: int) -> np.ndarray:
    """Equally spaced points on the straight segments between the given ones, ``(count, d)``."""
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    s = np.linspace(0, length[-1], count)
    return np.stack([np.interp(s, length, column) for column in points.T], -1)


def string_path(
    drift: Callable,
    path: np.ndarray,
    *,
    jacobian: Callable | None = None,
    images: int = 100,
    tolerance: float = 1e-5,
    iterations: int = 500,
    rough: bool = False,
) -> np.ndarray:
    """Minimum energy path of a gradient drift ``b = -grad V`` between two equilibria, by the string method.

    The points follow the drift (one linearly implicit step, which stiffness does not limit) and are spaced equally again,
    until they rest, with steps of half, a tenth and a fiftieth of the fastest growing time. With isotropic noise its
    geometric action is twice the climb of V.
    Simplified string method of E, Ren and Vanden-Eijnden 2007.

    Args:
        drift: function of points ``(n, d)``.
        path: first guess ``(m, d)``; its ends stay.
        jacobian: ``(n, d) -> (n, d, d)``; central differences by default.
        images: points of the path.
        tolerance: largest move in a step, as a share of the length.
        iterations: at most this many with each step.
        rough: stop after the longest step, whose error is of its order: a first guess.

    Returns:
        The path ``(images, d)``.

    Raises:
        InputError: when the iterations do not suffice, or the drift is not finite or no gradient around the path.
    """
    x = polyline(np.asarray(path, float), images)
    size = float(np.linalg.norm(np.diff(x, axis=0), axis=1).sum())
    derivative = jacobian or (lambda y: difference(drift, y, 1e-6 * size))
    jac, growth, moved = np.empty(0), 0.0, np.inf
    for share in (0.5, 0.1, 0.02):
        for k in range(iterations):
            b = drift(x[1:-1])
            if not np.isfinite(b).all():
                raise InputError(f"The drift is not finite at {named(x[1:-1][~np.isfinite(b).all(-1)][0])}.")
            if k % 4 == 0:
                jac = np.asarray(derivative(x[1:-1]), float)
                growth = np.linalg.eigvalsh(0.5 * (jac + np.swapaxes(jac, 1, 2))).max()
            step = share / max(float(growth), float(np.linalg.norm(b, axis=1).max()) / size)
            move = np.linalg.solve(np.eye(x.shape[1]) - step * jac, step * b[..., None])[..., 0]
            new = spaced(np.concatenate([x[:1], x[1:-1] + move, x[-1:]]))
            x, moved = new, float(np.abs(new - x).max())
            if moved < tolerance * size:
                break
        else:
            raise InputError(
                f"The string still moves by {moved / size:.1e} of its length after {iterations} steps; the drift may be no "
                "gradient: use minimum_action_path."
            )
        if rough:
            break
    if not rough and not is_gradient(derivative, x):
        raise InputError("The drift is no gradient: its Jacobian is not symmetric around the path; use minimum_action_path.")
    return x


def guesses(
    drift: Callable, jacobian: Callable | None, spread: np.ndarray | None, ends: np.ndarray, count: int
) -> list[np.ndarray]:
    """Paths ``(count, d)`` from one end to the other: straight, bent to both sides, and the escape of the linearised drift.

    Near a stable equilibrium the escape path is ``exp(-G s) (end - start)`` with ``G = J + D Q^{-1}`` and
    ``J Q + Q J^T = -D``; around a focus it makes the turns that a straight line lacks.

    Args:
        drift: function of points ``(n, d)``.
        jacobian: its derivative; without it the last path is left out.
        spread: D at the start ``(d, d)``.
        ends: start and end ``(2, d)``.
        count: points of each.
    """
    start, end = ends
    d, chord = len(start), end - start
    size = float(np.linalg.norm(chord))
    s = np.linspace(0, 1, count)[:, None]
    straight = start + s * chord
    rng = np.random.default_rng(0)
    sideways = [drift(straight[count // 2][None])[0], *rng.standard_normal((1 if d == 2 else 2, d))]
    found = [straight]
    for direction in sideways if d > 2 else sideways[1:]:
        normal = direction - chord * (direction @ chord) / size**2
        length = float(np.linalg.norm(normal))
        if length > 1e-8 * float(np.linalg.norm(direction)):
            found += [straight + sign * 0.3 * size * np.sin(np.pi * s) * normal / length for sign in (1, -1)]
    if jacobian is None or spread is None:
        return found
    try:
        jac = np.asarray(jacobian(start[None]), float)[0]
        rates = np.linalg.eigvals(jac)
        if rates.real.max() < 0:
            flow = jac + spread @ np.linalg.inv(solve_continuous_lyapunov(jac, -spread))
            slowest = float(-rates.real.max())
            times = np.linspace(np.log(1e3) / slowest, 0, 40 * count)
            one = expm(-flow * (times[0] - times[1]))
            state, trail = chord, [end]
            for _ in times[1:]:
                state = one @ state
                trail.append(start + state)
            trail = np.array([start, *trail[::-1]])
            if np.isfinite(trail).all() and np.abs(trail - start).max() < 5 * size:
                found.append(polyline(trail, count))
    except (LinAlgError, np.linalg.LinAlgError):
        pass
    return found


def is_gradient(jacobian: Callable, path: np.ndarray) -> bool:
    """Whether the Jacobian is symmetric at points around a path ``(n, d)``."""
    size = np.abs(path[-1] - path[0]).max()
    jac = np.asarray(jacobian(path + 0.2 * size * np.random.default_rng(0).standard_normal(path.shape)), float)
    return bool(np.abs(jac - np.swapaxes(jac, 1, 2)).max() < 1e-5 * np.abs(jac).max())


def gradient_guess(drift: Callable, jacobian: Callable, straight: np.ndarray) -> list[np.ndarray]:
    """The string method's path in a list where the drift is a gradient: a symmetric Jacobian around the straight path."""
    if not is_gradient(jacobian, straight):
        return []
    try:
        return [string_path(drift, straight, jacobian=jacobian, images=len(straight), tolerance=1e-4, rough=True)]
    except InputError:
        return []
