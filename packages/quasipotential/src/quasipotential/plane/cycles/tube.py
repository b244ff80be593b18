"""The quasi-potential in a tube around a stable limit cycle: a polynomial of the distance, order by order.

In the coordinates (u, nu) of ``LimitCycle``, with r = nu / width, put ``U = sum_k c_k(u) r^k``, k = 2 .. m, into the
Hamilton-Jacobi equation ``1/2 A U_u^2 + B U_u U_r + 1/2 C U_r^2 + F U_u + G U_r = 0``, where A, B, C are D's and F, G the
drift's components along and across the cycle, expanded in r: G_0 = 0. Order two is the transverse Riccati equation, linear
in w = 1 / c_2: ``F_0 w' = 2 G_1 w + 2 C_0``. Each further order k is linear: ``F_0 c_k' + k (G_1 + 2 C_0 c_2) c_k = -R_k``
with R_k from the lower ones. All have one periodic solution, because the multiplier is below 1.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from claimkit.errors import InputError

from .orbit import LimitCycle, derivative, periodic_solution, spline

DEGREE = 6
"""Degree of the polynomial across the cycle, as of that around a point."""


@dataclass(frozen=True)
class Tube:
    """The polynomial around one limit cycle; to a solve what ``LocalPotential`` is around a point.

    Attributes:
        cycle: the cycle.
        width: half-width of the tube, in the scaled plane.
        coefficients: ``c_k`` at the cycle's samples, ``(m + 1, n)``.
    """

    cycle: LimitCycle
    width: float
    coefficients: np.ndarray

    @property
    def center(self) -> np.ndarray:
        """A point of the cycle, ``(2,)``."""
        return self.cycle.points[0]

    @property
    def scale(self) -> float:
        """Half-width of the tube along the axis on which it is thinner."""
        return float(self.width * self.cycle.scale.min())

    @property
    def middle(self) -> np.ndarray:
        """What the nearest image on periodic axes is measured from, ``(2,)``."""
        return self.cycle.middle

    @property
    def outline(self) -> np.ndarray:
        """The cycle as a closed curve, ``(n + 1, 2)``."""
        return self.cycle.outline

    def nearest(self, points: np.ndarray) -> np.ndarray:
        """The points of the cycle nearest to points ``(..., 2)``."""
        return self.cycle.nearest(points)

    @cached_property
    def _splines(self):
        _, _, speed, curvature = self.cycle.frame
        return spline(self.coefficients.T), spline(np.stack([speed, curvature], -1))

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Values at points ``(..., 2)``; they mean something within the tube."""
        u, nu = self.cycle.place(points)
        return np.polynomial.polynomial.polyval(nu / self.width, np.moveaxis(self._splines[0](u % 1), -1, 0), tensor=False)

    def gradient(self, points: np.ndarray) -> np.ndarray:
        """Gradient at points ``(..., 2)``."""
        u, nu = self.cycle.place(points)
        coefficients, geometry = self._splines
        c = np.moveaxis(coefficients(u % 1), -1, 0)
        across = np.arange(1, len(c)).reshape(-1, *[1] * nu.ndim) * c[1:] / self.width
        speed, curvature = np.moveaxis(geometry(u % 1), -1, 0)
        value = np.polynomial.polynomial.polyval
        along = value(nu / self.width, np.moveaxis(coefficients(u % 1, 1), -1, 0), tensor=False)
        along = along / (speed * (1 - curvature * nu))
        out = value(nu / self.width, across, tensor=False)
        tangent = self.cycle.tangent(u)
        normal = np.stack([-tangent[..., 1], tangent[..., 0]], -1)
        return (along[..., None] * tangent + out[..., None] * normal) / self.cycle.scale


def expand_tube(cycle: LimitCycle, drift: Callable, diffusion: Callable, width: float, degree: int = DEGREE) -> Tube:
    """The polynomial across a stable cycle.

    Args:
        cycle: a stable limit cycle.
        drift: b of points ``(..., 2)``.
        diffusion: D of points, ``(..., 2, 2)``.
        width: half-width in the scaled plane, within which the fields are sampled; below ``cycle.reach``.
        degree: of the polynomial.

    Raises:
        InputError: for an unstable cycle.
    """
    if not cycle.stable:
        raise InputError(
            f"The limit cycle through ({cycle.points[0, 0]:.6g}, {cycle.points[0, 1]:.6g}) is unstable (Floquet multiplier "
            f"{cycle.multiplier:.4g}); give a cycle that attracts."
        )
    fields = _expand_fields(cycle, drift, diffusion, width, degree)
    _, _, spread, f, g = fields
    c = np.zeros((degree + 1, len(cycle.points)))
    c[2] = 1 / periodic_solution(-2 * g[1] / f[0], 2 * spread[0] / f[0])
    for k in range(3, degree + 1):
        rest = _hamiltonian(c, *fields)[k]
        c[k] = periodic_solution(k * (g[1] + 2 * spread[0] * c[2]) / f[0], -rest / f[0])
    return Tube(cycle, width, c)


def _expand_fields(cycle, drift, diffusion, width, degree):
    """A, B, C, F, G as polynomials of r at the samples, each ``(degree + 1, n)``."""
    tangent, normal, speed, curvature = cycle.frame
    nodes = np.cos(np.pi * (np.arange(degree + 3) + 0.5) / (degree + 3))
    places = cycle.points + width * nodes[:, None, None] * normal * cycle.scale
    b = drift(places) / cycle.scale
    d = np.broadcast_to(diffusion(places), (*places.shape, 2)) / np.multiply.outer(cycle.scale, cycle.scale)
    stretch = speed * (1 - curvature * width * nodes[:, None])
    parts = (
        np.einsum("ia,jiab,ib->ji", tangent, d, tangent) / stretch**2,
        np.einsum("ia,jiab,ib->ji", tangent, d, normal) / (stretch * width),
        np.einsum("ia,jiab,ib->ji", normal, d, normal) / width**2,
        np.sum(b * tangent, -1) / stretch,
        np.sum(b * normal, -1) / width,
    )
    fit = np.linalg.pinv(np.polynomial.polynomial.polyvander(nodes, degree))
    a, b, c, f, g = (fit @ part for part in parts)
    g[0] = 0.0
    return a, b, c, f, g


def _multiply(one, two):
    """Product of two polynomials of r, cut at the degree of the first."""
    product = np.zeros_like(one)
    for k in range(len(one)):
        product[k:] += one[k] * two[: len(one) - k]
    return product


def _hamiltonian(u, a, b, c, f, g):
    """Left side of the Hamilton-Jacobi equation, a polynomial of r."""
    along, across = derivative(u.T).T, np.zeros_like(u)
    across[:-1] = np.arange(1, len(u))[:, None] * u[1:]
    mixed = _multiply(0.5 * a, along) + _multiply(b, across) + f
    return _multiply(mixed, along) + _multiply(_multiply(0.5 * c, across) + g, across)
