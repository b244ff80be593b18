"""Q8: three ways to the same escape path."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from claimkit import figures
from claimkit.claims import Claim, Estimate, Values, Verdict
from claimkit.experiment import Experiment, Job, Settings
from quasipotential import plotting, systems
from quasipotential.paths.action import minimum_action_path
from quasipotential.paths.characteristics import Characteristics
from quasipotential.paths.relax import geometric_action
from quasipotential.plane.solver import solve


@dataclass(frozen=True)
class Escapes(Settings):
    """Mesh of the solver."""

    mesh: int = 513


def measure(s: Escapes, job: Job) -> Values:
    """Maier and Stein's system, whose path leaves the axis; and one with varying noise."""
    system = systems.maier_stein(10.0)
    solution = solve(system.drift, system.attractors[0], system.domain, s.mesh, stop="never")
    saddle = np.zeros(2)
    path = solution.path_to(saddle)
    begin = time.perf_counter()
    relaxed = minimum_action_path(
        system.drift, np.array([[-1.0, 0.0], [-0.7, 0.2], [-0.4, 0.25], [-0.1, 0.1], [0.0, 0.0]]), images=100
    )
    seconds = time.perf_counter() - begin
    inner = np.array([-0.6, 0.15])
    shot = Characteristics(system.drift, system.attractors[0]).shoot(inner)
    wells = systems.two_wells()
    varying = solve(
        wells.drift,
        wells.attractors[0],
        ((-1.8, 0.4), (-1.2, 1.2)),
        s.mesh // 2 + 1,
        diffusion=wells.diffusion,
        stop="never",
    )
    other = minimum_action_path(
        wells.drift, np.array([[-1.0, 0.0], [-0.5, 0.1], [-0.2, 0.1], [0.0, 0.0]]), diffusion=wells.diffusion
    )
    return {
        "maier_stein": {
            "solver": float(solution(saddle)),
            "path": geometric_action(path, system.drift),
            "gmam": relaxed.action,
            "gmam_seconds": seconds,
            "iterations": relaxed.iterations,
        },
        "varying_noise": {
            "solver": float(varying((0.0, 0.0))),
            "path": geometric_action(varying.path_to((0.0, 0.0)), wells.drift, wells.diffusion),
            "gmam": other.action,
        },
        "characteristic": {"value": shot.value, "solver": float(solution(inner)), "miss": shot.miss},
        "curves": {"path": path[:: max(1, len(path) // 150)].tolist(), "gmam": relaxed.points.tolist()},
    }


def judge(values: Sequence[Values]) -> Verdict:
    """All within 1e-3 of the solver's value, relatively."""
    v = values[0]
    off = {k: max(abs(v[k][m] / v[k]["solver"] - 1) for m in ("path", "gmam")) for k in ("maier_stein", "varying_noise")}
    shot = abs(v["characteristic"]["value"] / v["characteristic"]["solver"] - 1)
    worst = max(*off.values(), shot)
    reason = (
        f"U at the saddle is {v['maier_stein']['solver']:.6f}, the action of the descended path "
        f"{v['maier_stein']['path']:.6f} and of gMAM "
        f"{v['maier_stein']['gmam']:.6f}; with varying noise they agree to {off['varying_noise']:.0e}, and the shot "
        f"characteristic to {shot:.0e}."
    )
    return Verdict(
        "reproduced" if worst <= 1e-3 else "not reproduced", reason, Estimate("largest relative difference", worst)
    )


def draw(values: Sequence[Values], path: Path) -> None:
    """Both paths over the quasi-potential."""
    system = systems.maier_stein(10.0)
    solution = solve(system.drift, system.attractors[0], system.domain, 257, stop="never")
    canvas, axes = figures.figure()
    plotting.contours(axes, solution, np.where(solution.values < 0.6, solution.values, np.nan))
    curves = values[0]["curves"]
    axes.plot(*np.array(curves["path"]).T, color=plotting.ACCENT, lw=3, label="descent of the solved U")
    axes.plot(
        *np.array(curves["gmam"]).T,
        "--",
        color=plotting.SECOND,
        lw=2,
        label="gMAM, 100 points (the mirror image costs the same)",
    )
    axes.plot(0, 0, "X", color=plotting.ACCENT, mec="white", ms=8)
    axes.set_title("Maier and Stein, beta = 10: the escape leaves the axis", fontsize=10)
    axes.legend(fontsize=8, loc="lower left")
    figures.save(canvas, path)


EXPERIMENTS = [
    Experiment(
        Claim(
            id="Q8",
            title="Escape paths",
            paper="1901.06054",
            where="derived",
            statement="The most likely escape path has the action that the quasi-potential says, found in three "
            "independent ways.",
            criterion="At the saddle of Maier and Stein's system (beta = 10) and of the two wells with varying "
            "noise, the action of the descended "
            "path and of gMAM, and at an inner point the characteristic, are within 1e-3 of the solver's value.",
            tolerance="1e-3 is the goal set for gMAM with 100 points; the solver's own error is smaller.",
        ),
        {"smoke": Escapes(257, seeds=1), "small": Escapes(), "full": Escapes(1025, seeds=1)},
        measure,
        judge,
        draw,
    )
]
