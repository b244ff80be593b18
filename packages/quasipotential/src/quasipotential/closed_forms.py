"""Quasi-potentials known in closed form, with the drift and diffusion they belong to.

ArXiv 1901.06054, convex case, and kin.

All satisfy ``1/2 <grad U, D grad U> + <b, grad U> = 0``; ``ClosedForm.residual`` evaluates the left side.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from claimkit.errors import InputError

from .fields import refuse_not_positive
from .plane.local import lyapunov_covariance

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)


@dataclass(frozen=True)
class ClosedForm:
    """An exact quasi-potential; every function takes points ``(..., d)``.

    Attributes:
        value: U, ``(...)``.
        gradient: ``(..., d)``.
        drift: b, ``(..., d)``.
        diffusion: D, ``(..., d, d)``.
    """

    value: Callable[[np.ndarray], np.ndarray]
    gradient: Callable[[np.ndarray], np.ndarray]
    drift: Callable[[np.ndarray], np.ndarray]
    diffusion: Callable[[np.ndarray], np.ndarray]

    def residual(self, points: np.ndarray) -> np.ndarray:
        """Left side of the Hamilton-Jacobi equation at points ``(..., d)``."""
        p = self.gradient(points)
        spread = np.broadcast_to(self.diffusion(points), (*p.shape, p.shape[-1]))
        return 0.5 * np.einsum("...i,...ij,...j", p, spread, p) + np.einsum("...i,...i", self.drift(points), p)


def quadratic(hessian: np.ndarray, diffusion: np.ndarray) -> ClosedForm:
    """``f = 1/2 x^T A x`` with constant D: ``U = 1/2 x^T Q^{-1} x`` where ``A Q + Q A = D``, in any dimension.

    Args:
        hessian: A, symmetric positive definite ``(d, d)``.
        diffusion: D, symmetric positive definite ``(d, d)``.

    >>> form = quadratic(np.diag([2.0, 0.5]), np.eye(2))
    >>> float(form.value(np.array([1.0, 1.0])))
    2.5
    """
    a, d = np.asarray(hessian, float), np.asarray(diffusion, float)
    precision = np.linalg.inv(stationary_covariance(a, d))
    return ClosedForm(
        lambda x: 0.5 * np.einsum("...i,ij,...j", x, precision, x), lambda x: x @ precision, lambda x: -x @ a, lambda x: d
    )


def stationary_covariance(hessian: np.ndarray, diffusion: np.ndarray) -> np.ndarray:
    """Q of ``A Q + Q A = D``: covariance over eps of ``dX = -A X dt + sqrt(eps) sigma dW`` in the long run.

    Raises:
        InputError: unless all eigenvalues of A have positive real parts: else there is no long run.
    """
    return lyapunov_covariance(-np.asarray(hessian, float), diffusion)


def discrete_covariance(
    hessian: np.ndarray, diffusion: np.ndarray, step: float, batch: int = 1, momentum: float = 0.0
) -> np.ndarray:
    """Exact covariance of SGD on a quadratic, without the limit of small steps.

    Solves ``Q = (I - eta A) Q (I - eta A)^T + eta^2 D / b``; divided by ``eps = eta / b`` it tends to
    ``stationary_covariance``
    with an error of first order in eta. With momentum mu the same holds for parameters and velocity together,
    ``v' = mu v + A x + g``, ``x' = x - eta v'``; in one dimension the variance is
    ``eta D / (b a) (1 + mu) / ((1 - mu) (2 (1 + mu) - eta a))``.

    Args:
        hessian: A ``(d, d)``.
        diffusion: covariance of one sample's gradient ``(d, d)``.
        step: eta.
        batch: b.
        momentum: mu.

    Raises:
        InputError: when the step is so large that the iteration diverges, step or batch is not positive, or the momentum is
            not in [0, 1).
    """
    from scipy.linalg import solve_discrete_lyapunov

    refuse_not_positive(step=step, batch=batch)
    if not 0 <= momentum < 1:
        raise InputError(f"The momentum must lie in [0, 1); it is {momentum}.")
    a, one = np.asarray(hessian, float), np.eye(len(hessian))
    contraction = np.block([[one - step * a, -step * momentum * one], [a, momentum * one]])
    if np.abs(np.linalg.eigvals(contraction)).max() >= 1:
        raise InputError(
            f"The step {step} is too large: SGD diverges on this Hessian; "
            f"use less than {2 * (1 + momentum) / np.linalg.eigvalsh(a).max():.3g}."
        )
    kick = np.concatenate([-step * one, one])
    both = solve_discrete_lyapunov(contraction, kick @ (np.asarray(diffusion, float) / batch) @ kick.T)
    return both[: len(a), : len(a)]


def integrate(function: Callable[[np.ndarray], np.ndarray], start: float, ends: np.ndarray) -> np.ndarray:
    """Integral from ``start`` to each of ``ends`` by 64 Gauss nodes on each of eight pieces."""
    ends = np.asarray(ends, float)
    total = np.zeros(ends.shape)
    pieces = np.linspace(0.0, 1.0, 9)
    for low, high in itertools.pairwise(pieces):
        middle, half = 0.5 * (low + high), 0.5 * (high - low)
        nodes = start + (ends[..., None] - start) * (middle + half * _NODES)
        total += half * (function(nodes) @ _WEIGHTS)
    return total * (ends - start)


def separable(
    slopes: Sequence[Callable[[np.ndarray], np.ndarray]],
    diffusions: Sequence[Callable[[np.ndarray], np.ndarray]],
    start: Sequence[float],
) -> ClosedForm:
    """``f = sum_i f_i(x_i)`` and ``D = diag(d_i(x_i))``.

    ``U = sum_i 2 int f_i' / d_i``, in any dimension (one included).

    Exact inside the region that paths reach uphill in each coordinate.

    Args:
        slopes: the functions f_i'.
        diffusions: the functions d_i > 0.
        start: the minimum.
    """
    axes = range(len(slopes))

    def value(x):
        parts = [integrate(lambda y, i=i: 2 * slopes[i](y) / diffusions[i](y), start[i], x[..., i]) for i in axes]
        return np.sum(parts, axis=0)

    def diffusion(x):
        spread = np.zeros((*x.shape, len(slopes)))
        for i in axes:
            spread[..., i, i] = diffusions[i](x[..., i])
        return spread

    return ClosedForm(
        value,
        lambda x: np.stack([2 * slopes[i](x[..., i]) / diffusions[i](x[..., i]) for i in axes], -1),
        lambda x: -np.stack([slopes[i](x[..., i]) for i in axes], -1),
        diffusion,
    )


def loss_dependent(
    loss: Callable[[np.ndarray], np.ndarray],
    slope: Callable[[np.ndarray], np.ndarray],
    noise: Callable[[np.ndarray], np.ndarray],
    minimum: np.ndarray,
) -> ClosedForm:
    """``D = h(f(x)) I``: ``U = 2 int_{f0}^{f} ds / h(s)``, in any dimension.

    Noise proportional to the loss (``h(s) = s``) gives ``2 log(f / f0)``: escape times that are powers, not
    exponentials.

    Args:
        loss: f of points ``(..., d)``.
        slope: its gradient.
        noise: h > 0 of a loss.
        minimum: the minimiser ``(d,)``.
    """
    bottom = float(loss(np.asarray(minimum, float)))

    def diffusion(x):
        return noise(loss(x))[..., None, None] * np.eye(x.shape[-1])

    return ClosedForm(
        lambda x: integrate(lambda s: 2 / noise(s), bottom, loss(x)),
        lambda x: 2 * slope(x) / noise(loss(x))[..., None],
        lambda x: -slope(x),
        diffusion,
    )


def manufactured(
    value: Callable[[np.ndarray], np.ndarray],
    gradient: Callable[[np.ndarray], np.ndarray],
    diffusion: Callable[[np.ndarray], np.ndarray],
    rotation: Callable[[np.ndarray], np.ndarray],
) -> ClosedForm:
    """Any U and D in the plane with the drift ``b = -1/2 D grad U + r J grad U``; not a gradient drift.

    Args:
        value: U.
        gradient: its gradient.
        diffusion: D.
        rotation: the factor r of the part along the level lines.
    """

    def drift(x):
        p = gradient(x)
        along = np.stack([-p[..., 1], p[..., 0]], -1)
        return -0.5 * np.einsum("...ij,...j", diffusion(x), p) + rotation(x)[..., None] * along

    return ClosedForm(value, gradient, drift, diffusion)


def stationary_density_1d(slope: Callable, diffusion: Callable, noise: float, points: np.ndarray) -> np.ndarray:
    """Normalised density of ``dX = -f' dt + sqrt(eps D) dW``.

    Ito on equally spaced points, ``p ~ exp(-(2/eps) int f'/D) / D``.

    Args:
        slope: f'.
        diffusion: D.
        noise: eps.
        points: ``(n,)``, increasing, covering the mass.

    Raises:
        InputError: for a noise that is not positive, or points that do not increase.
    """
    refuse_not_positive(noise=noise)
    points = np.asarray(points, float)
    steps = np.diff(points)
    if points.ndim != 1 or len(points) < 2 or not (steps > 0).all():
        raise InputError(f"The points must be two or more that increase, (n,); the shape is {points.shape}.")
    nodes = points[:-1, None] + steps[:, None] * (0.5 + 0.5 * _NODES[None, :])
    rise = 0.5 * steps * ((slope(nodes) / diffusion(nodes)) @ _WEIGHTS)
    exponent = -2 / noise * np.concatenate([[0.0], np.cumsum(rise)])
    density = np.exp(exponent - exponent.max()) / diffusion(points)
    return density / np.trapezoid(density, points)
