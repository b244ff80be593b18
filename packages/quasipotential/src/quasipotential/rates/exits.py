"""Exit times and occupancies of ``dX = b dt + sqrt(eps) sigma dW`` by simulation: Euler-Maruyama, one path a loop.

Drift, noise and region are tables on the half-grid, read bilinearly, so that one compiled kernel serves every system. Every
path has its own generator (xoshiro256++ seeded by splitmix64 from the seed and the number of the path): results do not
depend on the number of threads.
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from claimkit.errors import InputError

from ..fields import evaluate_region, refuse_not_positive, refuse_outside
from ..plane.mesh import Mesh, make_mesh
from ..plane.noise import tabulate_diffusion
from ..plane.solution import Solution
from ..progress import progress_bar
from .walk import exit_paths

BOUNDARY_SHIFT = 0.5825971579390107
"""``-zeta(1/2) / sqrt(2 pi)``: how far, in standard deviations of one step, discrete observation moves a boundary
outwards."""


class Tables(Protocol):
    """What is simulated: anything with a mesh and half-grid tables, such as a ``Solution`` or ``tabulate``'s result."""

    @property
    def mesh(self) -> Mesh:
        """The mesh."""
        ...

    @property
    def drift(self) -> np.ndarray:
        """Half-grid table ``(2 ny - 1, 2 nx - 1, 2)``."""
        ...

    @property
    def diffusion(self) -> np.ndarray:
        """One matrix ``(2, 2)``, or a half-grid table ``(2 ny - 1, 2 nx - 1, 4)``."""
        ...


@dataclass(frozen=True)
class Problem:
    """A drift and a diffusion on a mesh, without a solve (see ``tabulate``)."""

    mesh: Mesh
    drift: np.ndarray
    diffusion: np.ndarray


def tabulate(drift, domain, mesh: int | tuple[int, int] = 257, diffusion=None) -> Problem:
    """Put a drift and a diffusion on a mesh; the arguments are those of ``solve``."""
    grid = make_mesh(domain, mesh)
    return Problem(grid, grid.tabulate(drift, 2, "drift"), tabulate_diffusion(grid, diffusion))


def scaled(problem: Tables):
    """Drift and sigma tables in half-grid units (positions count half spacings)."""
    problem.mesh.refuse_periodic("a simulation")
    scale = 0.5 * problem.mesh.spacing
    d = problem.diffusion
    if d.ndim == 2:
        d = d.reshape(1, 1, 4)
    low = np.sqrt(d[..., 0])
    mixed = d[..., 1] / low
    root = np.stack([low / scale[0], mixed / scale[1], np.sqrt(d[..., 3] - mixed**2) / scale[1]], -1)
    return problem.drift / scale, root, scale


def half_points(mesh: Mesh) -> np.ndarray:
    """Points of the half-grid ``(2 ny - 1, 2 nx - 1, 2)``."""
    return Mesh(mesh.domain, (2 * mesh.shape[0] - 1, 2 * mesh.shape[1] - 1)).points


@dataclass(frozen=True)
class Exits:
    """Simulated exits.

    Attributes:
        times: ``(n,)``.
        places: ``(n, 2)``.
        censored: how many paths had not left when they were stopped (their times are lower bounds).
        steps: path-steps simulated in all.
    """

    times: np.ndarray
    places: np.ndarray
    censored: int
    steps: int

    @property
    def mean(self) -> float:
        """Mean exit time; with censored paths the estimate for exponential times, total time over number of exits.

        Infinite where no path left: the times say no more than that the mean is longer.
        """
        left = len(self.times) - self.censored
        return float(self.times.sum() / left) if left else math.inf

    @property
    def standard_error(self) -> float:
        """Standard error of the mean; with censored paths, or a single one, that of exponential times."""
        left = len(self.times) - self.censored
        if self.censored or left < 2:
            return self.mean / math.sqrt(max(left, 1))
        return float(self.times.std(ddof=1) / math.sqrt(left))


