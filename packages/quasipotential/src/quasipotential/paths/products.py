"""Products of the drift's Jacobian with vectors, without the Jacobian: for paths in hundreds of dimensions and more."""

from collections.abc import Callable

import numpy as np
from scipy.linalg import cho_solve_banded, cholesky_banded

from claimkit.errors import InputError

from ..fields import backend, evaluate

Products = tuple[Callable[[np.ndarray, np.ndarray], np.ndarray], Callable[[np.ndarray, np.ndarray], np.ndarray]]
"""``(x, v) -> J(x) v`` and ``(x, p) -> J(x)^T p`` at points and vectors ``(n, d)``."""

_POINTS = 2_000
"""Points at which a drift is asked at once for ``J^T p`` by differences: bounds the memory."""


def jacobian_products(drift: Callable, scale: float = 1.0) -> Products:
    """``(x, v) -> J v`` and ``(x, p) -> J^T p`` at points ``(n, d)``, for ``minimum_action_path``.

    A drift marked by ``torch_field`` or ``jax_field``, or a torch module, is differentiated by its library, each product at
    the price of a few calls. From a numpy function come differences along v, two calls; ``J^T p`` is the same where J is
    symmetric, which is tried on two random vectors, and wants 2 d calls a point where it is not.

    Args:
        drift: function of points ``(n, d)``, each row by itself.
        scale: length in whose units differences are taken.
    """
    library = backend(drift)
    if library == "torch":
        return _torch_products(drift)
    if library == "jax":
        return _jax_products(drift)
    field = lambda x: evaluate(drift, x, x.shape[-1:], "drift")  # noqa: E731

    def forward(x, v):
        size = np.linalg.norm(v, axis=1, keepdims=True)
        step = 1e-5 * scale * v / np.where(size > 0, size, 1.0)
        return size * (field(x + step) - field(x - step)) / (2e-5 * scale)

    def backward(x, p):
        one, two = np.random.default_rng(0).standard_normal((2, *x.shape))
        there, back = (np.sum(a * forward(x, b), axis=1) for a, b in ((one, two), (two, one)))
        spread = np.sqrt(np.sum(forward(x, one) ** 2, axis=1)) * np.linalg.norm(two, axis=1)
        if (np.abs(there - back) <= 1e-6 * spread).all():
            return forward(x, p)
        n, d = x.shape
        product, block, step = np.empty((n, d)), max(1, _POINTS // n), 1e-6 * scale
        for begin in range(0, d, block):
            shift = step * np.eye(d)[begin : begin + block, None]
            change = field((x + shift).reshape(-1, d)) - field((x - shift).reshape(-1, d))
            product[:, begin : begin + block] = np.einsum("knj,nj->nk", change.reshape(-1, n, d), p) / (2 * step)
        return product

    return forward, backward


def refuse_wrong(products: tuple, drift: Callable, points: np.ndarray, scale: float) -> None:
    """Refuse a Jacobian that differs from the drift's by more than one per cent, tried along a random direction.

    Args:
        products: ``(x, v) -> J v``, and ``(x, p) -> J^T p`` or None.
        drift: function of points ``(n, d)``.
        points: where, ``(n, d)``.
        scale: length in whose units differences are taken.
    """
    v, p = np.random.default_rng(1).standard_normal((2, *points.shape))
    step = 1e-4 * scale / np.linalg.norm(v, axis=1, keepdims=True)
    right = (drift(points + step * v) - drift(points - step * v)) / (2 * step)
    try:
        given = np.asarray(products[0](points, v), float)
        back = None if products[1] is None else np.asarray(products[1](points, p), float)
    except (ValueError, TypeError, IndexError) as error:
        raise InputError(f"The Jacobian failed on points of shape {points.shape}: {error}.") from error
    size = np.abs(right).max() + 1e-6 * np.abs(drift(points)).max() / scale
    off = np.abs(given - right).max() if given.shape == right.shape else np.inf
    if back is not None:
        there, size = np.sum(p * right, axis=1), max(size, np.abs(np.sum(p * right, axis=1)).max())
        off = max(off, np.abs(np.sum(back * v, axis=1) - there).max()) if back.shape == v.shape else np.inf
    if not off <= 0.01 * size:
        raise InputError(
            f"The Jacobian is not that of the drift: along a random direction it is off by {off:.3g} of "
            f"{size:.3g} (entry [i, j] is d b_i / d x_j; shape (n, d, d), or a pair of products)."
        )


def _torch_products(drift):
    import torch

    def forward(x, v):
        return torch.func.jvp(drift, (_tensor(x),), (_tensor(v),))[1].detach().numpy()

    def backward(x, p):
        return torch.func.vjp(drift, _tensor(x))[1](_tensor(p))[0].detach().numpy()

    def _tensor(x):
        return torch.as_tensor(np.ascontiguousarray(x))

    return forward, backward


def _jax_products(drift):
    import jax  # pyright: ignore[reportMissingImports]

    def forward(x, v):
        with jax.enable_x64(True):
            return np.asarray(jax.jvp(drift, (jax.numpy.asarray(x),), (jax.numpy.asarray(v),))[1])

    def backward(x, p):
        with jax.enable_x64(True):
            return np.asarray(jax.vjp(drift, jax.numpy.asarray(x))[1](jax.numpy.asarray(p))[0])

    return forward, backward


def quadratic_model(x: np.ndarray, forces) -> tuple[np.ndarray, Callable[[float], np.ndarray]]:
    """Gradient ``(n - 2, d)`` of a chain's action, and Newton's correction for a damping, by conjugate gradients.

    The same Hessian as that of ``relax``, without the drift's second derivatives; each iteration takes one product with J
    and one with J^T. The preconditioner is tridiagonal along the chain, alike for all coordinates, with J's mean diagonal
    and mean square, estimated by one random vector.

    Args:
        x: the chain ``(n, d)``.
        forces: a ``Forces`` with products.
    """
    from .relax import apply, segments

    forward, backward = forces.products
    middle, white, b, w, _ = segments(x, forces)
    turned = None if white is None else white.T
    size = 1.0 if white is None else float(np.sum(white**2)) / len(white)
    speed = np.linalg.norm(b, axis=1)
    h = np.linalg.norm(w, axis=1) / np.maximum(speed, 1e-9 * speed.max() + 1e-300)
    root, v = np.sqrt(h)[:, None], w / h[:, None]
    probe = np.random.default_rng(0).choice([-1.0, 1.0], middle.shape)
    image = forward(middle, probe)
    mean, square = np.mean(probe * image, axis=1), np.mean(image**2, axis=1)
    along, pull = apply(turned, v), 0.5 * h[:, None] * backward(middle, apply(turned, b))
    norm = np.sqrt(h) * np.maximum(np.linalg.norm(v, axis=1), 1e-300)
    tangent = x[2:] - x[:-2]
    tangent = tangent / np.linalg.norm(tangent, axis=1, keepdims=True)
    left, right = -1 / root[:, 0] - 0.5 * root[:, 0] * mean, 1 / root[:, 0] - 0.5 * root[:, 0] * mean
    rest = 0.25 * h * np.maximum(square - mean**2, 0.0)
    diagonal = size * (right[:-1] ** 2 + left[1:] ** 2 + rest[:-1] + rest[1:])

    def adjoint(force):
        """``G^T`` of vectors on the segments, at the inner points."""
        force = apply(turned, force)
        bent, straight = 0.5 * root * backward(middle, force), force / root
        return straight[:-1] - bent[:-1] - straight[1:] - bent[1:]

    def across(move):
        return move - np.sum(move * tangent, axis=1, keepdims=True) * tangent

    def hessian(move):
        inner = np.zeros_like(x)
        inner[1:-1] = across(move)
        chord, center = np.diff(inner, axis=0), 0.5 * (inner[1:] + inner[:-1])
        force = apply(white, chord / root - root * forward(middle, center))
        share = (np.sum(along * chord, axis=1) - 2 * np.sum(pull * center, axis=1)) / norm**2
        lost = (along - pull)[:-1] * share[:-1, None] - (along + pull)[1:] * share[1:, None]
        return across(adjoint(force) - lost) + diagonal[:, None] * (move - across(move))

    slope = across(adjoint(root * (v - b)))

    def correction(damping):
        band = np.stack([(1 + damping) * diagonal, np.append(size * left[1:-1] * right[1:-1], 0.0)])
        factor = cholesky_banded(band, lower=True)
        return _conjugate_gradients(
            lambda move: hessian(move) + damping * diagonal[:, None] * move,
            slope,
            lambda residual: cho_solve_banded((factor, True), residual),
        )

    return slope, correction


def _conjugate_gradients(matrix, right, preconditioner, accuracy=1e-2, iterations=300):
    """Solution of a system to an accuracy, or as far as its matrix is positive definite; LinAlgError if nowhere."""
    x, r = np.zeros_like(right), right
    z = preconditioner(r)
    p, rz = z, float(np.sum(r * z))
    first = rz
    for k in range(iterations):
        if not rz > accuracy**2 * first:
            break
        image = matrix(p)
        bend = float(np.sum(p * image))
        if not bend > 0:
            if k == 0:
                raise np.linalg.LinAlgError("The Hessian is not positive definite.")
            break
        x, r = x + rz / bend * p, r - rz / bend * image
        z = preconditioner(r)
        rz, before = float(np.sum(r * z)), rz
        p = z + rz / before * p
    return x
