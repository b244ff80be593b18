"""The mesh, and the tables of drift and diffusion on its half-grid.

Every midpoint of two mesh points lies on that grid.
"""

from dataclasses import dataclass

import numpy as np

from claimkit.errors import InputError

from ..fields import Field, evaluate
from ..marching.mesh import Rectangle, counts, pairs


@dataclass(frozen=True)
class Mesh(Rectangle):
    """A mesh in the plane."""

    domain: tuple[tuple[float, float], tuple[float, float]]
    shape: tuple[int, int]

    def __post_init__(self):
        """Check that the domain is not empty and that there are points enough to march over."""
        (left, right), (bottom, top) = self.domain
        if not (np.isfinite([left, right, bottom, top]).all() and left < right and bottom < top):
            raise InputError(f"The domain must be ((xmin, xmax), (ymin, ymax)) with min < max; it is {self.domain}.")
        if min(self.shape) < 9:
            raise InputError(f"The mesh has {self.shape[0]} x {self.shape[1]} points; at least 9 x 9 are needed.")
        if any(p and n < 33 for p, n in zip(self.periodic, self.shape, strict=True)):
            raise InputError(f"A periodic axis wants at least 33 points; the mesh has {self.shape[0]} x {self.shape[1]}.")

    def refuse_periodic(self, what: str) -> None:
        """Refuse a mesh with periodic axes for what takes the ends of the domain as an edge."""
        if any(self.periodic):
            raise InputError(
                f"Periodic axes are not supported by {what}: unroll the angle over a domain of several periods."
            )

    def cut(self, point: np.ndarray) -> tuple["Mesh", tuple[int, int]]:
        """The mesh cut open opposite to a point, without periodic axes, and by how many columns and rows it was moved."""
        if not any(self.periodic):
            return self, (0, 0)
        shift = np.where(self.periodic, np.rint(self.index_of(point)).astype(int) - (np.array(self.shape) - 1) // 2, 0)
        (left, right), (bottom, top) = (np.array(self.domain) + (shift * self.spacing)[:, None]).tolist()
        return Mesh(((left, right), (bottom, top)), self.shape), (int(shift[0]), int(shift[1]))

    def unroll(self, table: np.ndarray, low: tuple[int, int], shape: tuple[int, int]) -> np.ndarray:
        """A half-grid table from mesh column and row ``low`` on for ``shape`` points, beyond the ends of periodic axes."""
        for axis, periodic, first, n, size in zip((1, 0), self.periodic, low, shape, self.shape, strict=True):
            if periodic:
                table = np.take(table, (2 * first + np.arange(2 * n - 1)) % (2 * (size - 1)), axis)
        return table

    def tabulate(self, field: Field | np.ndarray, components: int, name: str) -> np.ndarray:
        """Values of a field on the half-grid, ``(2 ny - 1, 2 nx - 1, components)``.

        Args:
            field: a function of points ``(..., 2)`` (numpy or torch), or the finished table.
            components: 2 for a drift, 4 for a diffusion matrix (flattened row by row).
            name: what to call it in an error.

        Raises:
            InputError: when the shape is wrong or a value is not finite; the sentence names the place.
        """
        nx, ny = (2 * n - 1 for n in self.shape)
        tail = (2,) if components == 2 else (2, 2)
        if callable(field):
            table = self.sample(lambda p: evaluate(field, p, tail, name), components)
        else:
            table = np.ascontiguousarray(field, dtype=np.float64)
            if table.shape not in ((ny, nx, *tail), (ny, nx, components)):
                raise InputError(
                    f"The {name} table must lie on the half-grid, shape {(ny, nx, *tail)} for a {self.shape[0]} x "
                    f"{self.shape[1]} mesh; it has shape {table.shape}."
                )
            table = table.reshape(ny, nx, components)
        self.refuse_infinite(table, name)
        for axis in (0, 1):
            first, last = (np.take(table, k, 1 - axis) for k in (0, -1))
            if self.periodic[axis] and not np.allclose(first, last, rtol=1e-6, atol=1e-9 * np.abs(table).max()):
                raise InputError(
                    f"The {name} is not periodic in {'xy'[axis]}: at the two ends {self.domain[axis]} it differs by "
                    f"{np.abs(first - last).max():.3g}; the domain must be one whole period."
                )
        return table


def make_mesh(domain, mesh: int | tuple[int, int], periodic: tuple[bool, bool] = (False, False)) -> Mesh:
    """A mesh from nested numbers, one count a side or two, and whether x and y are angles."""
    across, up = periodic
    return Mesh(pairs(domain, 2), counts(mesh, 2), (bool(across), bool(up)))  # pyright: ignore[reportArgumentType]
