"""The diffusion on a mesh: its table, checked to be positive definite and not too anisotropic for the cells."""

import numpy as np

from claimkit.errors import InputError

from ..fields import Field
from .mesh import Mesh

STRETCH = {"jet": 5.0, "olim": 20.0}
"""Largest ratio of a mesh cell's sides in the metric of D. On linear drifts at 129 and 257 points the largest error over the
largest U was 1e-4 (jets, ratio 3), 4e-2 (6), 6e-1 (10), and 1e-2 (OLIM, 6), 4e-2 (18), 6e-2 (100)."""


def check_cells(grid: Mesh, diffusion: np.ndarray, method: str) -> None:
    """Refuse a mesh whose cells are too long and thin in the metric ``A = D^{-1}`` for the method.

    Raises:
        InputError: with the place, the ratio and what to use instead.
    """
    d = diffusion.reshape(-1, 4) if diffusion.ndim == 2 else diffusion
    hx, hy = grid.spacing
    a, c, e = d[..., 0] / hx**2, d[..., 1] / (hx * hy), d[..., 3] / hy**2
    half, determinant = 0.5 * (a + e), a * e - c * c
    ratio = (half + np.sqrt(np.maximum(half**2 - determinant, 0.0))) / np.sqrt(determinant)
    if ratio.max() <= STRETCH[method]:
        return
    j, i = np.argwhere(np.atleast_2d(ratio) == ratio.max())[0]
    x, y = grid.corner + 0.5 * grid.spacing * (i, j)
    here = "" if diffusion.ndim == 2 else f" at ({x:.6g}, {y:.6g})"
    axis = "x" if a.ravel()[np.argmax(ratio)] < e.ravel()[np.argmax(ratio)] else "y"
    raise InputError(
        f"The noise is too anisotropic for this mesh: measured by D{here} its cells are {ratio.max():.3g} times as long as "
        f"wide, and {method} bears {STRETCH[method]:.0f}; give mesh=(nx, ny) with more points along {axis}, "
        + ("use method='olim', " if method == "jet" and ratio.max() <= STRETCH["olim"] else "")
        + "or compute single barriers with minimum_action_path, which takes any D."
    )


def tabulate_diffusion(grid: Mesh, diffusion: Field | np.ndarray | None) -> np.ndarray:
    """One matrix ``(2, 2)`` when D is constant, else the half-grid table ``(2 ny - 1, 2 nx - 1, 4)``.

    Checked to be SPD.
    """
    if diffusion is None:
        return np.eye(2)
    if not callable(diffusion) and np.ndim(diffusion) == 2:
        if np.shape(diffusion) != (2, 2):
            raise InputError(f"One diffusion matrix must have shape (2, 2); it has {np.shape(diffusion)}.")
        table = np.asarray(diffusion, float).reshape(1, 1, 4)
    elif not callable(diffusion) and np.ndim(diffusion) < 2:
        raise InputError(
            "The diffusion is a matrix D = sigma sigma^T, not a number or a vector: write D * np.eye(2) or np.diag."
        )
    else:
        table = grid.tabulate(diffusion, 4, "diffusion")
    size = np.abs(table).max(-1)
    symmetric = np.abs(table[..., 1] - table[..., 2]) <= 1e-9 * size
    positive = (table[..., 0] > 0) & (table[..., 0] * table[..., 3] - table[..., 1] * table[..., 2] > 1e-14 * size**2)
    if not (symmetric & positive).all():
        j, i = np.argwhere(~(symmetric & positive))[0]
        x, y = grid.corner + 0.5 * grid.spacing * (i, j)
        raise InputError(
            f"The diffusion matrix must be symmetric positive definite; at ({x:.6g}, {y:.6g}) it is "
            f"{table[j, i].reshape(2, 2).tolist()}; where it is singular, minimum_action_path computes single barriers."
        )
    constant = table.shape[:2] == (1, 1) or bool((table == table[0, 0]).all())
    return table[0, 0].reshape(2, 2).copy() if constant else table
