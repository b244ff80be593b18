"""Path-steps a second and core of the simulation."""

from pathlib import Path

import numba
import numpy as np

import quasipotential as qp
from claimkit import bench
from quasipotential import systems

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"


def main():
    numba.set_num_threads(1)
    a = np.diag([2.0, 0.5])
    constant = qp.tabulate(lambda x: -x @ a, ((-1.3, 1.3), (-2.4, 2.4)), 257)
    system = systems.two_wells()
    varying = qp.tabulate(system.drift, system.domain, 257, system.diffusion)
    steps = {}

    def exits(name, problem, start, region, noise):
        def run():
            steps[name] = qp.simulate_exits(problem, start, region, noise, paths=400, seed=1).steps

        return run

    candidates = {
        "constant D": exits("constant D", constant, (0, 0), lambda x: 0.5 * np.einsum("...i,ij,...j", x, a, x) - 1, 0.25),
        "varying D": exits("varying D", varying, (-1, 0), lambda x: x[..., 0], 0.2),
    }
    result = bench.alternate("400 exits on one core", candidates, rounds=5, warmup=1)
    bench.save(result, RESULTS / "paths.json")
    for name, timing in result.timings.items():
        print(f"{name}: {steps[name] / timing.seconds[0] / 1e6:.1f} million path-steps a second and core")


if __name__ == "__main__":
    main()
