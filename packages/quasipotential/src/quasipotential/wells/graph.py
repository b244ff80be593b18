"""Several wells in the plane: the costs between them, which one the noise favours, the global quasi-potential.

``V[i, j]`` is the quasi-potential of well j with respect to well i, taken over the saddles that join them; what follows
from the costs alone is in ``trees``.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from claimkit.errors import InputError

from ..fields import refuse_not_positive
from ..plane.cycles.orbit import LimitCycle
from ..plane.cycles.tube import Tube
from ..plane.solution import Solution
from ..plane.solver import as_sets, solve
from .trees import Cycle, cycle_hierarchy, tree_levels


@dataclass(frozen=True)
class Wells:
    """Wells with the costs of going between them.

    Attributes:
        attractors: ``(l, 2)``; of a limit cycle one point.
        costs: V ``(l, l)``, infinite where there is no direct way.
        levels: W ``(l,)``.
        solutions: one per well.
        saddles: ``(l, l, 2)``, the saddle used (of an unstable cycle one point), NaN where none.
    """

    attractors: np.ndarray
    costs: np.ndarray
    levels: np.ndarray
    solutions: tuple[Solution, ...]
    saddles: np.ndarray

    @property
    def favoured(self) -> int:
        """Number of the well that keeps the mass as the noise vanishes; the first of those that tie."""
        return int(np.argmin(self.levels))

    @property
    def tied(self) -> tuple[int, ...]:
        """Numbers of the wells whose W is the lowest as far as the solves can tell, the favoured one among them.

        Two levels tie within 1e-6 of the largest cost and the errors that the solves estimate at the saddles used, where
        there are such, see ``Solution.error``: it costs a second solve of each well.
        """
        slack = 1e-6 * float(np.max(self.costs[np.isfinite(self.costs)]))
        for solution, places in zip(self.solutions, self.saddles, strict=True):
            with contextlib.suppress(InputError):
                errors = solution.error_at(places[np.isfinite(places).all(-1)])
                slack += float(np.max(errors[np.isfinite(errors)], initial=0.0))
        return tuple(int(i) for i in np.flatnonzero(self.levels <= self.levels.min() + slack))

    def masses(self, noise: float) -> np.ndarray:
        """Stationary mass of each basin to exponential order, ``exp(-(W - min W) / eps)`` normalised."""
        refuse_not_positive(noise=noise)
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
    saddles: Sequence | np.ndarray | LimitCycle,
    diffusion=None,
    method: str = "jet",
    periodic: tuple[bool, bool] = (False, False),
    progress: bool = False,
) -> Wells:
    """Solve from every attractor and put the barriers together.

    Args:
        drift: function of points ``(..., 2)``.
        attractors: ``(l, 2)``, at least two; or a list of points and stable limit cycles from ``find_cycle``.
        domain: as for ``solve``.
        mesh: as for ``solve``.
        diffusion: as for ``solve``.
        method: as for ``solve``.
        periodic: as for ``solve``.
        saddles: the saddles between the basins ``(k, 2)``, or a list of saddles and unstable limit cycles; the two wells
            that each one joins are found by following the drift down from both sides of it.
        progress: show progress bars.

    Returns:
        ``V[i, j]``: the smallest U_i over the saddles that join i and j (the way down is free). Where the saddles of a
        well lie near against the domain, a second solve on as many points in a smaller box resolves the ways to them.

    Raises:
        InputError: when a saddle joins no two of the wells, or a solve did not reach it.
    """
    wells = as_sets(attractors, "attractors")
    count = len(wells)
    if count < 2:
        raise InputError("Give at least two attractors.")
    options: dict[str, Any] = {"diffusion": diffusion, "method": method, "periodic": periodic}
    solutions = tuple(solve(drift, one, domain, mesh, stop="never", progress=progress, **options) for one in wells)
    between = as_sets(saddles, "saddles")
    places = np.stack([one.points[0] if isinstance(one, LimitCycle) else one for one in between])
    near = tuple(_zoom(drift, diffusion, solution, places, method) for solution in solutions)
    costs = np.full((count, count), np.inf)
    np.fill_diagonal(costs, 0.0)
    used = np.full((count, count, 2), np.nan)
    for saddle, place in zip(between, places, strict=True):
        sides = [_follow_down(solutions, start) for start in _beside(solutions[0], saddle)]
        if sides[0] == sides[1]:
            raise InputError(
                f"The saddle {place.tolist()} does not join two of the wells; both sides lead to well {sides[0]}."
            )
        for i, j in (sides, sides[::-1]):
            height = _height(near[i], saddle)
            height = height if np.isfinite(height) else _height(solutions[i], saddle)
            if not np.isfinite(height):
                raise InputError(f"The solve from well {i} did not reach the saddle {place.tolist()}; enlarge the domain.")
            if height < costs[i, j]:
                costs[i, j], used[i, j] = height, place
    return Wells(np.stack([s.attractors[0] for s in solutions]), costs, tree_levels(costs), solutions, used)


def _height(solution: Solution, saddle: np.ndarray | LimitCycle) -> float:
    """U at a saddle, or its smallest value on an unstable cycle; NaN where the solve did not come."""
    points = saddle.points if isinstance(saddle, LimitCycle) else saddle[None]
    values = np.array([float(solution(p)) for p in points if solution.mesh.contains(p)])
    return float(np.min(values[np.isfinite(values)], initial=np.inf)) if np.isfinite(values).any() else np.nan


def _zoom(drift: Any, diffusion: Any, solution: Solution, saddles: np.ndarray, method: str) -> Solution:
    """A solve on as many points in a box around the ways to the saddles; the given one where that box is no smaller."""
    if not (callable(drift) and (diffusion is None or callable(diffusion) or np.ndim(diffusion) == 2)):
        return solution
    if any(solution.mesh.periodic) or isinstance(solution.local[0], Tube):
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


def _beside(solution: Solution, saddle: np.ndarray | LimitCycle) -> tuple[np.ndarray, np.ndarray]:
    """A point on either side of a saddle along its unstable direction, or of an unstable cycle."""
    h = float(solution.mesh.spacing.min())
    if isinstance(saddle, LimitCycle):
        if saddle.stable:
            raise InputError(
                f"The limit cycle through {saddle.points[0].tolist()} attracts (Floquet multiplier "
                f"{saddle.multiplier:.3g}): it is a well, no saddle."
            )
        across = saddle.frame[1][0] * saddle.scale
        return saddle.points[0] + 2 * h * across / np.linalg.norm(across), saddle.points[
            0
        ] - 2 * h * across / np.linalg.norm(across)
    jacobian = np.stack(
        [(solution.drift_at(saddle + h * e) - solution.drift_at(saddle - h * e)) / (2 * h) for e in np.eye(2)], -1
    )
    values, vectors = (np.real(v) for v in np.linalg.eig(jacobian))
    if not values.max() > 0 > values.min():
        raise InputError(f"{saddle.tolist()} is not a saddle of the drift (eigenvalues {values.tolist()}).")
    away = 2 * h * vectors[:, int(np.argmax(values))]
    return saddle + away, saddle - away


def _follow_down(solutions: Sequence[Solution], x: np.ndarray) -> int:
    """Number of the attractor that the drift leads to from a point."""
    solution, begin = solutions[0], x
    mesh, h = solution.mesh, float(solution.mesh.spacing.min())
    wells = [s.local[0] for s in solutions]
    for _ in range(200 * max(mesh.shape)):
        images = [mesh.image(x, well.middle) for well in wells]
        away = [np.linalg.norm(p - well.nearest(p)) for p, well in zip(images, wells, strict=True)]
        if min(away) < 2 * h:
            return int(np.argmin(away))
        flow = solution.drift_at(x)
        middle = solution.drift_at(x + 0.25 * h * flow / max(np.linalg.norm(flow), 1e-12))
        x = x + 0.5 * h * middle / max(np.linalg.norm(middle), 1e-12)
        if not mesh.contains(x):
            break
    raise InputError(
        f"From beside the saddle, {begin.tolist()}, the drift leads to none of the attractors; give all of them."
    )
