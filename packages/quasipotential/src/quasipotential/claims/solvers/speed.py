"""Q9: seconds to a given error."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from claimkit.claims import Claim, Estimate, Values, Verdict
from claimkit.experiment import Experiment, Job, Settings
from quasipotential import systems
from quasipotential.claims.solvers.ladder import errors
from quasipotential.plane.solver import solve


@dataclass(frozen=True)
class Speed(Settings):
    """Meshes for OLIM with their K, meshes for jets, and how often each is timed."""

    olim: tuple[tuple[int, int], ...] = ((1025, 14),)
    jets: tuple[int, ...] = (209,)
    cubic: tuple[int, ...] = (129, 513)
    repeats: int = 7


def measure(s: Speed, job: Job) -> Values:
    """Median seconds of the march and the error, warm."""
    well, cubic = systems.rotating_well(), systems.cubic()

    def timed(system, n, **options):
        rows = [
            errors(solve(system.drift, system.attractors[0], system.domain, n, **options), system.exact)
            for _ in range(s.repeats)
        ]
        return {**rows[0], "seconds": float(np.median([r["seconds"] for r in rows]))}

    solve(well.drift, well.attractors[0], well.domain, 65, method="olim")
    solve(well.drift, well.attractors[0], well.domain, 65)
    return {
        "olim": {str(n): timed(well, n, method="olim", radius=k, start="linear") for n, k in s.olim},
        "jet": {str(n): timed(well, n) for n in s.jets},
        "cubic": {str(n): timed(cubic, n) for n in s.cubic},
    }


def judge(values: Sequence[Values]) -> Verdict:
    """The five bars."""
    v = values[0]
    if "1025" not in v["olim"]:
        return Verdict("not run", "The smoke preset does not time the meshes of the claim.")
    one, jet = v["olim"]["1025"], v["jet"]["209"]
    coarse, fine = v["cubic"]["129"], v["cubic"]["513"]
    met = {
        "OLIM, 1025": one["error"] <= 3.5e-4 and one["seconds"] <= 1.5,
        "jets, 209": jet["error"] <= 3.5e-4 and jet["seconds"] <= 0.2,
        "cubic, 129": coarse["error"] <= 1.7e-5 and coarse["seconds"] <= 0.1,
        "cubic, 513": fine["error"] <= 1e-6 and fine["seconds"] <= 1.5,
    }
    if "4097" in v["olim"]:
        met["OLIM, 4097"] = v["olim"]["4097"]["seconds"] <= 60
    missed = [k for k, ok in met.items() if not ok]
    reason = (
        f"Field d: OLIM at 1025 {one['error']:.2e} in {one['seconds']:.2f} s, jets at 209 {jet['error']:.1e} in "
        f"{jet['seconds']:.2f} s; cubic: jets at 129 "
        f"{coarse['error']:.1e} in {coarse['seconds']:.3f} s, at 513 {fine['error']:.1e} in {fine['seconds']:.2f} s"
        + (f"; OLIM at 4097 in {v['olim']['4097']['seconds']:.0f} s" if "4097" in v["olim"] else "")
        + (f"; missed: {', '.join(missed)}." if missed else ".")
    )
    return Verdict(
        "reproduced" if not missed else "not reproduced", reason, Estimate("OLIM at 1025", one["seconds"], unit="s")
    )


EXPERIMENTS = [
    Experiment(
        Claim(
            id="Q9",
            title="Seconds to an error",
            paper="1901.06054",
            where="derived",
            statement="The solvers reach the published errors in less time than the published codes.",
            criterion="Field d: OLIM at 1025 has an error of at most 3.5e-4 in 1.5 s, jets have the same in 0.2 s on the "
            "mesh they need (209); the cubic field: jets reach 1.7e-5 at 129 in 0.1 s and 1e-6 at 513 in 1.5 s; OLIM at "
            "4097 takes at most 60 s where it is run (preset full). Two cores, warm.",
            tolerance="The bars are set at about two thirds of what the published C code takes on such a machine, "
            "and a quarter of what the C++ code takes.",
            reported="olim2D: 3.28 s at 1025 and 151 s at 4097 on its authors' machine",
        ),
        {
            "smoke": Speed(((257, 9),), (129,), (65,), 1, seeds=1),
            "small": Speed(),
            "full": Speed(((1025, 14), (4097, 24)), (209,), (129, 513), 3, seeds=1),
        },
        measure,
        judge,
    )
]
