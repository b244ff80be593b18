"""The diffusion in space, checked: one matrix, or a function and the table of its inverse on the half-grid."""

from collections.abc import Callable
from typing import Any

import numpy as np

from claimkit.errors import InputError

from ..fields import evaluate
from ..marching.mesh import named
from ..plane.noise import STRETCH
from .mesh import Box

_UPPER = np.triu_indices(3)
_SPARSE = 4
"""Cells are measured at every fourth point of the half-grid."""


def read_noise(box: Box, diffusion: Any) -> tuple[np.ndarray, np.ndarray | Callable]:
    """What the march takes for D, and D itself: twice one matrix ``(3, 3)``, or a table and the user's function.

    The table ``(2 nz - 1, 2 ny - 1, 2 nx - 1, 6)`` holds the upper triangle of ``D^{-1}``.

    Raises:
        InputError: where D is not symmetric positive definite, or too anisotropic for the mesh.
    """
    if not callable(diffusion):
        d = np.eye(3) if diffusion is None else np.asarray(diffusion, float)
        if d.shape != (3, 3):
            raise InputError(f"In space D must be a matrix (3, 3) or a function of points (..., 3); its shape is {d.shape}.")
        _check(d[None], None)
        _check_cells(box, np.linalg.inv(d)[None])
        return d, d

    def inverse(points):
        return np.linalg.inv(_check(evaluate(diffusion, points, (3, 3), "diffusion"), points))[..., *_UPPER]

    table = box.sample(inverse, 6, box.precision(6))
    first = table[0, 0, 0]
    if (table == first).all():
        return read_noise(box, evaluate(diffusion, box.corner[None], (3, 3), "diffusion")[0])
    sparse = table[::_SPARSE, ::_SPARSE, ::_SPARSE].reshape(-1, 6).astype(float)
    full = np.empty((len(sparse), 3, 3))
    full[:, _UPPER[0], _UPPER[1]] = full[:, _UPPER[1], _UPPER[0]] = sparse
    _check_cells(box, full)
    return table, diffusion


def _check(d, points):
    """Matrices ``(..., 3, 3)``, given back where they are symmetric positive definite."""
    size = np.abs(d).max((-2, -1))
    minor = d[..., 0, 0] * d[..., 1, 1] - d[..., 0, 1] ** 2
    with np.errstate(invalid="ignore"):
        good = np.abs(d - np.swapaxes(d, -1, -2)).max((-2, -1)) <= 1e-9 * size
        good &= (d[..., 0, 0] > 0) & (minor > 0) & (np.linalg.det(d) > 1e-14 * size**3)
    if not good.all():
        where = "" if points is None else f"at {named(points[~good][0])} "
        raise InputError(
            f"The diffusion matrix must be symmetric positive definite; {where}it is {d[~good][0].tolist()}; where it is "
            "singular, minimum_action_path computes single barriers."
        )
    return d


def _check_cells(box, metrics):
    """Refuse cells that are too long and thin in the metric ``A (n, 3, 3)``."""
    sides = np.sqrt(np.linalg.eigvalsh(box.spacing[:, None] * metrics * box.spacing))
    ratio = (sides[:, -1] / sides[:, 0]).max()
    if ratio > STRETCH["olim"]:
        raise InputError(
            f"The noise is too anisotropic for this mesh: measured by D its cells are {ratio:.3g} times as long as wide, "
            f"and the method bears {STRETCH['olim']:.0f}; give mesh=(nx, ny, nz) with more points along the long axis, or "
            "compute single barriers with minimum_action_path."
        )
