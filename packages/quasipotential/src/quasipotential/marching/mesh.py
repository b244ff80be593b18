"""A rectangular mesh in the plane or in space, how a function is tabulated on it, and how a table is read."""

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from claimkit.errors import InputError

_POINTS_AT_ONCE = 1 << 20
"""Points per call of a user's function: bounds the memory of its temporaries."""


def named(point: ArrayLike) -> str:
    """A point in an error sentence: ``(0.5, -1)``."""
    return f"({', '.join(f'{x:.6g}' for x in np.asarray(point))})"


def counts(mesh: Any, dimension: int) -> tuple[int, ...]:
    """Points along each axis, from one whole number or one an axis.

    Raises:
        InputError: for anything else.
    """
    try:
        numbers = [operator.index(n) for n in (np.ravel(mesh) if np.ndim(mesh) else [mesh] * dimension)]
    except TypeError:
        numbers = []
    if len(numbers) != dimension:
        raise InputError(f"mesh must be one whole number of points a side, or {dimension} of them; it is {mesh!r}.")
    return tuple(numbers)


def pairs(domain: Any, dimension: int) -> tuple[tuple[float, float], ...]:
    """The two ends of each axis.

    Raises:
        InputError: for anything else than as many pairs of numbers.
    """
    try:
        ends = [(float(low), float(high)) for low, high in domain]
    except (TypeError, ValueError):
        ends = []
    if len(ends) != dimension:
        raise InputError(
            f"The domain must be {dimension} pairs of numbers, ((xmin, xmax), (ymin, ymax), ...); it is {domain!r}."
        )
    return tuple(ends)


