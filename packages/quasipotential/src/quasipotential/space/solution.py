"""What ``solve_3d`` returns: values on the mesh, and the questions one asks of them."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import ArrayLike
from scipy.ndimage import maximum_filter

from claimkit.errors import InputError

from ..fields import evaluate
from ..plane.solution import Barrier
from .mesh import Box
from .start import Quadratic

WINDOW, ORDER = 5, 0.5
"""Points a side over which the largest difference of two meshes is taken: where it changes its sign the neighbours speak for
it. The order of convergence that turns it into an error, below the least from 33 to 65 points, 0.72 (claim Q16)."""


@dataclass(frozen=True)
class Solution3D:
    """The quasi-potential on a mesh in space.

    Attributes:
        mesh: the mesh.
        values: ``(nz, ny, nx)``, NaN where the march did not come.
        local: the quadratic form around the attractor.
        drift: the user's function.
        diffusion: D, ``(3, 3)``.
        settings: radius, counts and seconds.
    """

    mesh: Box
    values: np.ndarray
    local: Quadratic
    drift: Callable = field(repr=False)
    diffusion: np.ndarray
    settings: dict

    @cached_property
    def gradient(self) -> np.ndarray:
        """Gradient by differences ``(nz, ny, nx, 3)``: central inside, one-sided at the rim of what is known."""
        parts = []
        for axis, h in zip((2, 1, 0), self.mesh.spacing, strict=True):
            ahead = np.diff(self.values, axis=axis, append=np.nan) / h
            behind = np.roll(ahead, 1, axis)  # the last one is NaN: so is the first one behind
            both = 0.5 * (ahead + behind)
            parts.append(np.where(np.isfinite(both), both, np.where(np.isfinite(ahead), ahead, behind)))
        return np.stack(parts, -1)

    def __call__(self, points: ArrayLike) -> np.ndarray:
        """Values at points ``(..., 3)``; NaN where the march did not come.

        Each corner of the cell adds ``U_i + 1/2 <grad U_i, x - x_i>`` with its trilinear weight, as in the plane.

        Raises:
            InputError: for a point outside of the domain.
        """
        points = np.asarray(points, float)
        total = np.zeros(points.shape[:-1])
        for weight, place, offset in self._corners(points):
            value = self.values[place] + 0.5 * np.sum(self.gradient[place] * offset, -1)
            total += np.where(weight > 0, weight * value, 0.0)
        return total

    def gradient_at(self, points: ArrayLike) -> np.ndarray:
        """Gradient at points ``(..., 3)``, trilinear."""
        points = np.asarray(points, float)
        total = np.zeros(points.shape)
        for weight, place, _ in self._corners(points):
            total += np.where(weight[..., None] > 0, weight[..., None] * self.gradient[place], 0.0)
        return total

    def _corners(self, points):
        """Weight, place and way from the corner for each corner of the cells that hold the points."""
        index = self.mesh.index_of(points)
        top = np.array(self.mesh.shape) - 1
        outside = ~((index >= -1e-9) & (index <= top + 1e-9)).all(-1)
        if outside.any():
            raise InputError(f"The point {points[outside][0].tolist()} lies outside of the domain {self.mesh.domain}.")
        low = np.clip(np.floor(index).astype(int), 0, top - 1)
        t = index - low
        for shift in product((0, 1), repeat=3):
            i, j, k = np.moveaxis(low + shift, -1, 0)
            yield np.prod(np.where(shift, t, 1 - t), -1), (k, j, i), (t - shift) * self.mesh.spacing

    @cached_property
    def edge_level(self) -> float:
        """The smallest value on the edge of the mesh: below it no path gains by leaving the mesh; infinite if unreached."""
        rim = self.values[self.mesh.edge]
        return float(np.min(rim[np.isfinite(rim)], initial=np.inf))

    @property
    def trusted(self) -> np.ndarray:
        """Mask ``(nz, ny, nx)`` of the values that no path outside of the mesh could lower; the others are upper bounds."""
        return np.isfinite(self.values) & (self.values <= self.edge_level)

    @cached_property
    def error(self) -> np.ndarray:
        """Estimate of the error of every value ``(nz, ny, nx)``: the difference to a solve on every second point.

        Divided by ``2^ORDER - 1``, as an error of that order asks, and the largest of ``WINDOW`` points a side. It costs an
        eighth of the solve and speaks of the mesh only: values above ``edge_level`` are upper bounds besides.

        Raises:
            InputError: when the mesh has an even number of points a side, or half of them are too few for a solve.
        """
        from .solver import solve_3d

        if any(n % 2 == 0 for n in self.mesh.shape):
            raise InputError(f"The error is estimated on every second mesh point: give odd numbers, not {self.mesh.shape}.")
        half = (self.mesh.shape[0] // 2 + 1, self.mesh.shape[1] // 2 + 1, self.mesh.shape[2] // 2 + 1)
        level = 1.2 * float(np.nanmax(self.values)) + 1e-300
        coarse = solve_3d(
            self.drift, self.local.center, self.mesh.domain, half, diffusion=self.diffusion, stop="never", level=level
        )
        known = np.isfinite(self.values)
        apart = np.where(known, np.abs(self.values - coarse(self.mesh.points)), 0.0)
        apart[np.isnan(apart)] = np.inf
        return np.where(known, maximum_filter(apart, WINDOW) / (2**ORDER - 1), np.nan)

    def barrier(self, region: Callable[[np.ndarray], np.ndarray], *, error: bool = True) -> Barrier:
        """Height of the lowest way out of a region.

        Args:
            region: a function of points ``(..., 3)`` that is negative inside and positive outside.
            error: whether to estimate the error, which costs another solve once; NaN where it cannot be (see ``error``).

        Raises:
            InputError: when the march never met the boundary, or the region reaches past the mesh at values below the
                barrier that was found.
        """
        points, signed, places = self.mesh.points, np.asarray(region(self.mesh.points), float), []
        if signed.shape != self.values.shape:
            raise InputError(f"The region must give one number a point; for {points.shape} it gave {signed.shape}.")
        for axis in range(3):
            one = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
            two = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
            cross = ((signed[one] < 0) != (signed[two] < 0)) & np.isfinite(self.values[one] + self.values[two])
            t = signed[one][cross] / (signed[one][cross] - signed[two][cross])
            places.append(points[one][cross] + t[:, None] * (points[two][cross] - points[one][cross]))
        found = np.concatenate(places)
        heights = self(found)
        if not np.isfinite(heights).any():
            raise InputError(
                "The boundary of the region was not reached: enlarge the domain, or solve with stop='never' or a higher "
                "level."
            )
        lowest = int(np.nanargmin(heights))
        value, place = float(heights[lowest]), found[lowest]
        leaks = np.where(self.mesh.edge & (signed < 0) & np.isfinite(self.values), self.values, np.inf)
        if leaks.min() < value * (1 - 1e-6):
            leak = points[np.unravel_index(leaks.argmin(), leaks.shape)]
            raise InputError(
                f"The region reaches past the mesh at {leak.round(6).tolist()}, where U is {leaks.min():.6g}: its barrier "
                f"lies between that and {value:.6g}; enlarge the domain until it holds the region."
            )
        spread = float("nan")
        if error:
            with contextlib.suppress(InputError):
                spread = float(self.error[tuple(np.rint(self.mesh.index_of(place)).astype(int)[::-1])])
        return Barrier(value, place, spread)

    def path_to(self, point: ArrayLike) -> np.ndarray:
        """Minimum action path from the attractor to a point, ``(n, 3)``, by following ``-(D grad U + b)`` back.

        From another equilibrium, where the direction vanishes, the path begins at the lowest point three spacings around.

        Raises:
            InputError: when the point was not reached, or the path leaves what was.
        """
        here = np.asarray(point, float)
        if not np.isfinite(self(here)):
            raise InputError(f"The point {here.tolist()} was not reached by the solve; enlarge the domain or the level.")
        h, center, path = float(self.mesh.spacing.min()), self.local.center, [here]
        speed = np.linalg.norm(evaluate(self.drift, here[None], (3,), "drift"))
        far = np.linalg.norm(here - center) >= 0.5 * h
        if far and speed < 1e-3 * np.linalg.norm(evaluate(self.drift, here + self.mesh.spacing, (3,), "drift")):
            k = np.arange(400) + 0.5  # evenly over the sphere
            z, turn = 1 - k / 200, np.pi * (1 + 5**0.5) * k
            ring = np.sqrt(1 - z * z)
            sphere = np.stack([ring * np.cos(turn), ring * np.sin(turn), z], -1)
            around = here + 3 * self.mesh.spacing * sphere
            around = around[[self.mesh.contains(p) for p in around]]
            here = around[int(np.nanargmin(self(around)))]
            path.append(here)
        for _ in range(12 * sum(self.mesh.shape)):
            away = float(np.linalg.norm(here - center))
            if away < 0.5 * h:
                return np.array([*path, center])[::-1]
            step = min(0.5 * h, 0.25 * away)
            half = here + 0.5 * step * self._back(here)
            here = here + step * self._back(half if self.mesh.contains(half) else here)
            if not (np.isfinite(here).all() and self.mesh.contains(here)):
                raise InputError(f"The path to {path[0].tolist()} left the region that was reached; enlarge the domain.")
            path.append(here)
        raise InputError(f"The path to {path[0].tolist()} did not come back to the attractor; refine the mesh.")

    def _back(self, x):
        """Unit vector along a path to the attractor."""
        near = np.abs(x - self.local.center).max() < 2 * self.mesh.spacing.max()
        slope = self.local.gradient(x) if near else self.gradient_at(x)
        flow = self.diffusion @ slope + evaluate(self.drift, x[None], (3,), "drift")[0]
        return -flow / np.linalg.norm(flow)
