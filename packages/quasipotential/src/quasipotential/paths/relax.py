"""The discrete geometric action of a chain and its descent: Newton's method with a bound on the step.

For a segment with midpoint m, chord w and drift b the action is ``|b|_A |w|_A - <b, A w>``, the smallest value over h of
``|w - h b|_A^2 / (2 h)``, reached at ``h = |w|_A / |b|_A``. With h eliminated its Hessian is

    G^T G - q q^T - h p . b'',   G = A^{1/2} (w' - h J m') / sqrt(h),   q = (<v, A w'> - h <b, A J m'>) / (sqrt(h) |v|_A),

``v = w / h``, ``p = A (v - b)``: block tridiagonal. Moves along the chain change nothing and are taken out; after every move
the points are spaced equally again, and a move is kept only where the action is lower then.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.linalg import solveh_banded

from claimkit.errors import InputError

from ..fields import CURVATURE_DIMENSION, difference, evaluate
from ..marching.mesh import named
from .products import Products, quadratic_model


@dataclass(frozen=True)
class Forces:
    """What the chain moves in.

    Attributes:
        drift: function of points ``(n, d)``.
        jacobian: its derivative ``(n, d, d)``.
        spread: D, one matrix or a function ``(n, d) -> (n, d, d)``; None for the identity. Positive definite.
        scale: length of the path; differences are taken in its units.
        products: what takes the place of ``jacobian``, see ``products``; D is None or one matrix then.
    """

    drift: Callable
    jacobian: Callable
    spread: Callable | np.ndarray | None
    scale: float
    products: Products | None = None

    def whitening(self, x: np.ndarray) -> np.ndarray | None:
        """``D^{-1/2}`` as an inverse Cholesky factor, ``(d, d)`` or ``(n, d, d)``; None for the identity."""
        if self.spread is None:
            return None
        return np.linalg.inv(np.linalg.cholesky(self.spread(x) if callable(self.spread) else self.spread))


def geometric_action(points: np.ndarray, drift: Callable, diffusion: Callable | np.ndarray | None = None) -> float:
    """Geometric action of a path through points ``(n, d)``, along its cubic spline with four Gauss nodes per piece.

    Args:
        points: the path.
        drift: function of points ``(..., d)``.
        diffusion: None, a matrix, or a function; positive definite on the path.

    Raises:
        InputError: for points that are not finite or all the same, and where the drift is not finite or D not positive
            definite.

    >>> line = np.linspace([0.0, 0.0], [1.0, 0.0], 50)
    >>> round(geometric_action(line, lambda x: -x), 10)
    1.0
    """
    points = np.asarray(points, float)
    if points.ndim != 2 or not np.isfinite(points).all() or not np.ptp(points, axis=0, keepdims=True).any():
        raise InputError(f"A path is two different points or more, (n, d), all finite; it has shape {points.shape}.")
    points = points[np.append(True, np.diff(points, axis=0).any(1))]
    d = points.shape[1]
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    spline = CubicSpline(length, points)
    nodes, weights = np.polynomial.legendre.leggauss(4)
    steps = np.diff(length)
    s = length[:-1, None] + steps[:, None] * (0.5 + 0.5 * nodes)
    x, v = spline(s), spline(s, 1)
    b = evaluate(drift, x, (d,), "drift")
    if not np.isfinite(b).all():
        raise InputError(f"The drift is not finite on the path, at {named(x[~np.isfinite(b).all(-1)][0])}.")
    if diffusion is not None:
        spread = evaluate(diffusion, x, (d, d), "diffusion") if callable(diffusion) else np.asarray(diffusion, float)
        fits = spread.shape[-2:] == (d, d) and np.allclose(spread, np.swapaxes(spread, -1, -2), rtol=1e-9)
        if not fits or not np.linalg.eigvalsh(spread).min() > 0:
            raise InputError(
                f"The diffusion must be a symmetric positive definite matrix ({d}, {d}) on the path; where it is singular, "
                "minimum_action_path computes the action."
            )
        root = np.linalg.cholesky(spread)
        b, v = (np.linalg.solve(root, w[..., None])[..., 0] for w in (b, v))
    density = np.linalg.norm(b, axis=-1) * np.linalg.norm(v, axis=-1) - np.sum(b * v, axis=-1)
    return float(np.sum(0.5 * steps[:, None] * weights * density))


def spaced(points: np.ndarray, count: int | None = None) -> np.ndarray:
    """The same path with equally spaced points (cubic spline)."""
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    kept = np.append(True, np.diff(length) > 0)
    return CubicSpline(length[kept], points[kept])(np.linspace(0, length[-1], count or len(points)))


def apply(matrix: np.ndarray | None, vectors: np.ndarray) -> np.ndarray:
    """A matrix, or one a vector, on vectors ``(n, d)``."""
    return vectors if matrix is None else (matrix @ vectors[..., None])[..., 0]


def segments(x: np.ndarray, forces: Forces):
    """Midpoints, whitening, whitened drift and chord, and the actions of the segments."""
    middle = 0.5 * (x[1:] + x[:-1])
    white = forces.whitening(middle)
    b, w = apply(white, forces.drift(middle)), apply(white, np.diff(x, axis=0))
    return middle, white, b, w, np.linalg.norm(b, axis=1) * np.linalg.norm(w, axis=1) - np.sum(b * w, axis=1)


def discrete_action(x: np.ndarray, forces: Forces) -> float:
    """The action of a chain; infinite where D is not positive definite on it."""
    try:
        return float(segments(x, forces)[-1].sum())
    except np.linalg.LinAlgError:
        return np.inf


def _quadratic(x, forces):
    """Gradient ``(n - 2, d)``, diagonal and upper blocks of the Hessian, and its size, at the inner points of a chain."""
    n, d = x.shape
    middle, white, b, w, _ = segments(x, forces)
    speed = np.linalg.norm(b, axis=1)
    h = np.linalg.norm(w, axis=1) / np.maximum(speed, 1e-9 * speed.max() + 1e-300)
    v = w / h[:, None]
    jac = np.asarray(forces.jacobian(middle), float)
    p = v - b if white is None else apply(np.swapaxes(white, -1, -2), v - b)
    if callable(forces.spread):
        jac = jac + 0.5 * np.einsum("nijk,nj->nik", difference(forces.spread, middle, 1e-5 * forces.scale), p)
    one = np.broadcast_to(np.eye(d), jac.shape) if white is None else np.broadcast_to(white, jac.shape)
    jac = jac if white is None else white @ jac
    root = np.sqrt(h)[:, None, None]
    left, right = -one / root - 0.5 * root * jac, one / root - 0.5 * root * jac
    along, pull = np.einsum("ni,nij->nj", v, one), 0.5 * h[:, None] * np.einsum("ni,nij->nj", b, jac)
    size = np.sqrt(h)[:, None] * np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-300)
    q0, q1 = (-along - pull) / size, (along - pull) / size
    bend = 0.0
    if d <= CURVATURE_DIMENSION:
        second = difference(forces.jacobian, middle, 1e-4 * forces.scale)
        bend = -0.25 * h[:, None, None] * np.einsum("ni,nijk->njk", p, second)
        bend = 0.5 * (bend + np.swapaxes(bend, 1, 2))
    transposed = np.swapaxes(left, 1, 2), np.swapaxes(right, 1, 2)
    force = np.sqrt(h)[:, None] * (v - b)
    slope, diagonal, weight = np.zeros((n, d)), np.zeros((n, d, d)), np.zeros(n)
    slope[:-1] += apply(transposed[0], force)
    slope[1:] += apply(transposed[1], force)
    diagonal[:-1] += transposed[0] @ left - q0[:, :, None] * q0[:, None] + bend
    diagonal[1:] += transposed[1] @ right - q1[:, :, None] * q1[:, None] + bend
    weight[:-1] += np.einsum("nij,nij->n", left, left)
    weight[1:] += np.einsum("nij,nij->n", right, right)
    upper = transposed[0] @ right - q0[:, :, None] * q1[:, None] + bend
    tangent = x[2:] - x[:-2]
    tangent = tangent / np.linalg.norm(tangent, axis=1, keepdims=True)
    across = np.eye(d) - tangent[:, :, None] * tangent[:, None]
    weight = weight[1:-1, None, None] / d
    diagonal = across @ diagonal[1:-1] @ across + weight * tangent[:, :, None] * tangent[:, None]
    return apply(across, slope[1:-1]), diagonal, across[:-1] @ upper[1:-1] @ across[1:], weight


def _dense_model(x, forces):
    """Gradient ``(n - 2, d)`` of a chain's action, and Newton's correction for a damping."""
    slope, diagonal, upper, weight = _quadratic(x, forces)
    return slope, lambda damping: _solve(diagonal + damping * weight * np.eye(x.shape[1]), upper, slope)


def _solve(diagonal, upper, right):
    """Solution of a symmetric block tridiagonal system; LinAlgError where it is not positive definite."""
    n, d = right.shape
    band = np.zeros((2 * d, n * d))
    i, j = np.tril_indices(d)
    band[(i - j)[:, None], np.arange(n) * d + j[:, None]] = diagonal[:, i, j].T
    i, j = (k.ravel() for k in np.indices((d, d)))
    band[(d + i - j)[:, None], np.arange(n - 1) * d + j[:, None]] = upper[:, j, i].T
    return solveh_banded(band, right.ravel(), lower=True).reshape(n, d)


def relax(x: np.ndarray, forces: Forces, tolerance: float, iterations: int) -> tuple[np.ndarray, list[float], str]:
    """Lower the discrete action of a chain until Newton's method promises less than a share ``tolerance`` of it.

    Returns:
        The chain, the actions after each step (never rising), and why it ended: ``"converged"``, ``"iterations"`` or
        ``"stalled"`` (no step, however short, lowers the action, and more than a share 1e-5 of it was promised).
    """
    x = spaced(x)
    history = [discrete_action(x, forces)]
    damping = 1e-4
    for _ in range(iterations):
        slope, correction = (quadratic_model if forces.products else _dense_model)(x, forces)
        promised, moved = np.inf, x
        for _ in range(25):
            try:
                move = -correction(damping)
            except np.linalg.LinAlgError:
                damping = max(6 * damping, 1e-4)
                continue
            promised = -0.5 * float(np.sum(slope * move))
            moved = x.copy()
            moved[1:-1] += move
            moved = spaced(moved)
            action = discrete_action(moved, forces)
            if action < history[-1] or promised < tolerance * history[-1]:
                break
            damping *= 6
        else:
            action = np.inf
        if action < history[-1]:
            x = moved
            history.append(action)
            damping = max(damping / 6, 1e-10)
        if promised <= tolerance * history[-1]:
            return x, history, "converged"
        if not action <= history[-1]:
            return x, history, "converged" if promised < 1e-5 * history[-1] else "stalled"
    return x, history, "iterations"
