"""Seconds a solve takes, seconds per accepted point, and the share of each stage."""

import time
from pathlib import Path

import numpy as np

import quasipotential as qp
from paperkit import bench
from quasipotential import systems
from quasipotential.mesh import Mesh
from quasipotential.start import find_start

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"


def solver(system, n, **options):
    return lambda: qp.solve(system.drift, system.attractors[0], system.domain, n, **options)


def seconds(work):
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def stages(system, n, **options):
    """Print where the time of one solve goes: tables, start, march, the rest; and the march per accepted point."""
    one = min((solver(system, n, **options)() for _ in range(3)), key=lambda s: s.settings["total_seconds"]).settings
    grid = Mesh(system.domain, (n, n))
    b = grid.tabulate(system.drift, 2, "drift")
    tables = min(seconds(lambda: grid.tabulate(system.drift, 2, "drift")) for _ in range(3))
    start = min(seconds(lambda: find_start(grid, b, np.eye(2), system.attractors[0], "taylor")) for _ in range(3))
    total, march, accepted = one["total_seconds"], one["march_seconds"], one["accepted"]
    print(f"{system.name}, {one['method']}, {n}: total {total:.3f} s")
    print(f"  tables {tables / total:.0%}, start {start / total:.0%}, march {march / total:.0%}")
    print(f"  {1e6 * march / accepted:.2f} us per accepted point (floor about 1)")
    print(
        f"  {one['single_updates'] / accepted:.0f} single and {one['triangle_updates'] / accepted:.1f} triangle updates each"
    )


def main():
    well, cubic = systems.rotating_well(), systems.cubic()
    candidates = {
        "OLIM, 513": solver(well, 513, method="olim", radius=12, start="linear"),
        "OLIM, 1025": solver(well, 1025, method="olim", radius=14, start="linear"),
        "jets, 257": solver(well, 257),
        "jets, 513": solver(well, 513),
        "cubic, jets, 129": solver(cubic, 129),
        "cubic, jets, 513": solver(cubic, 513),
    }
    bench.save(bench.alternate("one solve", candidates, rounds=5, warmup=1), RESULTS / "solvers.json")
    for system, n, options in ((well, 1025, {"method": "olim", "radius": 14}), (well, 257, {}), (cubic, 513, {})):
        stages(system, n, **options)


if __name__ == "__main__":
    main()
