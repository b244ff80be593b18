"""Several wells in the plane: the costs between them, which one the noise favours, the global quasi-potential.

``V[i, j]`` is the quasi-potential of well j with respect to well i, taken over the saddles that join them; what follows
from the costs alone is in ``trees``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from claimkit.errors import InputError

from ..plane.solution import Solution
from ..plane.solver import solve
from .trees import Cycle, cycle_hierarchy, tree_levels


@dataclass(frozen=True)
class Wells:
    """Wells with the costs of going between them.

    Attributes:
        attractors: ``(l, 2)``.
        costs: V ``(l, l)``, infinite where there is no direct way.
        levels: W ``(l,)``.
        solutions: one per well.
        saddles: ``(l, l, 2)``, the saddle used, NaN where none.
    """

    attractors: np.ndarray
    costs: np.ndarray
    levels: np.ndarray
    solutions: tuple[Solution, ...]
    saddles: np.ndarray

    @property
    def favoured(self) -> int:
        """Number of the well that keeps the mass as the noise vanishes."""
        return int(np.argmin(self.levels))

    def masses(self, noise: float) -> np.ndarray:
        """Stationary mass of each basin to exponential order, ``exp(-(W - min W) / eps)`` normalised."""
        weights = np.exp(-(self.levels - self.levels.min()) / noise)
        return weights / weights.sum()

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Global quasi-potential ``min_i (W(i) + U_i(x)) - min W`` at points ``(..., 2)``; NaN where no solve came."""
        parts = np.stack([w + s(points) for w, s in zip(self.levels, self.solutions, strict=True)])
        return (
            np.where(np.isnan(parts).all(0), np.nan, np.nanmin(np.where(np.isnan(parts), np.inf, parts), 0))
            - self.levels.min()
        )

    def cycles(self) -> list[Cycle]:
        """The hierarchy of cycles, see ``cycle_hierarchy``."""
        return cycle_hierarchy(self.costs)


def find_wells(
    drift: Callable | np.ndarray,
    attractors,
    domain,
    mesh=257,
    *,
    saddles: Sequence | np.ndarray,
    diffusion=None,
    method: str = "jet",
    progress: bool = False,
) -> Wells:
    """Solve from every attractor and put the barriers together.

    Args:
        drift: function of points ``(..., 2)``.
        attractors: ``(l, 2)``, at least two.
        domain: as for ``solve``.
        mesh: as for ``solve``.
        diffusion: as for ``solve``.
        method: as for ``solve``.
        saddles: the saddles between the basins ``(k, 2)``; the two wells that each one joins are found by following
            the drift down
            from both sides of it.
        progress: show progress bars.

    Returns:
        ``V[i, j]``: the smallest U_i over the saddles that join i and j (the way down is free). Where the saddles of a
        well lie near against the domain, a second solve on as many points in a smaller box resolves the ways to them.

    Raises:
        InputError: when a saddle joins no two of the wells, or a solve did not reach it.
    """
    attractors = np.atleast_2d(np.asarray(attractors, float))
    count = len(attractors)
    if count < 2:
        raise InputError("Give at least two attractors.")
    solutions = tuple(
        solve(drift, point, domain, mesh, diffusion=diffusion, method=method, stop="never", progress=progress)
        for point in attractors
    )
    saddles = np.atleast_2d(np.asarray(saddles, float))
    near = tuple(_zoom(drift, diffusion, solution, saddles, method) for solution in solutions)
    costs = np.full((count, count), np.inf)
    np.fill_diagonal(costs, 0.0)
    used = np.full((count, count, 2), np.nan)
    for saddle in saddles:
        sides = [_follow_down(solutions[0], attractors, saddle, sign) for sign in (1, -1)]
        if sides[0] == sides[1]:
            raise InputError(
                f"The saddle {saddle.tolist()} does not join two of the wells; both sides lead to well {sides[0]}."
            )
        for i, j in (sides, sides[::-1]):
            height = float(near[i](saddle)) if near[i].mesh.contains(saddle) else np.nan
            height = height if np.isfinite(height) else float(solutions[i](saddle))
            if not np.isfinite(height):
                raise InputError(f"The solve from well {i} did not reach the saddle {saddle.tolist()}; enlarge the domain.")
            if height < costs[i, j]:
                costs[i, j], used[i, j] = height, saddle
    return Wells(attractors, costs, tree_levels(costs), solutions, used)


def _zoom(drift: Any, diffusion: Any, solution: Solution, saddles: np.ndarray, method: str) -> Solution:
    """A solve on as many points in a box around the ways to the saddles; the given one where that box is no smaller."""
    if not (callable(drift) and (diffusion is None or callable(diffusion) or np.ndim(diffusion) == 2)):
        return solution
    heights = solution(saddles)
    try:
        ways = [solution.path_to(saddle) for saddle in saddles[np.isfinite(heights)]]
    except InputError:
        return solution
    if not ways:
        return solution
    points, ends = np.concatenate(ways), np.array(solution.mesh.domain)
    size = ends[:, 1] - ends[:, 0]
    share = 1.6 * float(((points.max(0) - points.min(0)) / size).max())
    if share > 0.5:
        return solution
    # the same shape of cells: the noise may bear no other
    middle = np.clip(0.5 * (points.max(0) + points.min(0)), ends[:, 0] + 0.5 * share * size, ends[:, 1] - 0.5 * share * size)
    low, high = (middle - 0.5 * share * size).tolist(), (middle + 0.5 * share * size).tolist()
    box: Any = ((low[0], high[0]), (low[1], high[1]))
    options: dict[str, Any] = {"drift": drift, "diffusion": diffusion, "method": method, "stop": "never"}
    options["level"] = 1.5 * float(np.nanmax(heights))
    return solve(attractor=solution.attractors[0], domain=box, mesh=solution.mesh.shape, **options)


def _follow_down(solution, attractors, saddle, sign):
    """Number of the attractor that the drift leads to from one side of a saddle."""
    h = solution.mesh.spacing.min()
    jacobian = np.stack(
        [(solution.drift_at(saddle + h * e) - solution.drift_at(saddle - h * e)) / (2 * h) for e in np.eye(2)], -1
    )
    values, vectors = (np.real(v) for v in np.linalg.eig(jacobian))
    if not values.max() > 0 > values.min():
        raise InputError(f"{saddle.tolist()} is not a saddle of the drift (eigenvalues {values.tolist()}).")
    x = saddle + 2 * h * sign * vectors[:, int(np.argmax(values))]
    for _ in range(200 * max(solution.mesh.shape)):
        away = np.linalg.norm(attractors - x, axis=1)
        if away.min() < 2 * h:
            return int(np.argmin(away))
        flow = solution.drift_at(x)
        middle = solution.drift_at(x + 0.25 * h * flow / max(np.linalg.norm(flow), 1e-12))
        x = x + 0.5 * h * middle / max(np.linalg.norm(middle), 1e-12)
        if not solution.mesh.contains(x):
            break
    raise InputError(f"From the saddle {saddle.tolist()} the drift leads to none of the attractors; give all of them.")
