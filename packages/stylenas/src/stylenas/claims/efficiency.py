"""N1, N2: at equal budget aging evolution finds better networks than random search."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from claimkit import figures
from claimkit.claims import Claim, Values, Verdict
from claimkit.experiment import Experiment, Job, Settings
from claimkit.statistics import paired_difference
from stylenas import plots
from stylenas.claims.common import style_space
from stylenas.objective import PUBLISHED, Objective
from stylenas.search.definition import SamplerName
from stylenas.search.race import race
from stylenas.table import Table

WINS = 0.8
"""Share of paired seeds that evolution must win: 8 of 10."""


@dataclass(frozen=True)
class Tables(Settings):
    """Synthetic tables, a different one for each seed."""

    seeds: int = 10
    budget: int = 200
    samplers: tuple[SamplerName, ...] = ("evolution", "random")


@dataclass(frozen=True)
class Networks(Settings):
    """Networks of the published space with shared weights, judged for real."""

    seeds: int = 10
    threads: int | None = 1
    budget: int = 120
    samplers: tuple[SamplerName, ...] = ("evolution", "random")
    size: int = 64
    pairs: int = 2
    steps: int = 150
    population: int = 50


def on_tables(s: Tables, job: Job) -> Values:
    """Best objective after each evaluation."""
    courses = race(Table(job.seed), Objective.parse("quality + 0.1*operators"), s.budget, s.samplers, job.seed)
    return {"best": {n: c.best for n, c in courses.items()}, "copies": {n: c.copies for n, c in courses.items()}}


def on_networks(s: Networks, job: Job) -> Values:
    """The same for real evaluations; all seeds judge with the same supernet."""
    space = style_space(s.size, s.pairs, s.steps)
    courses = race(space, Objective.parse(PUBLISHED), s.budget, s.samplers, job.seed)
    return {"best": {n: c.best for n, c in courses.items()}, "copies": {n: c.copies for n, c in courses.items()}}


def judge(values: Sequence[Values]) -> Verdict:
    """Wins and paired difference."""
    last = {n: np.array([v["best"][n][-1] for v in values]) for n in ("evolution", "random")}
    wins = int((last["evolution"] < last["random"]).sum())
    if len(values) < 10:
        return Verdict("not run", f"{len(values)} seeds are fewer than the ten of the criterion.")
    effect = paired_difference(last["evolution"], last["random"], "evolution - random")
    gain = 1 - last["evolution"].mean() / last["random"].mean()
    fine = wins >= WINS * len(values) and (effect.high or 0) < 0
    reason = (
        f"Evolution wins {wins} of {len(values)} seeds; its best objective is {last['evolution'].mean():.4f}, that of "
        f"random "
        f"search {last['random'].mean():.4f} ({gain:.0%} lower)."
    )
    return Verdict(
        "reproduced" if fine else "direction reproduced" if effect.value < 0 else "not reproduced", reason, effect
    )


def draw(values: Sequence[Values], path: Path) -> None:
    """Best so far, mean over seeds."""
    canvas, axis = figures.figure()
    curves = {n: [v["best"][n] for v in values] for n in values[0]["best"]}
    plots.race(curves, axis, f"{len(values)} searches each, paired by seed")
    figures.save(canvas, path)


CRITERION = "Better than random search in at least 80 % of at least ten paired seeds, and the 95 % interval of the paired \
difference of the best objective below zero; with a lower mean alone, the direction."
EXPERIMENTS = [
    Experiment(
        Claim(
            id="N1",
            title="Evolution beats random search on tables",
            paper="1906.02470",
            where="abstract and section on the search, as the repository has it: evolution compared with random search",
            statement="With 200 evaluations aging evolution (50 alive, tournaments of 10) finds a lower objective than "
            "random search, on synthetic tables shaped like the published log.",
            criterion=CRITERION,
            tolerance="Eight of ten by chance alone has a probability of 5 %; the interval says that wins are not by a "
            "hair.",
        ),
        {
            "smoke": Tables(seeds=2, budget=30),
            "small": Tables(),
            "full": Tables(seeds=100, samplers=("evolution", "nsga2", "random")),
        },
        on_tables,
        judge,
        draw,
    ),
    Experiment(
        Claim(
            id="N2",
            title="Evolution beats random search on networks",
            paper="1906.02470",
            where="abstract and section on the search, as the repository has it: evolution compared with random search",
            statement="The same with real networks: 0.8 L_r + 0.1 L_p + 0.1 operators against PhotoNet's pictures.",
            criterion=CRITERION,
            tolerance="As N1. All seeds judge with one supernet, so that the seeds differ in the search alone.",
        ),
        {
            "smoke": Networks(seeds=2, budget=6, steps=1, size=32, pairs=1),
            "small": Networks(),
            "full": Networks(budget=200, size=96, pairs=6, steps=600),
        },
        on_networks,
        judge,
        draw,
    ),
]
