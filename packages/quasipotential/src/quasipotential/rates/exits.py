"""Exit times and occupancies of ``dX = b dt + sqrt(eps) sigma dW`` by simulation: Euler-Maruyama, one path a loop.

Drift, noise and region are tables on the half-grid, read bilinearly, so that one compiled kernel serves every system. Every
path has its own generator (xoshiro256++ seeded by splitmix64 from the seed and the number of the path): results do not
depend on the number of threads.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from claimkit.errors import InputError

from ..plane.mesh import Mesh, make_mesh
from ..plane.noise import tabulate_diffusion
from ..plane.solution import Solution
from ..progress import progress_bar
from .walk import exit_paths, occupy_paths

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
        """Mean exit time; with censored paths the estimate for exponential times, total time over number of exits."""
        return float(self.times.sum() / max(len(self.times) - self.censored, 1))

    @property
    def standard_error(self) -> float:
        """Standard error of the mean."""
        return float(self.times.std(ddof=1) / math.sqrt(len(self.times)))


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
    if noise <= 0 or step <= 0 or paths < 1:
        raise InputError(f"noise, step and paths must be positive; they are {noise}, {step} and {paths}.")
    point = np.asarray(start, float)
    if not problem.mesh.contains(point) or not float(np.asarray(region(point[None])).reshape(-1)[0]) < 0:
        raise InputError(f"The start ({point[0]:.6g}, {point[1]:.6g}) lies outside of the region or the mesh; start inside.")
    if longest is None:
        check_cost(problem, region, noise, paths, step, budget)
    limit = int(min(10 * budget / paths, budget, 1e7 / step) if longest is None else longest / step)
    b, root, scale = scaled(problem)
    signed = np.asarray(region(half_points(problem.mesh)), float)
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
    return Exits(
        np.abs(counts) * step, places * scale + problem.mesh.corner, int((counts < 0).sum()), int(np.abs(counts).sum())
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


def simulate_occupancy(
    problem: Tables,
    starts: np.ndarray,
    label: Callable[[np.ndarray], np.ndarray],
    noise: float,
    *,
    duration: float,
    burn: float = 0.0,
    step: float = 0.005,
    every: int = 10,
    seed: int = 0,
) -> np.ndarray:
    """Share of the time that each path spends in each labelled set, ``(paths, labels)``.

    Args:
        problem: a ``Solution`` or the result of ``tabulate``; paths are held at the edge of its mesh.
        starts: first point of each path ``(n, 2)``.
        label: function of points ``(..., 2)`` returning integers from 0.
        noise: eps.
        duration: time observed, after ``burn``.
        burn: time before that.
        step: time step.
        every: steps between two looks.
        seed: any integer.
    """
    b, root, scale = scaled(problem)
    labels = np.asarray(label(half_points(problem.mesh)), np.int64)
    here = (np.asarray(starts, float) - problem.mesh.corner) / scale
    counts = np.zeros((len(here), int(labels.max()) + 1), np.int64)
    occupy_paths(
        here, b, root, labels, step, math.sqrt(noise * step), int(burn / step), int(duration / step), every, seed, counts
    )
    return counts / counts.sum(1, keepdims=True)


def exit_slope(noises: np.ndarray, times: np.ndarray, prefactor_exponent: float = 0.0) -> float:
    """Least-squares slope of ``log(E tau / eps^(m/2))`` against ``1 / eps``: an estimate of the barrier.

    Args:
        noises: eps ``(n,)``.
        times: mean exit times ``(n,)``.
        prefactor_exponent: m; 1 for an isolated lowest point of the boundary, plus the dimension of the set of
            lowest points.
    """
    noises = np.asarray(noises, float)
    logs = np.log(times) - 0.5 * prefactor_exponent * np.log(noises)
    return float(np.polyfit(1 / noises, logs, 1)[0])
