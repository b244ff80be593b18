"""The verb ``exit``: mean exit times, simulated where that is cheap, split where it is not, beside the exact equation."""

import math
import sys
from typing import TYPE_CHECKING

import numpy as np

from claimkit.errors import InputError

from .plane.solution import Solution
from .plane.solver import solve
from .rates.exits import simulate_exits
from .rates.occupancy import exit_slope
from .rates.pde import mean_exit_time
from .rates.splitting import split_exits
from .systems import load_system
from .verbs import attractor_of

if TYPE_CHECKING:
    from .cli import ExitOptions

_CHEAP = 2e8
"""Path-steps that plain simulation may take before splitting is used instead: some ten seconds a core."""


def _region(solution, level, radius):
    """A region around the attractor and its barrier."""
    nearest = solution.local[0].nearest
    if level is None:
        region = lambda p: np.linalg.norm(p - nearest(p), axis=-1) - radius  # noqa: E731
        lowest = solution.barrier(region)
        return region, lowest.value, lowest.error
    top = float(np.nanmax(solution.values))
    if not 0 < level < top:
        raise InputError(f"The level must lie between 0 and the largest value reached, {top:.4g}; it is {level}.")
    filled = np.where(np.isnan(solution.values), top, solution.values)
    table = Solution(
        solution.mesh,
        filled,
        np.nan_to_num(solution.gradient),
        solution.attractors,
        solution.offsets,
        solution.local,
        solution.drift,
        solution.diffusion,
        solution.settings,
    )
    return lambda p: table(p) - level, level, 0.0


def run_exit(name: str, options: "ExitOptions") -> None:
    """Mean exit times from a disc or from a sublevel set of U, against the barrier."""
    system = load_system(name, plane=True)
    start = attractor_of(system, options.attractor)
    solution = solve(
        system.drift, start, system.domain, options.mesh, diffusion=system.diffusion, periodic=system.periodic, progress=True
    )
    center = solution.attractors[0]
    region, barrier, error = _region(solution, options.level, options.radius)
    print(f"barrier {barrier:.6g}" + (f" +- {error:.1g}" if error else ""))
    ways = []
    for noise in options.noise:
        if noise <= 0:
            raise InputError(f"Noise levels must be positive; one is {noise}.")
        logarithm = barrier / noise + math.log(options.paths / options.step)
        split = options.split == "always" or (options.split == "auto" and logarithm > math.log(_CHEAP))
        ways.append(split)
        print(
            f"noise {noise:g}: times of the order e^{barrier / noise:.3g}; {options.paths} paths would take about "
            f"10^{logarithm / math.log(10):.1f} steps: " + ("splitting" if split else "simulated")
        )
    print(f"{'noise':>9} {'mean':>12} {'s.e.':>10} {'equation':>12} {'noise*log':>10}")
    means = []
    for noise, split in zip(options.noise, ways, strict=True):
        if split:
            found = split_exits(solution, center, region, noise, accuracy=options.accuracy, seed=options.seed, progress=True)
            mean, spread = found.mean, found.mean * found.relative_error
        else:
            exits = simulate_exits(
                solution, center, region, noise, paths=options.paths, step=options.step, seed=options.seed, progress=True
            )
            mean, spread = exits.mean, exits.standard_error
        try:
            exact = f"{mean_exit_time(solution, region, noise, center):12.5g}"
        except InputError as problem:
            exact = f"{'-':>12}"
            print(f"(no oracle at noise {noise}: {problem})", file=sys.stderr)
        means.append(mean)
        print(f"{noise:9.4g} {mean:12.5g} {spread:10.3g} {exact} {noise * np.log(mean):10.4g}")
    if len(means) > 1:
        slope = exit_slope(np.array(options.noise), np.array(means), 1.0)
        print(f"slope of log(mean / sqrt(noise)) against 1/noise: {slope:.4g} (barrier {barrier:.4g})")
