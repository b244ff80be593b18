"""Where the march in space begins: the mesh points next to the attractor, with the potential of the linearised drift."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from claimkit.errors import InputError

from ..fields import difference, evaluate
from ..plane.local import lyapunov_covariance
from .mesh import Box


@dataclass(frozen=True)
class Quadratic:
    """The potential of the linearised drift, ``1/2 z^T Q^{-1} z`` with ``z = x - center``.

    Attributes:
        center: the equilibrium, ``(3,)``.
        precision: ``Q^{-1}`` of the Lyapunov equation ``J Q + Q J^T = -D``, ``(3, 3)``.
        scale: length over which it is taken to hold.
    """

    center: np.ndarray
    precision: np.ndarray
    scale: float

    @property
    def middle(self) -> np.ndarray:
        """What the nearest image on periodic axes is measured from, ``(3,)``."""
        return self.center

    def nearest(self, points: np.ndarray) -> np.ndarray:
        """The point of the attractor nearest to points ``(..., 3)``."""
        return np.broadcast_to(self.center, np.shape(points))

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Values at points ``(..., 3)``."""
        z = points - self.center
        return 0.5 * np.einsum("...i,ij,...j", z, self.precision, z)

    def gradient(self, points: np.ndarray) -> np.ndarray:
        """Gradient at points ``(..., 3)``."""
        return (points - self.center) @ self.precision


def noise_at(diffusion: np.ndarray | Callable, points: np.ndarray) -> np.ndarray:
    """D at points ``(..., 3)``: ``(..., 3, 3)``."""
    if callable(diffusion):
        return evaluate(diffusion, points, (3, 3), "diffusion")
    return np.broadcast_to(diffusion, (*np.shape(points)[:-1], 3, 3))


def linearise(box: Box, drift: Callable, diffusion: np.ndarray | Callable, attractor) -> Quadratic:
    """The potential of the drift linearised at an attractor.

    Raises:
        InputError: when the point is no stable equilibrium (to within a tenth of a spacing) three points inside the mesh.
    """
    point = np.asarray(attractor, float)
    if point.shape != (3,) or not np.isfinite(point).all():
        raise InputError(f"The attractor must be one point (x, y, z); it is {attractor!r}.")
    where = f"({', '.join(f'{x:.6g}' for x in point)})"
    index = box.index_of(point)
    if not ((index >= 3).all() and (index <= np.array(box.shape) - 4).all()):
        raise InputError(f"The attractor {where} must lie at least three mesh points inside the domain {box.domain}.")
    field = lambda p: evaluate(drift, p, (3,), "drift")  # noqa: E731
    center, small = point, 1e-4 * float(box.spacing.min())
    jacobian = np.zeros((3, 3))
    for _ in range(3):
        jacobian = difference(field, center[None], small)[0]
        if np.linalg.cond(jacobian) > 1e12:
            raise InputError(
                f"The drift's Jacobian at {where} is singular; the attractor must be a non-degenerate equilibrium."
            )
        center = center - np.linalg.solve(jacobian, field(center[None])[0])
    if not (np.abs((center - point) / box.spacing) <= 0.1).all():
        raise InputError(
            f"The attractor {where} is not an equilibrium: the drift there is {field(point[None])[0].round(6).tolist()}."
        )
    growth = np.linalg.eigvals(jacobian).real.max()
    if growth >= 0:
        raise InputError(
            f"The equilibrium {where} is not stable (an eigenvalue of the drift's Jacobian has real part {growth:.3g} >= "
            "0); give an attractor of dX = b dt."
        )
    return Quadratic(
        center, np.linalg.inv(lyapunov_covariance(jacobian, noise_at(diffusion, center))), 8 * float(box.spacing.max())
    )


def first_points(box: Box, local: Quadratic, table: np.ndarray, diffusion: np.ndarray | Callable):
    """Indices ``(n, 3)`` (x, y, z) of the points around an attractor, their codes and their values.

    The code is 1 for the points of the cell, or of the neighbours of the mesh point, that holds the attractor, and 2 for the
    layer that waits around them.

    Raises:
        InputError: when the drift is not nearly linear there.
    """
    index = box.index_of(local.center)
    nearest = np.rint(index)
    off = np.abs(index - nearest)
    low = np.where(off < 0.25, nearest - 1, np.floor(index)).astype(int)
    high = np.where(off < 0.25, nearest + 1, np.ceil(index)).astype(int)
    around = np.stack(np.meshgrid(*(np.arange(a - 1, b + 2) for a, b in zip(low, high, strict=True)), indexing="ij"), -1)
    around = around.reshape(-1, 3)
    code = np.where(((around < low) | (around > high)).any(-1), 2, 1)
    points = box.corner + around * box.spacing
    p = local.gradient(points)
    kinetic = 0.5 * np.einsum("ni,nij,nj->n", p, noise_at(diffusion, points), p)
    drift = table[2 * around[:, 2], 2 * around[:, 1], 2 * around[:, 0]]
    error = np.abs(kinetic + np.sum(drift * p, -1)) / (kinetic + 1e-3 * kinetic.max())
    if error.max() > 0.5:
        raise InputError(
            f"The mesh is too coarse around the attractor {local.center.round(6).tolist()}: two points away the drift is no "
            f"longer nearly linear (relative Hamilton-Jacobi residual {error.max():.2g}); refine the mesh or shrink the "
            "domain."
        )
    return around, code, local(points)
