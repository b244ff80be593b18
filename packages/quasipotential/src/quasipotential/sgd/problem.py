"""SGD on a mesh: the tables of its drift and of the covariance of one sample's gradient."""

from collections.abc import Callable

import numpy as np

from claimkit.errors import InputError

from ..plane.mesh import Mesh, make_mesh
from ..progress import progress_bar
from ..rates.exits import Problem

_NUMBERS_AT_ONCE = 1 << 24
"""Components of gradients held at once (128 MiB), whatever the mesh and however many samples there are."""


def gradient_covariance(gradients: np.ndarray) -> np.ndarray:
    """Covariance ``C = E[g g^T] - E[g] E[g]^T`` over samples: ``(..., n, d)`` to ``(..., d, d)``."""
    centred = gradients - gradients.mean(-2, keepdims=True)
    return np.einsum("...ni,...nj->...ij", centred, centred) / gradients.shape[-2]


def sgd_problem(
    gradients: Callable[[np.ndarray], np.ndarray],
    domain,
    mesh: int | tuple[int, int] = 257,
    floor: float = 0.0,
    *,
    progress: bool = False,
) -> Problem:
    """Drift and diffusion of SGD on the half-grid of a mesh.

    Args:
        gradients: function of parameters ``(m, 2)`` returning every sample's gradient ``(m, n, 2)``; see
            ``torch_gradients`` and
            ``plane_gradients`` for torch models.
        domain: ``((xmin, xmax), (ymin, ymax))``.
        mesh: points per side, or (nx, ny).
        floor: added to the diagonal of C, where the samples' gradients span fewer than two directions.
        progress: show a progress bar on a terminal.

    Returns:
        A problem whose tables ``drift`` and ``diffusion`` go into ``solve`` and ``find_wells`` as they are.

    Raises:
        InputError: when the samples' gradients vanish together, at an interpolating minimum: C is zero there, escape times
            are powers of the step instead of exponentials (``closed_forms.loss_dependent``), and a floor would invent noise.
    """
    grid = make_mesh(domain, mesh)
    if not 0 <= floor < np.inf:
        raise InputError(f"The floor is added to a covariance and must not be negative; it is {floor}.")

    def field(points):
        flat = points.reshape(-1, 2)
        table = np.empty((len(flat), 6))
        start, size = 0, 16
        with progress_bar(len(flat), progress, "pt") as advance:
            while start < len(flat):
                part = slice(start, start + size)
                g = np.asarray(gradients(flat[part]), float)
                if g.ndim != 3 or g.shape[0] != len(flat[part]) or g.shape[2] != 2:
                    raise InputError(
                        f"The gradients must have shape (points, samples, 2); they have {g.shape} for "
                        f"{len(flat[part])} points."
                    )
                table[part, :2] = -g.mean(1)
                table[part, 2:] = (gradient_covariance(g) + floor * np.eye(2)).reshape(-1, 4)
                advance(len(g))
                start, size = start + size, max(1, _NUMBERS_AT_ONCE // g[0].size)
        return table.reshape(*points.shape[:-1], 6)

    nx, ny = (2 * n - 1 for n in grid.shape)
    points = Mesh(grid.domain, (nx, ny)).points
    table = field(points)
    grid.refuse_infinite(table, "gradients' mean or covariance")
    spread = table[..., 2] + table[..., 5] - 2 * floor
    if spread.min() < 1e-9 * spread.max():
        x, y = points[np.unravel_index(spread.argmin(), spread.shape)]
        raise InputError(
            f"The gradients of all samples agree at ({x:.6g}, {y:.6g}): an interpolating minimum, where SGD has no noise; "
            "the Gaussian theory does not hold there (escape times are powers, see closed_forms.loss_dependent)."
        )
    return Problem(grid, np.ascontiguousarray(table[..., :2]), np.ascontiguousarray(table[..., 2:]))
