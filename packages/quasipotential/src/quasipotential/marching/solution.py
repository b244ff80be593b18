"""How the values of a march are read: at points, on the edge of a region, and which of them can be trusted."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from claimkit.errors import InputError

from ..fields import evaluate_region
from .mesh import Rectangle, named


@dataclass(frozen=True)
class Barrier:
    """The lowest value on the boundary of a region, and where it is.

    Attributes:
        value: ``min U`` over the boundary: ``lim eps log E[exit time]``.
        place: the point ``(d,)`` where the noise leaves.
        error: estimate of the value's error, see ``Solution.error``; NaN where there is none.
    """

    value: float
    place: np.ndarray
    error: float


class Values(ABC):
    """Values on a mesh and their questions; ``Solution`` and ``Solution3D`` add what they are solutions of."""

    mesh: Any
    values: np.ndarray
    gradient: Any
    error: Any

    @property
    @abstractmethod
    def starts(self) -> list:
        """For each attractor the value there and the expansion around it."""

    @abstractmethod
    def drift_at(self, points: np.ndarray) -> np.ndarray:
        """Drift at points ``(..., d)``."""

    @abstractmethod
    def diffusion_at(self, points: np.ndarray) -> np.ndarray:
        """D at points ``(..., d)``: ``(..., d, d)``."""

    def __call__(self, points: ArrayLike) -> np.ndarray:
        """Values at points ``(..., d)``, of third order in the spacing; NaN where the march did not come.

        Each corner of the mesh cell adds ``U_i + 1/2 <grad U_i, x - x_i>`` with its weight, linear along each axis: the
        half slope cancels the error of linear interpolation.

        Raises:
            InputError: for a point outside of the domain.
        """
        points = self._inside(points)
        total = np.zeros(points.shape[:-1])
        for weight, place, offset in self.mesh.corners(points):
            value = self.values[place] + 0.5 * np.sum(self.gradient[place] * offset, -1)
            total += np.where(weight > 0, weight * value, 0.0)
        return total

    def gradient_at(self, points: ArrayLike) -> np.ndarray:
        """Gradient at points ``(..., d)``, linear along each axis.

        Raises:
            InputError: for a point outside of the domain.
        """
        return self.mesh.read(self.gradient, self._inside(points))

    def error_at(self, points: ArrayLike) -> np.ndarray:
        """``error`` at points ``(..., d)``, linear along each axis; NaN beside points without a value."""
        return self.mesh.read(self.error[..., None], points)[..., 0]

    def _inside(self, points):
        mesh: Rectangle = self.mesh
        points = np.asarray(points, float)
        index = mesh.index_of(mesh.wrap(points))
        outside = ~((index >= -1e-9) & (index <= np.array(mesh.shape) - 1 + 1e-9)).all(-1)
        if outside.any():
            raise InputError(f"The point {named(points[outside][0])} lies outside of the domain {mesh.domain}.")
        return points

    @cached_property
    def edge_level(self) -> float:
        """The smallest value on the edge of the mesh: below it no path gains by leaving the mesh; infinite if unreached."""
        rim = self.values[self.mesh.edge]
        return float(np.min(rim[np.isfinite(rim)], initial=np.inf))

    @property
    def trusted(self) -> np.ndarray:
        """Mask on the mesh of the values that no path outside of it could lower; the others are upper bounds."""
        return np.isfinite(self.values) & (self.values <= self.edge_level)

    def barrier(self, region: Callable[[np.ndarray], np.ndarray] | np.ndarray, *, error: bool = True) -> Barrier:
        """Height of the lowest way out of a region.

        Args:
            region: a function of points ``(..., d)`` that is negative inside and positive outside; or a boolean mask on the
                mesh, of the shape of ``values``, True inside.
            error: whether to estimate the error, which costs the solves of ``error`` once; NaN where it cannot be.

        Returns:
            The smallest U on the boundary, the point where it is taken, and an estimate of its error. On mesh edges that
            cross the boundary the crossing is found by linear interpolation of the function and U by ``__call__``.

        Raises:
            InputError: for a region without the attractor, when the march never met the boundary, or when the region
                reaches past the mesh, at values below the barrier that was found.
        """
        mesh: Rectangle = self.mesh
        points = mesh.points
        signed = evaluate_region(region, points) if callable(region) else np.where(np.asarray(region, bool), -1.0, 1.0)
        if signed.shape != self.values.shape:
            raise InputError(f"The region's mask must have the shape of values, {self.values.shape}; it has {signed.shape}.")
        centers = np.stack([mesh.wrap(local.nearest(np.zeros(len(mesh.shape)))) for _, local in self.starts])
        there = evaluate_region(region, centers) if callable(region) else mesh.read(signed[..., None], centers)
        if not (there < 0).any():
            raise InputError(
                f"The region does not hold the attractor {named(centers[0])}; its function must be negative there, and a "
                "mask true."
            )
        places = self._crossings(signed, points)
        heights = self(places) if len(places) else np.array([])
        if not np.isfinite(heights).any():
            raise InputError(
                "The boundary of the region was not reached: enlarge the domain, or solve with stop='never' or a "
                "higher level."
            )
        lowest = int(np.nanargmin(heights))
        value, place = float(heights[lowest]), places[lowest]
        leaks = np.where(mesh.edge & (signed < 0) & np.isfinite(self.values), self.values, np.inf)
        if leaks.min() < value * (1 - 1e-6):
            leak = points[np.unravel_index(leaks.argmin(), leaks.shape)]
            raise InputError(
                f"The region reaches past the mesh at {named(leak)}, where U is {leaks.min():.6g}: its barrier lies "
                f"between that and {value:.6g}; enlarge the domain until it holds the region."
            )
        spread = float("nan")
        if error:
            with contextlib.suppress(InputError):
                spread = float(self.error_at(place))
        return Barrier(value, place, spread)

    def _crossings(self, signed, points):
        """Where mesh edges with both values known cross the zero of a function on the mesh, ``(n, d)``."""
        places = []
        for axis in range(signed.ndim):
            one, two = (tuple(cut if k == axis else slice(None) for k in range(signed.ndim)) for cut in _ENDS)
            cross = ((signed[one] < 0) != (signed[two] < 0)) & np.isfinite(self.values[one]) & np.isfinite(self.values[two])
            t = signed[one][cross] / (signed[one][cross] - signed[two][cross])
            places.append(points[one][cross] + t[:, None] * (points[two][cross] - points[one][cross]))
        return np.concatenate(places)

    def path_to(self, point: ArrayLike) -> np.ndarray:
        """Minimum action path from the attractor to a point, ``(n, d)``; see ``descent.descend``."""
        from .descent import descend

        return descend(self, point)


_ENDS = (slice(None, -1), slice(1, None))
"""All but the last points along an axis, and all but the first."""
