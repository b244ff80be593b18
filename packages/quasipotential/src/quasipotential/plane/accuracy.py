"""How far the values of a solve may be off: an estimate from a second solve of the same tables."""

import numpy as np
from scipy.ndimage import maximum_filter

from claimkit.errors import InputError

from .solution import Solution
from .solver import solve

WINDOW = 9
"""Points a side over which the largest difference is taken: where an error changes its sign its neighbours speak for it."""


def estimate_error(solution: Solution) -> np.ndarray:
    """Estimate of ``|U_mesh - U|`` on the mesh ``(ny, nx)``; NaN where there is no value.

    For jets the difference to a solve on every second point, for OLIM that to jets on the same mesh and their own estimate
    besides, and in both cases the largest one among ``WINDOW`` by ``WINDOW`` points. It speaks of the discretisation only:
    values above ``Solution.edge_level`` are upper bounds besides.

    Raises:
        InputError: when the mesh has an even number of points a side, or half of them are too few for a solve.
    """
    s = solution.settings
    options = {"offsets": solution.offsets, "stop": "never", "level": float(np.nanmax(solution.values)) * 1.2 + 1e-300}
    nx, ny = solution.mesh.shape
    if nx % 2 == 0 or ny % 2 == 0:
        raise InputError(f"The error is estimated on every second mesh point: give odd numbers, not {nx} x {ny}.")
    known, own = np.isfinite(solution.values), 0.0
    if s["method"] == "olim":
        jets = solve(
            solution.drift, solution.attractors, solution.mesh.domain, (nx, ny), diffusion=solution.diffusion, **options
        )
        other, own = jets.values, np.nan_to_num(estimate_error(jets))
    else:
        half = (nx + 1) // 2, (ny + 1) // 2
        d = solution.diffusion if solution.diffusion.ndim == 2 else solution.diffusion[::2, ::2]
        coarse = solve(solution.drift[::2, ::2], solution.attractors, solution.mesh.domain, half, diffusion=d, **options)
        other = coarse(solution.mesh.points)
    difference = np.where(known, np.abs(solution.values - other), 0.0)
    difference[np.isnan(difference)] = np.inf
    return np.where(known, maximum_filter(difference, WINDOW) + own, np.nan)
