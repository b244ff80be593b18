"""The mesh in space, and the table of the drift on its half-grid."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from claimkit.errors import InputError

from ..fields import evaluate

_POINTS_AT_ONCE = 1 << 20
"""Points per call of a user's function: bounds the memory of its temporaries."""
_DOUBLES, _SINGLES = 1 << 26, 1 << 30
"""Most numbers in a table of the drift in double precision (512 MiB, to 139 points a side) and in single (4 GiB, to 354)."""


@dataclass(frozen=True)
class Box:
    """A rectangular mesh in space with both ends included.

    Attributes:
        domain: ``((xmin, xmax), (ymin, ymax), (zmin, zmax))``.
        shape: number of points ``(nx, ny, nz)``.
    """

    domain: tuple[tuple[float, float], ...]
    shape: tuple[int, int, int]

    def __post_init__(self):
        """Check that the domain is not empty, and that the points are enough for a march and few enough for the memory."""
        ends = np.array(self.domain, float)
        if ends.shape != (3, 2) or not (np.isfinite(ends).all() and (ends[:, 0] < ends[:, 1]).all()):
            raise InputError(
                f"The domain must be ((xmin, xmax), (ymin, ymax), (zmin, zmax)) with min < max; it is {self.domain}."
            )
        if len(self.shape) != 3 or min(self.shape) < 9:
            raise InputError(f"The mesh has {self.shape} points; at least 9 x 9 x 9 are needed.")
        if self._numbers > _SINGLES:
            raise InputError(
                f"A mesh of {self.shape} points wants {4 * self._numbers / 2**30:.1f} GiB for the drift between them; "
                "give at most 354 a side, or a smaller domain."
            )

    @property
    def _numbers(self) -> int:
        return 3 * int(np.prod([2 * n - 1 for n in self.shape], dtype=np.int64))

    @property
    def spacing(self) -> np.ndarray:
        """Distance of neighbouring points in x, y and z."""
        return np.ptp(np.array(self.domain, float), axis=1) / (np.array(self.shape) - 1)

    @property
    def corner(self) -> np.ndarray:
        """The point with the smallest coordinates."""
        return np.array(self.domain, float)[:, 0]

    @property
    def points(self) -> np.ndarray:
        """All mesh points, ``(nz, ny, nx, 3)``."""
        x, y, z = (np.linspace(*ends, n) for ends, n in zip(self.domain, self.shape, strict=True))
        return np.stack(np.broadcast_arrays(x, y[:, None], z[:, None, None]), -1)

    @property
    def edge(self) -> np.ndarray:
        """Mask ``(nz, ny, nx)`` of the points on the edge, where paths could leave the mesh."""
        mask = np.ones(self.shape[::-1], bool)
        mask[1:-1, 1:-1, 1:-1] = False
        return mask

    def index_of(self, points: np.ndarray) -> np.ndarray:
        """Mesh coordinates of points ``(..., 3)``: integers at mesh points."""
        return (points - self.corner) / self.spacing

    def contains(self, point: np.ndarray) -> bool:
        """Whether a point lies inside the domain or on its edge."""
        index = self.index_of(point)
        return bool(((index >= 0) & (index <= np.array(self.shape) - 1)).all())

    def tabulate(self, drift: Callable) -> np.ndarray:
        """The drift on the half-grid ``(2 nz - 1, 2 ny - 1, 2 nx - 1, 3)``, in single precision where it is large.

        Raises:
            InputError: when the shape is wrong or a value is not finite; the sentence names the place.
        """
        x, y, z = (np.linspace(*ends, 2 * n - 1) for ends, n in zip(self.domain, self.shape, strict=True))
        table = np.empty((len(z), len(y), len(x), 3), np.float64 if self._numbers <= _DOUBLES else np.float32)
        step = max(1, _POINTS_AT_ONCE // (len(x) * len(y)))
        for start in range(0, len(z), step):
            part = slice(start, start + step)
            points = np.stack(np.broadcast_arrays(x, y[:, None], z[part, None, None]), -1)
            table[part] = evaluate(drift, points, (3,), "drift")
            bad = ~np.isfinite(table[part]).all(-1)
            if bad.any():
                raise InputError(
                    f"The drift is not finite at {points[bad][0].round(6).tolist()}; it must be defined on the whole domain."
                )
        return table
