"""The mesh in space, and the table of the drift on its half-grid."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from claimkit.errors import InputError

from ..fields import evaluate
from ..marching.mesh import Rectangle

_DOUBLES, _SINGLES = 1 << 26, 1 << 30
"""Most numbers in a table in double precision (512 MiB, to 139 points a side for a drift) and in single (4 GiB, to 354)."""

_NAMES = {3: "drift", 6: "diffusion"}


@dataclass(frozen=True)
class Box(Rectangle):
    """A mesh in space."""

    shape: tuple[int, int, int]
    periodic: tuple[bool, ...] = (False, False, False)

    def __post_init__(self):
        """Check that the domain is not empty, and that the points are enough for a march and few enough for the memory."""
        ends = np.array(self.domain, float)
        if ends.shape != (3, 2) or not (np.isfinite(ends).all() and (ends[:, 0] < ends[:, 1]).all()):
            raise InputError(
                f"The domain must be ((xmin, xmax), (ymin, ymax), (zmin, zmax)) with min < max; it is {self.domain}."
            )
        if len(self.shape) != 3 or min(self.shape) < 9:
            raise InputError(f"The mesh has {self.shape} points; at least 9 x 9 x 9 are needed.")
        self.precision(3)

    @property
    def _half_points(self) -> int:
        return int(np.prod([2 * n - 1 for n in self.shape], dtype=np.int64))

    def precision(self, components: int) -> type:
        """The type of a table on the half-grid: single precision where it is large.

        Raises:
            InputError: where even that is too large.
        """
        numbers = components * self._half_points
        if numbers > _SINGLES:
            raise InputError(
                f"A mesh of {self.shape} points wants {4 * numbers / 2**30:.1f} GiB for the {_NAMES[components]} between "
                f"them; give at most {(_SINGLES / components) ** (1 / 3) / 2:.0f} a side, or a smaller domain."
            )
        return np.float64 if numbers <= _DOUBLES else np.float32

    def tabulate(self, drift: Callable) -> np.ndarray:
        """The drift on the half-grid ``(2 nz - 1, 2 ny - 1, 2 nx - 1, 3)``, in single precision where it is large.

        Raises:
            InputError: when the shape is wrong or a value is not finite; the sentence names the place.
        """
        table = self.sample(lambda p: evaluate(drift, p, (3,), "drift"), 3, self.precision(3))
        self.refuse_infinite(table, "drift")
        return table
