"""Q9b: what Q9 asks in seconds of one machine, as ratios to OLIM's march in the same process, in CPU seconds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from claimkit import bench
from claimkit.claims import Claim, Values, Verdict
from claimkit.experiment import Experiment, Job, Settings
from claimkit.statistics import power, ratio_interval
from quasipotential import systems
from quasipotential.claims.solvers.ladder import errors
from quasipotential.plane.solver import solve

BARS = {"jets": (0.2 / 1.5, 3.5e-4), "cubic, coarse": (0.1 / 1.5, 1.7e-5), "cubic, fine": (1.0, 1e-6)}
"""Most of OLIM's time, and most error: Q9's bars over its bar of 1.5 s for OLIM."""
OLIM_ERROR = 3.5e-4


@dataclass(frozen=True)
class Turns(Settings):
    """Meshes of OLIM with its K, of jets on field d, of jets on the cubic field; rounds that count."""

    olim: tuple[int, int] = (1025, 14)
    jets: int = 209
    cubic: tuple[int, int] = (129, 513)
    rounds: int = 9


def measure(s: Turns, job: Job) -> Values:
    """CPU seconds of each solve, in turn, and the error of each."""
    well, cubic = systems.rotating_well(), systems.cubic()
    solves = {
        "OLIM": (well, s.olim[0], {"method": "olim", "radius": s.olim[1], "start": "linear"}),
        "jets": (well, s.jets, {}),
        "cubic, coarse": (cubic, s.cubic[0], {}),
        "cubic, fine": (cubic, s.cubic[1], {}),
    }

    def run(name: str):
        system, mesh, options = solves[name]
        return solve(system.drift, system.attractors[0], system.domain, mesh, **options)

    found = {name: float(errors(run(name), solves[name][0].exact)["error"]) for name in solves}
    seconds = bench.turns({name: (lambda name=name: run(name)) for name in solves}, s.rounds, 1, cpu=True, title="Q9b")
    return {"error": found, "seconds": seconds, "meshes": [s.olim[0], s.jets, *s.cubic]}


def judge(values: Sequence[Values]) -> Verdict:
    """Each solver's interval against its bar, at the error that is asked."""
    v = values[0]
    if v["meshes"] != [1025, 209, 129, 513]:
        return Verdict("not run", "The smoke preset does not time the meshes of the claim.")
    ratios = {
        name: ratio_interval(np.divide(v["seconds"][name], v["seconds"]["OLIM"]), f"{name} / OLIM at 1025") for name in BARS
    }
    exact = v["error"]["OLIM"] <= OLIM_ERROR and all(v["error"][name] <= most for name, (_, most) in BARS.items())
    ends = {name: e.high if e.high is not None else math.inf for name, e in ratios.items()}
    missed = [name for name, (bar, _) in BARS.items() if ends[name] > bar]
    told = "; ".join(f"{e} (bar {BARS[name][0]:.3g}), error {v['error'][name]:.1e}" for name, e in ratios.items())
    reason = f"CPU seconds over OLIM's: {told}; OLIM's error {v['error']['OLIM']:.1e}."
    if exact and not missed:
        return Verdict("reproduced", reason, ratios["jets"])
    faster = exact and ends["jets"] < 1 and ends["cubic, coarse"] < 1
    return Verdict("direction reproduced" if faster else "not reproduced", reason, ratios["jets"])


EXPERIMENTS = [
    Experiment(
        Claim(
            id="Q9b",
            title="Time to an error, beside OLIM",
            paper="1901.06054",
            where="derived",
            statement="The jets reach OLIM's error in a fraction of its time.",
            criterion="CPU seconds in turn in one process, geometric mean of the ratios of a round with its 95 % interval. "
            "Field d, OLIM at 1025 with an error of at most 3.5e-4: the jets at 209 have such an error, and the interval of "
            "their ratio lies below 0.133. Cubic field: the jets at 129 have an error of at most 1.7e-5 and a ratio below "
            "0.0667, at 513 one of at most 1e-6 and a ratio below 1. Direction: the errors, and both first ratios below 1.",
            tolerance="Q9's bars in seconds, divided by its bar for OLIM; how fast OLIM itself is beside published codes no "
            "ratio within this package can say.",
            power=power(
                asks=math.log(1.5),
                spread=0.2,
                n={"small": 9},
                pilot="the larger quartile distance of solvers.json of the benchmarks, 5 rounds: a factor of 1.5 of a bar",
                unit="in the logarithm of a ratio",
            ),
        ),
        {"smoke": Turns((257, 9), 129, (65, 129), 3, timed=True), "small": Turns(timed=True)},
        measure,
        judge,
    )
]
