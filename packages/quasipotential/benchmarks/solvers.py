"""Seconds a solve takes, the share of each stage, and microseconds per accepted point beside the estimated floor."""

import dataclasses
import statistics
from pathlib import Path

import quasipotential as qp
from claimkit import bench
from quasipotential import systems

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"
FLOOR = 1e-6
"""Seconds per point that no label-setting march undercuts by much, estimated: a heap of some twenty cache-missing steps
(0.3 us), sixteen useful single updates (5 ns each) and a few triangle solves (60 ns each)."""


def main():
    well, cubic, seen = systems.rotating_well(), systems.cubic(), {}

    def candidate(name, system, n, **options):
        def run():
            solution = qp.solve(system.drift, system.attractors[0], system.domain, n, **options)
            seen.setdefault(name, []).append(solution.settings)

        return name, run

    candidates = dict(
        [
            candidate("OLIM, 513", well, 513, method="olim", radius=12, start="linear"),
            candidate("OLIM, 1025", well, 1025, method="olim", radius=14, start="linear"),
            candidate("jets, 257", well, 257),
            candidate("jets, 513", well, 513),
            candidate("cubic, jets, 129", cubic, 129),
            candidate("cubic, jets, 513", cubic, 513),
        ]
    )
    rounds, warmup = 5, 1
    result = bench.alternate("one solve", candidates, rounds, warmup)
    bench.save(result, RESULTS / "solvers.json")
    for name, file in (("OLIM, 1025", "stages_olim"), ("cubic, jets, 513", "stages_jets")):
        bench.save(
            dataclasses.replace(result, title=f"stages of {name}", timings=stages(seen[name][warmup:])),
            RESULTS / f"{file}.json",
        )
    timings = {"floor (estimated)": timing([FLOOR] * rounds, [FLOOR] * rounds)}
    for name, settings in seen.items():
        each = [s["march_seconds"] / s["accepted"] for s in settings[warmup:]]
        timings[name] = timing(each, [FLOOR] * rounds)
        s = settings[0]
        single, triangle = s["single_updates"] / s["accepted"], s["triangle_updates"] / s["accepted"]
        print(f"{name}: {single:.0f} single and {triangle:.1f} triangle updates a point, {1e6 * min(each):.2f} us")
    bench.save(dataclasses.replace(result, title="march, per accepted point", timings=timings), RESULTS / "points.json")


def stages(settings):
    """Seconds of each stage, as shares of the whole solve."""
    whole = [s["total_seconds"] for s in settings]
    parts = {
        "the whole solve": whole,
        "tables of drift and diffusion": [s["table_seconds"] for s in settings],
        "start values": [s["start_seconds"] for s in settings],
        "march": [s["march_seconds"] for s in settings],
    }
    parts["arrays in and out"] = [w - sum(rest) for w, *rest in zip(*parts.values(), strict=True)]
    return {name: timing(seconds, whole) for name, seconds in parts.items()}


def timing(seconds, reference):
    """Median and quartiles of seconds, and of their ratio to the reference of the same round."""
    spread = [statistics.quantiles(x, n=4) for x in (seconds, [a / b for a, b in zip(seconds, reference, strict=True)])]
    return bench.Timing(*((middle, low, high) for low, middle, high in spread))


if __name__ == "__main__":
    main()
