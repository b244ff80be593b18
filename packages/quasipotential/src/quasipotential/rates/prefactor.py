"""Transition rates with their factor: the Eyring-Kramers formula, of gradient drifts and of others.

Bouchet and Reygner 2016 (arXiv 1507.02104). With H the Hessian of U at the attractor and at the saddle, lambda the rate
at which the saddle's one unstable direction grows, and the integral in time along the path of least action,

    rate = lambda / (2 pi) sqrt(det H_0 / |det H_*|) exp(-int F dt) exp(-U / eps),   F = div l + 1/2 (div D) . grad U,

where ``b = -1/2 D grad U + l``, so that ``F = div b + 1/2 tr(D H) + (div D) . p`` with ``p = grad U``. (D varying: the terms
of order eps^0 of the stationary Fokker-Planck equation for ``C exp(-U / eps)`` give ``C' = -F C`` along the path.) For a
gradient drift and D = I, H is minus twice the drift's Jacobian and F is zero: Eyring and Kramers. Otherwise H begins with
the Lyapunov equation ``J H^{-1} + H^{-1} J^T = -D`` and follows the Riccati equation

    H' = -H_xx - H_xp H - H H_px - H D H,   H_px = J + (grad D) p,   H_xx = grad grad (p . b + 1/2 p^T D p).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.linalg import expm

from claimkit.errors import InputError

from ..fields import difference, evaluate
from ..paths.action import ActionPath
from ..paths.guesses import is_gradient
from ..paths.hamilton import Hamiltonian
from ..paths.relax import Forces, geometric_action
from ..paths.turns import graded
from ..plane.local import lyapunov_covariance

_NODES = 100
_CUTS = (3e-3, 1e-3)
"""Shares of the path left out at both ends, where F is zero and its error divided by the speed is not."""


@dataclass(frozen=True)
class TransitionRate:
    """Rate of the passages over one saddle, to leading order in eps; what is left out is of relative order eps.

    Attributes:
        barrier: U at the saddle.
        barrier_error: its estimated error.
        prefactor: of ``exp(-barrier / eps)``, per unit of time.
        prefactor_error: its estimated relative error.
        growth: lambda, the saddle's growing rate.
        correction: ``int F dt``, by whose exponential the formula of Eyring and Kramers is wrong; zero for a gradient.
    """

    barrier: float
    barrier_error: float
    prefactor: float
    prefactor_error: float
    growth: float
    correction: float

    def rate(self, noise: float) -> float:
        """Passages into the other basin per unit of time; with several saddles, or mirrored paths, the rates add up.

        Raises:
            InputError: for a noise eps that is not positive, or so small that the rate is no number of double precision.
        """
        if not noise > self.barrier / 700:
            raise InputError(
                f"The noise eps must be positive and above barrier / 700; it is {noise} for {self.barrier:.6g}."
            )
        return self.prefactor * math.exp(-self.barrier / noise)

    def mean_exit_time(self, noise: float) -> float:
        """Mean time until the boundary of the basin is reached: ``1 / (2 rate)``, as from there half of the paths return."""
        return 0.5 / self.rate(noise)

    def relative_error(self, noise: float) -> float:
        """Of both, from the errors of prefactor and barrier; the terms of higher order in eps are not in it."""
        return (1 + self.prefactor_error) * math.exp(self.barrier_error / noise) - 1


def transition_rate(
    drift: Callable,
    path: ActionPath,
    *,
    diffusion: Callable | np.ndarray | None = None,
    jacobian: Callable | None = None,
) -> TransitionRate:
    """Rate at which ``dX = b dt + sqrt(eps) sigma dW`` leaves an attractor over a saddle, as eps tends to zero.

    Args:
        drift: function of points ``(n, d)``.
        path: of ``minimum_action_path``, from a stable equilibrium to a saddle, with the same drift and diffusion.
        diffusion: None, a positive definite matrix ``(d, d)``, or a function returning ``(n, d, d)``.
        jacobian: derivative of the drift ``(n, d, d)``; central differences by default.

    Raises:
        InputError: for a path that did not converge or does not lead from an attractor to a saddle with one unstable
            direction, a saddle with a rate near zero, singular noise, a path that another one beats nearby, a path that was
            found in another drift or noise, and where U is not smooth at the saddle, so that the formula does not hold
            (Maier and Stein 1997).
    """
    x = path.points
    d, length = x.shape[1], float(np.linalg.norm(np.diff(x, axis=0), axis=1).sum())
    if not path.converged:
        raise InputError(f"The path did not converge ({path.reason}); its Hessians would mean nothing.")
    field = lambda y: evaluate(drift, y, (d,), "drift")  # noqa: E731
    derivative = jacobian or (lambda y: difference(field, y, 1e-5 * length))
    noise: Callable | np.ndarray = (
        np.eye(d) if diffusion is None else diffusion if callable(diffusion) else np.asarray(diffusion, float)
    )
    if not callable(noise) and noise.shape != (d, d):
        raise InputError(f"The diffusion must be a matrix ({d}, {d}) or a function; its shape is {noise.shape}.")
    system = Hamiltonian(field, derivative, noise, length)
    spectrum = np.linalg.eigvalsh(system.noise(x))
    if not spectrum.min() > 1e-6 * spectrum.max():
        raise InputError("The noise is singular on the path; prefactors are there for noise in every direction only.")
    ends = _equilibria(system, x)
    action = geometric_action(x, field, None if diffusion is None else noise)
    if abs(action - path.action) > 0.01 * path.action:
        raise InputError(
            f"The path was found in another drift or noise: its action is {path.action:.6g}, here {action:.6g}."
        )
    jacobians = np.asarray(derivative(ends), float)
    growth = _growth(jacobians)
    share, _, _, momenta = _momenta(system, x)
    push = np.linalg.norm(momenta[(share > 0.01) & (share < 0.99)], axis=1)
    if push.min() < 1e-3 * push.max():
        raise InputError(
            "The path leads over another equilibrium, from which it needs no noise: take the rates of its parts one by one."
        )
    if diffusion is None and is_gradient(derivative, x):
        logs = np.linalg.slogdet(jacobians)[1]
        return _rate(path, growth, 0.5 * (logs[0] - logs[1]), 0.0, 1e-6)
    forces = Forces(field, derivative, None if diffusion is None else noise, length)
    start = np.linalg.inv(lyapunov_covariance(jacobians[0], system.noise(ends[:1])[0]))
    found = []
    for nodes in (_NODES, 2 * _NODES):
        correction, missing, last = _along(system, graded(x, forces, nodes), start)
        left = last @ jacobians[1] + jacobians[1].T @ last + last @ system.noise(ends[1:])[0] @ last
        found.append((correction, missing, last, np.linalg.norm(left) / np.linalg.norm(last @ jacobians[1])))
    correction, missing, last, left = found[1]
    signs, logs = np.linalg.slogdet(np.stack([start, last]))
    if left > 0.05 or signs[1] > 0:
        raise InputError(
            f"The Hessian of U does not tend to a solution of the saddle's Riccati equation (residual {left:.2g}): the path "
            "arrives along the basin's boundary and U is not smooth there, so that no formula of this kind holds; use "
            "split_exits or mean_exit_time."
        )
    error = abs(correction - found[0][0]) + missing + left
    return _rate(path, growth, 0.5 * (logs[0] - logs[1]), correction, error)


def _rate(path, growth, logarithm, correction, error):
    factor = growth / (2 * math.pi) * math.exp(logarithm - correction)
    return TransitionRate(path.action, path.error, factor, float(error), growth, float(correction))


def _equilibria(system, x):
    """Zeros of the drift at both ends ``(2, d)``, by Newton's method from the path's."""
    ends = x[[0, -1]]
    for _ in range(5):
        try:
            ends = ends - np.linalg.solve(system.jacobian(ends), system.drift(ends)[..., None])[..., 0]
        except np.linalg.LinAlgError:
            break
    if not np.linalg.norm(ends - x[[0, -1]], axis=1).max() < 1e-3 * system.scale:
        raise InputError("The path does not lead from equilibrium to equilibrium: the drift does not vanish at its ends.")
    return ends


def _growth(jacobians):
    """The saddle's growing rate.

    Raises:
        InputError: where the ends are no attractor and no saddle with one unstable direction.
    """
    first, last = (np.linalg.eigvals(j) for j in jacobians)
    if first.real.max() >= 0:
        raise InputError(f"The path does not begin at an attractor: the eigenvalues there are {first.tolist()}.")
    if (last.real > 0).sum() != 1:
        raise InputError(f"The path does not end at a saddle with one unstable direction, but at {last.tolist()}.")
    if np.abs(last.real).min() < 1e-5 * np.abs(last).max():
        raise InputError(f"The saddle is degenerate (eigenvalues {last.tolist()}): U is not quadratic there.")
    return float(last.real.max())


def _momenta(system, points):
    """At the middle of each segment of a path: share of the length, time taken, point and momentum ``grad U``."""
    s = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    middle, spline = 0.5 * (s[1:] + s[:-1]), CubicSpline(s, points)
    x, tangent = spline(middle), spline(middle, 1)
    b, inverse = system.drift(x), np.linalg.inv(system.noise(x))
    size = lambda v: np.sqrt(np.einsum("ni,nij,nj->n", v, inverse, v))  # noqa: E731
    speed = size(b) / size(tangent)
    p = np.einsum("nij,nj->ni", inverse, speed[:, None] * tangent - b)
    return middle / s[-1], np.diff(s) / speed, x, p


def _along(system: Hamiltonian, points: np.ndarray, hessian: np.ndarray) -> tuple[float, float, np.ndarray]:
    """``int F dt`` along a path ``(n, d)``, how much of it is extrapolated, and the Hessian ``(d, d)`` at the end.

    One step of the Riccati equation is the exponential of the linearised Hamilton's equations at the middle of a segment.
    What H does to the direction of the path is known, ``H x' = p'``, and set: errors there would grow towards the saddle.
    """
    share, time, x, p = _momenta(system, points)
    noise, d = system.noise(x), points.shape[1]
    mixed, slopes = system.mixed(x, p), system.noise_slopes(x)
    steps = expm(time[:, None, None] * np.block([[mixed, noise], [-system.bend(x, p), -np.swapaxes(mixed, 1, 2)]]))
    spread = np.trace(np.asarray(system.jacobian(x), float), axis1=1, axis2=2)
    if slopes is not None:
        spread = spread + np.einsum("nijj,ni->n", slopes, p)
    rise, chord = np.diff(p, axis=0), np.diff(x, axis=0)
    rise, chord = (v / np.linalg.norm(chord, axis=1)[:, None] for v in (rise, chord))
    growth = np.zeros(len(x))
    for k, step in enumerate(steps[:-1]):
        frame = step @ np.concatenate([np.eye(d), hessian])
        after = np.linalg.solve(frame[:d].T, frame[d:].T)
        across, row, along = np.eye(d) - np.outer(chord[k], chord[k]), rise[k], chord[k]
        after = across @ (0.5 * (after + after.T)) @ across + np.outer(row, along) + np.outer(along, row)
        after -= (along @ row) * np.outer(along, along)
        growth[k] = spread[k] + 0.25 * np.sum(noise[k] * (hessian + after))
        hessian = after
    wide, narrow = (float(np.sum((growth * time)[(share > cut) & (share < 1 - cut)])) for cut in _CUTS)
    rest = (narrow - wide) * _CUTS[1] / (_CUTS[0] - _CUTS[1])
    return narrow + rest, abs(rest), hessian
