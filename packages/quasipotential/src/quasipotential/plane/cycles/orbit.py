"""A limit cycle as a closed curve: its frame, and where points of the plane lie beside it.

Everything is measured with the axes scaled by the cycle's extent, so that units do not matter: with ``z = x / scale``,
``z = gamma(u) + nu n(u)``, u in [0, 1) along the flow, n the unit normal to the left.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

FINER = 8
"""Nodes of a spline per sample of the cycle: its error is far below that of the samples."""


@dataclass(frozen=True)
class LimitCycle:
    """A periodic orbit of a planar drift, see ``find_cycle``.

    Attributes:
        points: ``(n, 2)``, along the flow, about equally spaced.
        period: T.
        multiplier: Floquet's, ``exp(int_0^T div b dt)``: below 1 where the cycle attracts.
        turn: ``x(T) - x(0)``, ``(2,)``: zero, or the period of an angle that the orbit runs round.
    """

    points: np.ndarray
    period: float
    multiplier: float
    turn: np.ndarray

    @property
    def stable(self) -> bool:
        """Whether the drift leads to the cycle from both sides."""
        return self.multiplier < 1

    @property
    def outline(self) -> np.ndarray:
        """The closed curve, ``(n + 1, 2)``."""
        return np.concatenate([self.points, self.points[:1] + self.turn])

    @property
    def middle(self) -> np.ndarray:
        """Middle of the box around the cycle, ``(2,)``."""
        return 0.5 * (self.outline.min(0) + self.outline.max(0))

    @cached_property
    def scale(self) -> np.ndarray:
        """Extent of the cycle in x and y, ``(2,)``."""
        size = np.ptp(self.outline, axis=0)
        return np.maximum(size, 1e-3 * size.max())

    @cached_property
    def _flat(self) -> np.ndarray:
        """The scaled samples less their turn: periodic in u."""
        return (self.points - np.arange(len(self.points))[:, None] / len(self.points) * self.turn) / self.scale

    @cached_property
    def _curve(self):
        return spline(self._flat)

    @cached_property
    def frame(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """At the samples, of the scaled curve: tangents and normals ``(n, 2)``, speeds ``|d gamma / du|``, curvatures."""
        velocity = derivative(self._flat) + self.turn / self.scale
        speed = np.linalg.norm(velocity, axis=1)
        tangent = velocity / speed[:, None]
        normal = np.stack([-tangent[:, 1], tangent[:, 0]], -1)
        return tangent, normal, speed, np.sum(derivative(tangent) * normal, -1) / speed

    def dense(self, spacing: np.ndarray) -> np.ndarray:
        """Points along the cycle, in x and y about ``spacing`` apart at most, ``(m, 2)``."""
        steps = np.abs(np.diff(self.outline, axis=0) / spacing).max(-1)
        u = np.concatenate([np.linspace(k, k + 1, max(2, int(np.ceil(s)) + 1))[:-1] for k, s in enumerate(steps)])
        u = u / len(self.points)
        return self._curve(u) * self.scale + u[:, None] * self.turn

    def tangent(self, u: np.ndarray) -> np.ndarray:
        """Unit tangents of the scaled curve, ``(..., 2)``."""
        along = self._curve(u % 1, 1) + self.turn / self.scale
        return along / np.linalg.norm(along, axis=-1, keepdims=True)

    @cached_property
    def reach(self) -> float:
        """Largest half-width of a tube of the scaled curve that does not meet itself (Federer's reach)."""
        z, normal = self.points / self.scale, self.frame[1]
        apart = z[:, None] - z[None, :]
        across = np.abs(np.einsum("ijk,jk->ij", apart, normal))
        np.fill_diagonal(across, 0.0)
        return float((np.sum(apart**2, -1)[across > 0] / (2 * across[across > 0])).min(initial=np.inf))

    def place(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """``u`` of the nearest point of the cycle and the signed distance ``nu``, both ``(...)``, at points ``(..., 2)``."""
        z, turn, n = np.asarray(points, float).reshape(-1, 2) / self.scale, self.turn / self.scale, len(self.points)
        u = np.asarray(self._tree.query(z)[1]) / n - (1 if turn.any() else 0)
        for _ in range(4):
            apart = z - self._curve(u % 1) - turn * u[:, None]
            along = self._curve(u % 1, 1) + turn
            bend = np.sum(along**2, -1) - np.sum(apart * self._curve(u % 1, 2), -1)
            step = np.sum(apart * along, -1) / np.where(bend > 0, bend, np.inf)
            u = u + np.clip(step, -1 / n, 1 / n)
        apart = z - self._curve(u % 1) - turn * u[:, None]
        along = self._curve(u % 1, 1) + turn
        nu = (along[:, 0] * apart[:, 1] - along[:, 1] * apart[:, 0]) / np.linalg.norm(along, axis=-1)
        return u.reshape(np.shape(points)[:-1]), nu.reshape(np.shape(points)[:-1])

    def nearest(self, points: np.ndarray) -> np.ndarray:
        """The points of the cycle nearest to points ``(..., 2)``, in the scaled plane."""
        u, _ = self.place(points)
        return self._curve(u % 1) * self.scale + u[..., None] * self.turn

    @cached_property
    def _tree(self):
        from scipy.spatial import KDTree

        copies = (-1, 0, 1) if self.turn.any() else (0,)
        return KDTree(np.concatenate([self.points + k * self.turn for k in copies]) / self.scale)


def derivative(samples: np.ndarray) -> np.ndarray:
    """Derivative of periodic samples ``(n, ...)`` of one period of length 1; n is even."""
    n = len(samples)
    waves = 2j * np.pi * np.arange(n // 2 + 1)
    waves[-1] = 0
    return np.fft.irfft(waves.reshape(-1, *[1] * (samples.ndim - 1)) * np.fft.rfft(samples, axis=0), n, axis=0)


def spline(samples: np.ndarray):
    """Periodic cubic spline on [0, 1] through the trigonometric interpolant of samples ``(n, ...)``."""
    from scipy.interpolate import CubicSpline

    n, waves = len(samples), np.fft.rfft(samples, axis=0)
    fine = FINER * np.fft.irfft(waves, FINER * n, axis=0)
    return CubicSpline(np.linspace(0, 1, FINER * n + 1), np.concatenate([fine, fine[:1]]), bc_type="periodic")


def periodic_solution(rate: np.ndarray, force: np.ndarray) -> np.ndarray:
    """The periodic solution of ``y' + rate y = force`` from samples ``(n,)`` of one period of length 1, by collocation."""
    matrix = derivative(np.eye(len(rate)))
    matrix[np.diag_indices(len(rate))] += rate
    return np.linalg.solve(matrix, force)
