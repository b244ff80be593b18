"""Q6: Freidlin and Wentzell's in-trees against brute force and against the stationary vector."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from claimkit.claims import Claim, Estimate, Values, Verdict
from claimkit.experiment import Experiment, Job, Settings
from quasipotential.wells.trees import cycle_hierarchy, log_stationary, tree_levels, tree_levels_brute


@dataclass(frozen=True)
class Graphs(Settings):
    """Random cost matrices of each size, and the noise of the chain."""

    count: int = 20
    largest: int = 6
    noise: float = 0.02


def measure(s: Graphs, job: Job) -> Values:
    """Differences over all random graphs."""
    rng = np.random.default_rng(job.seed)
    brute, chain, wrong, cycles = 0.0, 0.0, 0, 0.0
    for wells in range(2, s.largest + 1):
        for _ in range(s.count):
            costs = rng.uniform(0.1, 3.0, (wells, wells))
            np.fill_diagonal(costs, 0.0)
            levels = tree_levels(costs)
            brute = max(brute, float(np.abs(levels - tree_levels_brute(costs)).max()))
            logs = log_stationary(costs, s.noise)
            chain = max(chain, float(np.abs(s.noise * logs + levels - levels.min()).max() / (s.noise * np.log(wells))))
            gap = np.sort(levels)[1] - levels.min()
            wrong += int(gap > 5 * s.noise * np.log(wells) and np.argmax(logs) != np.argmin(levels))
            cycles = max(cycles, float(len(cycle_hierarchy(costs)) - (2 * wells - 1)))
    return {"brute_force": brute, "chain_in_eps_log_l": chain, "wrong_well": wrong, "cycles_too_many": cycles}


def judge(values: Sequence[Values]) -> Verdict:
    """Equal to brute force; the chain within 5 eps log l; the same well."""
    brute, chain = max(v["brute_force"] for v in values), max(v["chain_in_eps_log_l"] for v in values)
    wrong = sum(v["wrong_well"] for v in values)
    good = brute <= 1e-12 and chain <= 5 and wrong == 0
    reason = (
        f"Arborescences and brute force differ by {brute:.0e}; eps log of the stationary vector is within "
        f"{chain:.2f} eps log l of W, "
        f"with {wrong} wrong wells."
    )
    return Verdict("reproduced" if good else "not reproduced", reason, Estimate("distance from W in eps log l", chain))


EXPERIMENTS = [
    Experiment(
        Claim(
            id="Q6",
            title="In-trees give the stationary masses",
            paper="1901.06054",
            where="derived",
            statement="With several wells the stationary mass of each is exp(-W / eps) with W the least cost of an "
            "in-tree of barriers.",
            criterion="For random costs between 2 to 6 wells: minimum arborescences equal brute force to 1e-12, "
            "eps log of the stationary vector "
            "at eps = 0.02 is within 5 eps log l of W, and the favoured well is the same.",
            tolerance="The sum over in-trees has at most l^(l-2) terms, so the distance is below l eps log l.",
        ),
        {"smoke": Graphs(2, seeds=1), "small": Graphs(seeds=3), "full": Graphs(seeds=20)},
        measure,
        judge,
    )
]
