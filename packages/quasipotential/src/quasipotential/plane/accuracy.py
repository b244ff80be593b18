"""How far the values of a solve may be off: an estimate from a second solve of the same tables."""

from dataclasses import replace

import numpy as np
from scipy.ndimage import maximum_filter

from claimkit.errors import InputError

from .solution import Solution
from .solver import Options, solve_again

WINDOW = 9
"""Points a side over which the largest difference is taken: where an error changes its sign its neighbours speak for it."""


def estimate_error(solution: Solution) -> np.ndarray:
    """Estimate of ``|U_mesh - U|`` on the mesh ``(ny, nx)``; NaN where there is no value.

    For jets the difference to a solve on every second point, for OLIM that to jets on the same mesh and their own estimate
    besides: the largest one among ``WINDOW`` by ``WINDOW`` points. Where the solve started from one on a finer mesh the
    error of that is added. It speaks of the discretisation only: values above ``edge_level`` are upper bounds besides.

    Raises:
        InputError: when the mesh has an even number of points a side, or half of them are too few for a solve.
    """
    nx, ny = solution.mesh.shape
    if nx % 2 == 0 or ny % 2 == 0:
        raise InputError(f"The error is estimated on every second mesh point: give odd numbers, not {nx} x {ny}.")
    known, own = np.isfinite(solution.values), solution.settings.get("start_error", 0.0)
    options = Options(stop="never", level=float(np.nanmax(solution.values)) * 1.2 + 1e-300)
    if solution.settings["method"] == "olim":
        jets = solve_again(solution, solution.mesh, options)
        other, own = jets.values, own + np.nan_to_num(estimate_error(jets))
    else:
        coarse = replace(solution.mesh, shape=((nx + 1) // 2, (ny + 1) // 2))
        other = solve_again(solution, coarse, options)(solution.mesh.points)
    difference = np.where(known, np.abs(solution.values - other), 0.0)
    difference[np.isnan(difference)] = np.inf
    return np.where(known, maximum_filter(difference, WINDOW) + own, np.nan)
