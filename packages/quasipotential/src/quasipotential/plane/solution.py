"""What ``solve`` returns: values and gradient on the mesh, and the questions one asks of them."""

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from claimkit.errors import InputError
from claimkit.files import atomic_path

from .cycles.orbit import LimitCycle
from .cycles.tube import Tube
from .local import LocalPotential
from .mesh import Mesh, make_mesh


@dataclass(frozen=True)
class Barrier:
    """The lowest value on the boundary of a region, and where it is.

    Attributes:
        value: ``min U`` over the boundary: ``lim eps log E[exit time]``.
        place: the point ``(2,)`` where the noise leaves.
        error: estimate of the value's error, see ``Solution.error``; NaN where there is none.
    """

    value: float
    place: np.ndarray
    error: float


@dataclass(frozen=True)
class Solution:
    """The quasi-potential on a mesh.

    Attributes:
        mesh: the mesh.
        values: ``(ny, nx)``, NaN where the march did not come.
        gradient: ``(ny, nx, 2)``.
        attractors: ``(m, 2)``, with the values ``offsets`` ``(m,)``; of a limit cycle one point.
        local: the polynomial around each attractor, for a limit cycle a ``Tube`` with the cycle.
        drift: half-grid table ``(2 ny - 1, 2 nx - 1, 2)``.
        diffusion: one matrix ``(2, 2)`` or a half-grid table ``(2 ny - 1, 2 nx - 1, 4)``.
        settings: method, radius, counts and seconds.
    """

    mesh: Mesh
    values: np.ndarray
    gradient: np.ndarray
    attractors: np.ndarray
    offsets: np.ndarray
    local: tuple[LocalPotential | Tube, ...]
    drift: np.ndarray = field(repr=False)
    diffusion: np.ndarray = field(repr=False)
    settings: dict

    def __call__(self, points: ArrayLike) -> np.ndarray:
        """Values at points ``(..., 2)``, of third order in the spacing; NaN where the march did not come.

        Each corner of the mesh cell adds ``U_i + 1/2 <grad U_i, x - x_i>`` with its bilinear weight: the half slope
        cancels the error of bilinear interpolation.

        Raises:
            InputError: for a point outside of the domain.
        """
        points = np.asarray(points, float)
        total = np.zeros(points.shape[:-1])
        for weight, rows, columns, offset in self._corners(points):
            slope = np.einsum("...i,...i", self.gradient[rows, columns], offset)
            value = self.values[rows, columns] + 0.5 * slope
            total += np.where(weight > 0, weight * value, 0.0)
        return total

    def gradient_at(self, points: np.ndarray) -> np.ndarray:
        """Gradient at points ``(..., 2)``, bilinear."""
        points = np.asarray(points, float)
        total = np.zeros(points.shape)
        for weight, rows, columns, _ in self._corners(points):
            total += np.where(weight[..., None] > 0, weight[..., None] * self.gradient[rows, columns], 0.0)
        return total

    def _corners(self, points):
        index = self.mesh.index_of(self.mesh.wrap(points))
        shape = np.array(self.mesh.shape)
        if not ((index >= -1e-9) & (index <= shape - 1 + 1e-9)).all():
            bad = points.reshape(-1, 2)[~((index >= -1e-9) & (index <= shape - 1 + 1e-9)).all(-1).reshape(-1)][0]
            raise InputError(f"The point ({bad[0]:.6g}, {bad[1]:.6g}) lies outside of the domain {self.mesh.domain}.")
        low = np.clip(np.floor(index).astype(int), 0, shape - 2)
        t = index - low
        for dj in (0, 1):
            for di in (0, 1):
                shift = np.array([di, dj])
                weight = np.prod(np.where(shift, t, 1 - t), -1)
                yield weight, low[..., 1] + dj, low[..., 0] + di, (t - shift) * self.mesh.spacing

    def diffusion_at(self, points: np.ndarray) -> np.ndarray:
        """D at points ``(..., 2)``: ``(..., 2, 2)``, bilinear from the half-grid."""
        if self.diffusion.ndim == 2:
            return np.broadcast_to(self.diffusion, (*np.shape(points)[:-1], 2, 2))
        return _bilinear(self.diffusion, self.mesh, points).reshape(*np.shape(points)[:-1], 2, 2)

    def drift_at(self, points: np.ndarray) -> np.ndarray:
        """Drift at points ``(..., 2)``, bilinear from the half-grid."""
        return _bilinear(self.drift, self.mesh, points)

    @cached_property
    def edge_level(self) -> float:
        """The smallest value on the edge of the mesh: below it no path gains by leaving the mesh; infinite if unreached."""
        rim = self.values[self.mesh.edge]
        return float(np.min(rim[np.isfinite(rim)], initial=np.inf))

    @property
    def trusted(self) -> np.ndarray:
        """Mask ``(ny, nx)`` of the values that no path outside of the mesh could lower; the others are upper bounds."""
        return np.isfinite(self.values) & (self.values <= self.edge_level)

    @cached_property
    def error(self) -> np.ndarray:
        """Estimate of the error of every value ``(ny, nx)``, see ``accuracy.estimate_error``; it costs a second solve."""
        from .accuracy import estimate_error

        return estimate_error(self)

    def error_at(self, points: ArrayLike) -> np.ndarray:
        """``error`` at points ``(..., 2)``, bilinear; NaN beside points without a value."""
        return _bilinear(self.error[..., None], self.mesh, points, 1)[..., 0]

    def barrier(self, region: Callable[[np.ndarray], np.ndarray] | np.ndarray, *, error: bool = True) -> Barrier:
        """Height of the lowest way out of a region.

        Args:
            region: a function of points ``(..., 2)`` that is negative inside and positive outside; or a boolean mask on the
                mesh ``(ny, nx)``, True inside.
            error: whether to estimate the error, which costs the solves of ``Solution.error`` once.

        Returns:
            The smallest U on the boundary, the point where it is taken, and an estimate of its error. On mesh edges that
            cross the boundary the crossing is found by linear interpolation of the function and U by ``__call__``.

        Raises:
            InputError: when the march never met the boundary, or the region reaches past the mesh, at values below the
                barrier that was found.
        """
        inside = region(self.mesh.points) if callable(region) else np.where(np.asarray(region, bool), -1.0, 1.0)
        signed = np.asarray(inside, float)
        places = self._crossings(signed)
        heights = self(places) if len(places) else np.array([])
        if not np.isfinite(heights).any():
            raise InputError(
                "The boundary of the region was not reached: enlarge the domain, or solve with stop='never' or a "
                "higher level."
            )
        lowest = int(np.nanargmin(heights))
        value, place = float(heights[lowest]), places[lowest]
        leaks = np.where(self.mesh.edge & (signed < 0) & np.isfinite(self.values), self.values, np.inf)
        if leaks.min() < value * (1 - 1e-6):
            x, y = self.mesh.points[np.unravel_index(leaks.argmin(), leaks.shape)]
            raise InputError(
                f"The region reaches past the mesh at ({x:.6g}, {y:.6g}), where U is {leaks.min():.6g}: its barrier lies "
                f"between that and {value:.6g}; enlarge the domain until it holds the region."
            )
        spread = float("nan")
        if error:
            with contextlib.suppress(InputError):
                spread = float(self.error_at(place))
        return Barrier(value, place, spread)

    def _crossings(self, signed):
        """Where mesh edges with both values known cross the zero of a function ``(ny, nx)``, ``(n, 2)``."""
        points, places = self.mesh.points, []
        for axis in (0, 1):
            one, two = slice(None, -1), slice(1, None)
            a = (one, slice(None)) if axis == 0 else (slice(None), one)
            b = (two, slice(None)) if axis == 0 else (slice(None), two)
            cross = (signed[a] < 0) != (signed[b] < 0)
            cross &= np.isfinite(self.values[a]) & np.isfinite(self.values[b])
            t = signed[a][cross] / (signed[a][cross] - signed[b][cross])
            places.append(points[a][cross] + t[:, None] * (points[b][cross] - points[a][cross]))
        return np.concatenate(places)

    def path_to(self, point) -> np.ndarray:
        """Minimum action path from the attractor to a point, ``(n, 2)``; see ``descent.descend``."""
        from .descent import descend

        return descend(self, point)

    def plot(self, path: str | Path | None = None, **options):
        """Picture of the values, see ``plotting.plot_solution``."""
        from ..plotting import plot_solution

        return plot_solution(self, path, **options)

    def save(self, path: str | Path) -> Path:
        """Write everything to one ``.npz`` file, atomically."""
        path = Path(path).with_suffix(".npz")
        local = {}
        for k, part in enumerate(self.local):
            local[f"local{k}"] = part.coefficients
            if isinstance(part, Tube):
                cycle = part.cycle
                local[f"cycle{k}"] = cycle.points
                local[f"center{k}"] = np.array([part.width, cycle.period, cycle.multiplier, *cycle.turn])
            else:
                local[f"center{k}"] = np.append(part.center, part.scale)
        with atomic_path(path) as temporary:
            np.savez_compressed(
                temporary,
                domain=np.array(self.mesh.domain),
                shape=np.array(self.mesh.shape),
                periodic=np.array(self.mesh.periodic),
                values=self.values,
                gradient=self.gradient,
                attractors=self.attractors,
                offsets=self.offsets,
                drift=self.drift,
                diffusion=self.diffusion,
                settings=np.array(json.dumps(self.settings)),
                **local,
            )
        return path

    @classmethod
    def load(cls, path: str | Path) -> "Solution":
        """Read what ``save`` wrote.

        Raises:
            InputError: when the file is not such a file.
        """
        try:
            with np.load(path, allow_pickle=False) as data:
                mesh = make_mesh(data["domain"].tolist(), tuple(data["shape"].tolist()), tuple(data["periodic"].tolist()))
                local = tuple(_read_local(data, k) for k in range(len(data["attractors"])))
                return cls(
                    mesh=mesh,
                    values=data["values"],
                    gradient=data["gradient"],
                    attractors=data["attractors"],
                    offsets=data["offsets"],
                    local=local,
                    drift=data["drift"],
                    diffusion=data["diffusion"],
                    settings=json.loads(str(data["settings"])),
                )
        except (KeyError, OSError, ValueError) as error:
            raise InputError(f"{path} is not a solution written by Solution.save ({error}).") from None


def _read_local(data, k):
    """The expansion around attractor ``k`` from a file."""
    numbers, coefficients = data[f"center{k}"], data[f"local{k}"]
    if f"cycle{k}" not in data:
        return LocalPotential(numbers[:2], float(numbers[2]), coefficients)
    width, period, multiplier = numbers[:3].tolist()
    return Tube(LimitCycle(data[f"cycle{k}"], period, multiplier, numbers[3:]), width, coefficients)


def _bilinear(table, mesh, points, density=2):
    """A table with ``density`` points a mesh spacing, read bilinearly."""
    points = np.asarray(points, float)
    index = density * mesh.index_of(mesh.wrap(points))
    top = np.array([table.shape[1], table.shape[0]]) - 2
    low = np.clip(np.floor(index).astype(int), 0, top)
    t = index - low
    result = 0.0
    for dj in (0, 1):
        for di in (0, 1):
            weight = (t[..., 0] if di else 1 - t[..., 0]) * (t[..., 1] if dj else 1 - t[..., 1])
            result = result + weight[..., None] * table[low[..., 1] + dj, low[..., 0] + di]
    return result