def simulate_exits(
    problem: Tables,
    start,
    region: Callable[[np.ndarray], np.ndarray],
    noise: float,
    *,
    paths: int = 1000,
    step: float = 0.005,
    longest: float | None = None,
    seed: int = 0,
    first: int = 0,
    correct: bool = True,
    budget: float = 4e9,
    progress: bool = False,
) -> Exits:
    """Simulate exits from a region.

    Args:
        problem: a ``Solution`` or the result of ``tabulate``; leaving its mesh counts as an exit.
        start: where all paths begin ``(2,)``, inside the region.
        region: function of points ``(..., 2)``, negative inside.
        noise: eps.
        paths: how many.
        step: time step.
        longest: paths are stopped there; by default at 1e7, or sooner where one path alone uses up the budget.
        seed: any integer.
        first: number of the first path, to continue an earlier run.
        correct: move the boundary inwards by 0.5826 standard deviations of a step, which removes the bias of order
            sqrt(step) that looking at discrete times has.
        budget: path-steps allowed in all, about one to three minutes a core. For a ``Solution`` the cost is estimated
            first, by ``exp(barrier / noise)`` units of time a path.
        progress: show a progress bar on a terminal.

    Raises:
        InputError: for a start outside, a cost above the budget, or, where ``longest`` is not given, when no path left.
    """
    problem.mesh.refuse_periodic("a simulation")
    refuse_not_positive(noise=noise, step=step, paths=paths, budget=budget)
    if paths != int(paths):
        raise InputError(f"paths must be a whole number; it is {paths}.")
    point = np.asarray(start, float)
    refuse_outside(region, point, problem.mesh)
    coarseness = step / longest_step(problem, point)
    if coarseness >= 1:
        raise InputError(
            f"Steps of {step:g} are so long that Euler's method is unstable at the start; give less than "
            f"{0.1 * step / coarseness:.2g}."
        )
    if longest is None:
        check_cost(problem, region, noise, paths, step, budget)
    limit = int(min(10 * budget / paths, budget, 1e7 / step) if longest is None else longest / step)
    b, root, scale = scaled(problem)
    signed = evaluate_region(region, half_points(problem.mesh))
    if correct:
        slope_y, slope_x = np.gradient(signed)
        across = np.hypot(root[..., 0] * slope_x + root[..., 1] * slope_y, root[..., 2] * slope_y)
        signed = signed + BOUNDARY_SHIFT * math.sqrt(noise * step) * across
    here = (point - problem.mesh.corner) / scale
    counts, places = np.empty(paths, np.int64), np.empty((paths, 2))
    batch, done = max(64, paths // 20), 0
    with progress_bar(paths, progress, "path") as advance:
        for low in range(0, paths, batch):
            part = slice(low, min(low + batch, paths))
            exit_paths(
                here[0], here[1], b, root, signed, step, math.sqrt(noise * step), limit, seed, first + low, counts[part],
                places[part],
            )  # fmt: skip
            done += int(np.abs(counts[part]).sum())
            if longest is None and done > budget and part.stop < paths:
                raise InputError(
                    f"{part.stop} of {paths} paths took {done:.1e} steps, more than the budget of {budget:.0e}: ask for "
                    "fewer paths, more noise or a larger budget, or use split_exits or mean_exit_time."
                )
            advance(part.stop - low)
    if longest is None and (counts < 0).all():
        raise InputError(
            f"None of {paths} paths left the region within {limit * step:.4g} units of time; the mean exit time is larger: "
            "use split_exits, mean_exit_time, or more noise."
        )
    exits = Exits(
        np.abs(counts) * step, places * scale + problem.mesh.corner, int((counts < 0).sum()), int(np.abs(counts).sum())
    )
    _warn_of_bias(exits, step, coarseness)
    return exits


def longest_step(problem: Tables, point: np.ndarray) -> float:
    """Below which steps Euler's method is stable where the drift is its linear part at a point; infinite if that grows.

    With an eigenvalue lambda of the Jacobian and steps h, ``|1 + lambda h|^2 < 1`` says ``h < 2 |Re lambda| / |lambda|^2``;
    and the noise that is left acts as if it were larger by the share ``h / longest`` of it.
    """
    mesh = problem.mesh
    column, row = np.clip(np.rint(2 * mesh.index_of(point)).astype(int), 1, 2 * np.array(mesh.shape) - 3)
    b, h = problem.drift, mesh.spacing
    along = [(b[row, column + 1] - b[row, column - 1]) / h[0], (b[row + 1, column] - b[row - 1, column]) / h[1]]
    rates = np.linalg.eigvals(np.stack(along, -1))
    return float((-2 * rates.real / np.abs(rates) ** 2).min()) if rates.real.max() < 0 else math.inf


def _warn_of_bias(exits: Exits, step: float, coarseness: float) -> None:
    """Say where steps are so long that the mean, which holds the noise exponentially, is off by more than ten per cent."""
    if coarseness == 0 or not math.isfinite(exits.mean):
        return
    longest = step / coarseness
    height = max(math.log(exits.mean / longest), 1.0)
    if coarseness * height > 0.1:
        warnings.warn(
            f"Steps of {step:g} may shorten the mean exit time by {-math.expm1(-coarseness * height):.0%}: take "
            f"{0.02 * longest / height:.1g}, or use split_exits, whose steps are of second order, or mean_exit_time.",
            RuntimeWarning,
            stacklevel=3,
        )


def check_cost(problem: Tables, region, noise: float, paths: int, step: float, budget: float) -> None:
    """Refuse a simulation that ``exp(barrier / noise)`` says is hopeless; silent where there is no quasi-potential.

    Raises:
        InputError: with the estimate, and what to use instead.
    """
    if not isinstance(problem, Solution):
        return
    try:
        barrier = problem.barrier(region, error=False).value
    except InputError:
        return
    logarithm = barrier / noise
    if logarithm + math.log(paths / step) > math.log(budget):
        raise InputError(
            f"The barrier {barrier:.4g} at noise {noise:g} makes a mean exit time of the order e^{logarithm:.0f}: {paths} "
            f"paths would take some 10^{(logarithm + math.log(paths / step)) / math.log(10):.0f} steps and {budget:.0e} are "
            "allowed; use split_exits, mean_exit_time, or more noise."
        )
