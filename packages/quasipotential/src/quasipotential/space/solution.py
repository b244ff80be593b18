"""What ``solve_3d`` returns: values on the mesh, and the questions one asks of them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy.ndimage import maximum_filter

from claimkit.errors import InputError

from ..fields import evaluate
from ..marching.solution import Values
from .mesh import Box
from .start import Quadratic, noise_at

WINDOW, ORDER = 5, 0.5
"""Points a side over which the largest difference of two meshes is taken: where it changes its sign the neighbours speak for
it. The order of convergence that turns it into an error, below the least from 33 to 65 points, 0.72 (claim Q16)."""


@dataclass(frozen=True)
class Solution3D(Values):
    """The quasi-potential on a mesh in space.

    Attributes:
        mesh: the mesh.
        values: ``(nz, ny, nx)``, NaN where the march did not come.
        local: the quadratic form around the attractor.
        drift: the user's function.
        diffusion: D, ``(3, 3)``, or the user's function.
        settings: radius, counts and seconds.
    """

    mesh: Box
    values: np.ndarray
    local: Quadratic
    drift: Callable = field(repr=False)
    diffusion: np.ndarray | Callable = field(repr=False)
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

    @property
    def starts(self) -> list[tuple[float, Quadratic]]:
        """The value at the attractor and the quadratic form around it."""
        return [(0.0, self.local)]

    def drift_at(self, points: np.ndarray) -> np.ndarray:
        """Drift at points ``(..., 3)``."""
        return evaluate(self.drift, points, (3,), "drift")

    def diffusion_at(self, points: np.ndarray) -> np.ndarray:
        """D at points ``(..., 3)``: ``(..., 3, 3)``."""
        return noise_at(self.diffusion, points)

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
