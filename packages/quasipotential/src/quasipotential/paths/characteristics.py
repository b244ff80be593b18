"""Characteristics of the Hamilton-Jacobi equation: the reference that is exact up to the first caustic.

``x' = b + D p,  p' = -(grad b)^T p - 1/2 grad_x (p^T D p),  U' = 1/2 p^T D p``, launched on a small level line of
the local
polynomial, integrated by DOP853. ``shoot`` finds the one that passes through a given point.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import root

from claimkit.errors import InputError

from ..fields import evaluate
from ..marching.mesh import named
from ..plane.local import LocalPotential, expand, fit_polynomials

_TRIES = 100
"""Characteristics that a shot may take: a dozen find the point if one leads there."""


@dataclass(frozen=True)
class Shot:
    """A characteristic through a point.

    Attributes:
        value: U there.
        momentum: grad U there ``(2,)``.
        path: ``(n, 2)`` from the launch line to the point.
        miss: distance between the end of the path and the point.
    """

    value: float
    momentum: np.ndarray
    path: np.ndarray
    miss: float


def _difference(function, x, step):
    """Derivatives along the first axis of points ``(2, n)``, fourth order: a list over the two coordinates."""
    result = []
    for k in range(2):
        shift = np.zeros((2, 1))
        shift[k] = step
        near, far = function(x + shift) - function(x - shift), function(x + 2 * shift) - function(x - 2 * shift)
        result.append((8 * near - far) / (12 * step))
    return result


class Characteristics:
    """Hamilton's equations of one attractor.

    Args:
        drift: function of points ``(..., 2)``.
        attractor: stable equilibrium ``(2,)``.
        diffusion: None, a matrix, or a function returning ``(..., 2, 2)``.
        scale: radius on which the local polynomial of degree eight is fitted.
        launch: distance of the launch line, as a share of ``scale``.

    A characteristic ends where the drift is not finite or D not symmetric positive definite.

    Raises:
        InputError: where that is so next to the attractor.
    """

    def __init__(self, drift: Callable, attractor, diffusion=None, scale: float = 0.1, launch: float = 0.1):
        self.attractor = np.asarray(attractor, float)
        self.scale = scale
        constant = np.eye(2) if diffusion is None else diffusion
        self._drift = lambda x: np.moveaxis(evaluate(drift, np.moveaxis(x, 0, -1), (2,), "drift"), -1, 0)
        spread: Callable = constant if callable(constant) else (lambda points: np.asarray(constant, float))
        self._diffusion = lambda x: np.moveaxis(
            evaluate(spread, np.moveaxis(x, 0, -1), (2, 2), "diffusion"), (-2, -1), (0, 1)
        )
        self._varies = callable(diffusion)
        self._barred = ""
        self.local = self._polynomial()
        self._launch = launch * scale

    def _polynomial(self) -> LocalPotential:
        nodes = self.scale * np.cos(np.pi * (np.arange(17) + 0.5) / 17)
        x, y = np.meshgrid(nodes, nodes)
        points = np.stack([x.ravel(), y.ravel()]) + self.attractor[:, None]
        b, d = self._drift(points), self._diffusion(points)
        if not self._usable(points, b, d).all():
            raise InputError(f"{self._barred}; next to the attractor both fields must be usable.")
        return expand(
            self.attractor,
            self.scale,
            fit_polynomials(points.T, b.T, self.attractor, self.scale, 8),
            fit_polynomials(points.T, np.stack([d[0, 0], d[0, 1], d[1, 1]], -1), self.attractor, self.scale, 8),
        )

    def _usable(self, x: np.ndarray, b: np.ndarray, d: np.ndarray) -> np.ndarray:
        """Whether drift and D allow a characteristic at points ``(2, n)``; the first where they do not is remembered."""
        size = np.abs(d).max((0, 1))
        even = (np.abs(d[0, 1] - d[1, 0]) <= 1e-9 * size) & np.isfinite(size)
        positive: Any = even & (d[0, 0] > 0) & (d[0, 0] * d[1, 1] - d[0, 1] * d[1, 0] > 0)
        finite: Any = np.isfinite(b).all(0)
        bad = np.flatnonzero(~(finite & positive) & np.isfinite(x).all(0))
        if len(bad) and not self._barred:
            k = int(bad[0])
            what = "The drift is not finite" if not finite[k] else "The diffusion is not symmetric positive definite"
            self._barred = f"{what} at {named(x[:, k])}: it is {(d[..., k] if finite[k] else b[:, k]).tolist()}"
        return finite & positive

    def launch(self, angles: np.ndarray) -> np.ndarray:
        """State ``(5, n)`` (x, y, p_x, p_y, U) on the launch circle."""
        directions = np.stack([np.cos(angles), np.sin(angles)], -1)
        x = self.attractor + self._launch * directions
        return np.concatenate([x.T, self.local.gradient(x).T, self.local(x)[None]])

    def rates(self, time: float, state: np.ndarray) -> np.ndarray:
        """Time derivative of states, flat ``(5 n,)``."""
        x, p = (part.reshape(2, -1) for part in (state.reshape(5, -1)[:2], state.reshape(5, -1)[2:4]))
        b, d = self._drift(x), self._diffusion(x)
        dp = np.einsum("ij...,j...->i...", d, p)
        step = 1e-3 * max(self.scale, 1e-3)
        pull = [np.sum(gradient * p, axis=0) for gradient in _difference(self._drift, x, step)]
        if self._varies:
            for k, gradient in enumerate(_difference(self._diffusion, x, step)):
                pull[k] = pull[k] + 0.5 * np.einsum("i...,ij...,j...", p, gradient, p)
        rates = np.concatenate([b + dp, -np.stack(pull), 0.5 * np.sum(p * dp, axis=0)[None]])
        return np.where(self._usable(x, b, d), rates, np.nan).reshape(-1)

    def fan(self, count: int, duration: float, steps: int = 800) -> np.ndarray:
        """Characteristics from ``count`` equally spaced angles by the classical Runge-Kutta method.

        ``(5, count, steps + 1)``.

        A characteristic that runs away becomes NaN.
        """
        state = self.launch(np.linspace(0, 2 * np.pi, count, endpoint=False))
        dt = duration / steps
        states = [state]
        for _ in range(steps):
            k1 = self.rates(0.0, state).reshape(state.shape)
            k2 = self.rates(0.0, state + 0.5 * dt * k1).reshape(state.shape)
            k3 = self.rates(0.0, state + 0.5 * dt * k2).reshape(state.shape)
            k4 = self.rates(0.0, state + dt * k3).reshape(state.shape)
            state = state + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
            away = np.linalg.norm(state[:2] - self.attractor[:, None], axis=0) > 100 * self.scale
            state = np.where(away | ~np.isfinite(state).all(0), np.nan, state)
            states.append(state)
        return np.stack(states, -1)

    def shoot(self, point, guess: tuple[float, float] | None = None, duration: float = 12.0) -> Shot:
        """The characteristic through a point.

        Args:
            point: target ``(2,)``, before the first caustic for a value that is the minimum.
            guess: launch angle and time; by default from a fan of 120.
            duration: how long that fan runs.

        Raises:
            InputError: when no characteristic comes through the point.
        """
        point = np.asarray(point, float)
        self._barred = ""
        if guess is None:
            guess = self._nearest(point, duration)

        def end(unknowns, dense=False):
            angle, time = unknowns
            return solve_ivp(
                self.rates,
                (0, max(time, 1e-6)),
                self.launch(np.array([angle])).reshape(-1),
                method="DOP853",
                rtol=1e-11,
                atol=1e-13,
                dense_output=dense,
            )

        found = root(lambda unknowns: end(unknowns).y[:2, -1] - point, guess, tol=1e-12, options={"maxfev": _TRIES})
        last = end(found.x, dense=True)
        miss = float(np.linalg.norm(last.y[:2, -1] - point))
        if miss > 1e-6:
            raise InputError(
                f"No characteristic from the attractor came nearer than {miss:.1e} to {named(point)}; give a guess or a "
                f"longer time{'. ' + self._barred if self._barred else ''}."
            )
        path = last.sol(np.linspace(0, found.x[1], 400))[:2].T
        # first-order correction for the remaining miss: U changes by <p, dx>
        state = last.y[:, -1]
        return Shot(float(state[4] + state[2:4] @ (point - state[:2])), state[2:4], path, miss)

    def _nearest(self, point, duration):
        with np.errstate(over="ignore", invalid="ignore"):
            states = self.fan(120, duration, 400)
        away = np.linalg.norm(states[:2] - point[:, None, None], axis=0)
        if self._barred and np.nanmin(away) > 0.1 * np.linalg.norm(point - self.attractor):
            raise InputError(f"No characteristic comes near {named(point)}. {self._barred}; there they end.")
        angle, time = np.unravel_index(int(np.nanargmin(away)), away.shape)
        return 2 * np.pi * angle / 120, duration * time / 400
