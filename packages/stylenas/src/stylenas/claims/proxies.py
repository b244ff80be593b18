"""N4, N5: what stands for what: operators and MACs for latency, shared weights for training from scratch."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from claimkit import figures
from claimkit.claims import Claim, Estimate, Values, Verdict
from claimkit.experiment import Experiment, Job, Settings
from stylenas import plots
from stylenas.claims.common import published, style_space
from stylenas.style.spaces import scratch

RESAMPLES = 2_000
FAIR = 0.5
"""Rank correlation below which shared weights say too little to choose by."""


@dataclass(frozen=True)
class Sample(Settings):
    """Random networks with a share of operators that is itself random, as a search passes through."""

    threads: int | None = 1
    timed: bool = True
    networks: int = 40
    size: int = 64
    pairs: int = 2
    steps: int = 150
    rounds: int = 5
    scratch_steps: int = 60


def genomes(s: Sample, seed: int) -> list[str]:
    """Different canonical genomes."""
    rng, space, found = np.random.default_rng(seed), style_space(s.size, s.pairs, s.steps), dict[str, None]()
    while len(found) < s.networks:
        bits = rng.random(len(space.operators)) < rng.uniform(0.1, 0.9)
        found[space.canonical("".join("01"[int(b)] for b in bits))] = None
    return list(found)


def costs(s: Sample, job: Job) -> Values:
    """Operators, MACs and latency of each; the networks are timed in turn, and the median of the rounds counts."""
    space = style_space(s.size, s.pairs, s.steps)
    chosen = genomes(s, job.seed)
    networks = [space.network(g) for g in chosen]
    judge = space.studio.judge
    rounds = [[judge.latency(n, 1) for n in networks] for _ in range(s.rounds)]
    terms = [judge.terms(n) for n in networks]
    latency = [statistics.median(r[i] for r in rounds) for i in range(len(networks))]
    return {"genome": chosen, "latency": latency} | {k: [t[k] for t in terms] for k in ("operators", "macs")}


def both_trainings(s: Sample, job: Job) -> Values:
    """Quality with shared weights and from scratch, the published networks included."""
    shared = style_space(s.size, s.pairs, s.steps)
    alone = scratch(shared, s.scratch_steps)
    chosen = list(dict.fromkeys([*published().values(), *genomes(s, job.seed)]))
    return {
        "genome": chosen,
        "shared": [shared.evaluate(g)["quality"] for g in chosen],
        "scratch": [alone.evaluate(g)["quality"] for g in chosen],
    }


def rank_correlation(x: Sequence[float], y: Sequence[float], name: str) -> Estimate:
    """Spearman's, with the percentile interval of the bootstrap over networks."""
    a, b = np.asarray(x), np.asarray(y)
    low, high = np.quantile(_resampled(a, b), (0.025, 0.975))
    return Estimate(name, _spearman(a, b), float(low), float(high))


def _spearman(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    found: Any = spearmanr(a, b)
    return float(found.statistic)


def _resampled(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    rng = np.random.default_rng(0)
    rows = rng.integers(len(a), size=(RESAMPLES, len(a)))
    return np.array([_spearman(a[r], b[r]) for r in rows])


def judge_costs(values: Sequence[Values]) -> Verdict:
    """Whether MACs follow latency more closely than the operator count does."""
    v = values[0]
    latency, operators, macs = (np.asarray(v[k]) for k in ("latency", "operators", "macs"))
    gap = _resampled(macs, latency) - _resampled(operators, latency)
    low, high = np.quantile(gap, (0.025, 0.975))
    by_count, by_macs = (rank_correlation(x, latency.tolist(), "") for x in (operators.tolist(), macs.tolist()))
    effect = Estimate("rank correlation with latency, MACs - operators", by_macs.value - by_count.value, low, high)
    reason = (
        f"Rank correlation with latency: operators {by_count.value:.2f}, MACs {by_macs.value:.2f} ({len(latency)} networks)."
    )
    return Verdict("reproduced" if low > 0 else "not reproduced", reason, effect)


def judge_trainings(values: Sequence[Values]) -> Verdict:
    """Rank correlation and its interval."""
    v = values[0]
    effect = rank_correlation(v["shared"], v["scratch"], "rank correlation")
    if len(v["shared"]) < 20:
        return Verdict("not run", f"{len(v['shared'])} networks are fewer than the 20 of the criterion.")
    fine = effect.value >= FAIR and (effect.low or 0) > 0
    kind = "reproduced" if fine else "direction reproduced" if (effect.low or 0) > 0 else "not reproduced"
    return Verdict(kind, f"{len(v['shared'])} networks, with shared weights and from scratch.", effect)


def draw_costs(values: Sequence[Values], path: Path) -> None:
    """Latency against both."""
    v = values[0]
    canvas, axes = figures.figure(1, 2)
    ms = [1e3 * t for t in v["latency"]]
    for axis, key, label in zip(
        axes, ("operators", "macs"), ("share of operators", "MACs, share of PhotoNet's"), strict=True
    ):
        r = rank_correlation(v[key], v["latency"], "").value
        plots.relation(axis, v[key], ms, (label, "latency in ms"), f"rank correlation {r:.2f}")
    figures.save(canvas, path)


def draw_trainings(values: Sequence[Values], path: Path) -> None:
    """One against the other, the published networks marked."""
    v = values[0]
    canvas, axis = figures.figure()
    at = {n: v["genome"].index(g) for n, g in published().items()}
    marked = {n: (v["shared"][i], v["scratch"][i]) for n, i in at.items()}
    names = ("quality with shared weights", "quality from scratch")
    r = rank_correlation(v["shared"], v["scratch"], "").value
    plots.relation(axis, v["shared"], v["scratch"], names, f"rank correlation {r:.2f}", marked)
    figures.save(canvas, path)


EXPERIMENTS = [
    Experiment(
        Claim(
            id="N4",
            title="Operators are a poor proxy of latency",
            paper="1906.02470",
            where="derived: the published objective counts operators as the cost",
            statement="The number of operators, the paper's cost, follows measured latency less closely than MACs do.",
            criterion="The 95 % bootstrap interval of the difference of the two rank correlations with latency is above "
            "zero.",
            tolerance="Bootstrap over networks; each latency is a median of rounds in turn.",
        ),
        {
            "smoke": Sample(networks=6, size=32, pairs=1, steps=2, rounds=1),
            "small": Sample(steps=1, rounds=7),
            "full": Sample(networks=200, size=256, steps=1, rounds=7),
        },
        costs,
        judge_costs,
        draw_costs,
    ),
    Experiment(
        Claim(
            id="N5",
            title="Shared weights rank as training from scratch",
            paper="1912.02398",
            where="derived: the paper trains each candidate from scratch; a supernet is the cheaper way",
            statement="Networks that take their weights from one supernet are ranked as networks trained each from scratch.",
            criterion="Spearman's rank correlation of quality at least 0.5 on at least 20 networks, its 95 % bootstrap "
            "interval above zero; with the interval above zero alone, the direction.",
            tolerance="0.5 is what a search can still use; the interval is the bootstrap's over networks.",
        ),
        {
            "smoke": Sample(timed=False, networks=4, size=32, pairs=1, steps=1, scratch_steps=1),
            "small": Sample(timed=False, networks=20),
            "full": Sample(timed=False, networks=60, size=128, pairs=8, steps=1500, scratch_steps=1000),
        },
        both_trainings,
        judge_trainings,
        draw_trainings,
    ),
]