@dataclass(frozen=True)
class Rectangle:
    """A rectangular mesh with both ends included; tables on it have the last coordinate first.

    Attributes:
        domain: ``((xmin, xmax), (ymin, ymax))``, in space one pair more.
        shape: number of points ``(nx, ny)`` or ``(nx, ny, nz)``.
        periodic: which axes are angles; there the last points are the first ones once more.
    """

    domain: tuple[tuple[float, float], ...]
    shape: tuple[int, ...]
    periodic: tuple[bool, ...] = (False, False)

    @property
    def spacing(self) -> np.ndarray:
        """Distance of neighbouring points along each axis."""
        return np.ptp(np.array(self.domain, float), axis=1) / (np.array(self.shape) - 1)

    @property
    def corner(self) -> np.ndarray:
        """The point with the smallest coordinates."""
        return np.array(self.domain, float)[:, 0]

    @property
    def points(self) -> np.ndarray:
        """All mesh points, ``(ny, nx, 2)`` or ``(nz, ny, nx, 3)``."""
        return _grid([np.linspace(*ends, n) for ends, n in zip(self.domain, self.shape, strict=True)])

    @property
    def edge(self) -> np.ndarray:
        """Mask ``(ny, nx)`` or ``(nz, ny, nx)`` of the points on an edge where paths could leave the mesh."""
        inside = [slice(None) if around else slice(1, -1) for around in self.periodic[::-1]]
        mask = np.ones(self.shape[::-1], bool)
        mask[tuple(inside)] = False
        return mask

    def contains(self, point: np.ndarray) -> bool:
        """Whether a point lies inside the domain or on its edge; a periodic axis has none."""
        sides = zip(point, self.domain, self.periodic, strict=True)
        return all(around or low <= x <= high for x, (low, high), around in sides)

    def refuse_outside(self, point: np.ndarray) -> None:
        """Refuse what is no point ``(d,)`` of the domain.

        Raises:
            InputError: with the point.
        """
        if np.shape(point) != (len(self.shape),):
            raise InputError(f"A point here has {len(self.shape)} coordinates; the shape given is {np.shape(point)}.")
        if not self.contains(point):
            raise InputError(f"The point {named(point)} lies outside of the domain {self.domain}.")

    @property
    def periods(self) -> np.ndarray:
        """Length of the periodic axes, infinite for the others."""
        return np.where(self.periodic, np.ptp(np.array(self.domain), axis=1), np.inf)

    def wrap(self, points: np.ndarray) -> np.ndarray:
        """Points ``(..., d)`` moved by whole periods into the domain."""
        return self.image(points, self.corner + 0.5 * self.spacing * (np.array(self.shape) - 1))

    def image(self, points: np.ndarray, center: np.ndarray) -> np.ndarray:
        """The images of points ``(..., d)`` along the periodic axes that lie within half a period of a center."""
        if not any(self.periodic):
            return np.asarray(points, float)
        turns = np.rint((points - center) / self.periods)
        return points - np.where(self.periodic, turns * np.where(self.periodic, self.periods, 0.0), 0.0)

    def index_of(self, points: ArrayLike) -> np.ndarray:
        """Mesh coordinates of points ``(..., d)``: integers at mesh points."""
        return (np.asarray(points, float) - self.corner) / self.spacing

    def sample(self, function: Callable, components: int, dtype: type = np.float64) -> np.ndarray:
        """Values of a function on the half-grid, ``(2 ny - 1, 2 nx - 1, components)``, in space one axis more in front.

        Args:
            function: of points ``(..., d)``, returning ``(..., components)`` or a matrix with as many entries.
            components: of a value.
            dtype: of the table.
        """
        axes = [np.linspace(*ends, 2 * n - 1) for ends, n in zip(self.domain, self.shape, strict=True)]
        table = np.empty((*(len(x) for x in reversed(axes)), components), dtype)
        step = max(1, _POINTS_AT_ONCE // (table[0].size // components))
        for begin in range(0, len(table), step):
            part = slice(begin, begin + step)
            points = _grid([*axes[:-1], axes[-1][part]])
            table[part] = function(points).reshape(*points.shape[:-1], components)
        return table

    def refuse_infinite(self, table: np.ndarray, name: str) -> None:
        """Refuse a table on the half-grid that is not finite, with the place."""
        bad = np.logical_not(np.isfinite(table).all(-1))
        if bad.any():
            raise InputError(f"The {name} is not finite at {self.half_place(bad)}; it must be defined on the whole domain.")

    def half_place(self, mask: np.ndarray) -> str:
        """The first point of the half-grid in a mask, for an error sentence."""
        return named(self.corner + 0.5 * self.spacing * np.argwhere(mask)[0][::-1])

    def corners(self, points: np.ndarray, density: int = 1) -> Iterator[tuple[np.ndarray, tuple, np.ndarray]]:
        """The corners of the cells that hold points ``(..., d)``: their weights, places in a table, and ways to the points.

        Args:
            points: beyond an edge the nearest cell serves.
            density: 2 for a table on the half-grid.
        """
        index = density * self.index_of(self.wrap(points))
        low = np.clip(np.floor(index).astype(int), 0, density * (np.array(self.shape) - 1) - 1)
        t = index - low
        for shift in product((0, 1), repeat=len(self.shape)):
            place = tuple(np.moveaxis(low + shift, -1, 0)[::-1])
            yield np.prod(np.where(shift, t, 1 - t), -1), place, (t - shift) * self.spacing / density

    def read(self, table: np.ndarray, points: ArrayLike, density: int = 1) -> np.ndarray:
        """A table ``(..., components)`` at points ``(..., d)``, linear along each axis; NaN beside what is not known."""
        points = np.asarray(points, float)
        total = np.zeros((*points.shape[:-1], table.shape[-1]))
        for weight, place, _ in self.corners(points, density):
            weight = weight[..., None]
            total += np.where(np.abs(weight) > 1e-12, weight * table[place], 0.0)
        return total


def _grid(axes):
    """All points of coordinates along each axis."""
    return np.stack(np.broadcast_arrays(*(x.reshape(-1, *(1,) * k) for k, x in enumerate(axes))), -1)
