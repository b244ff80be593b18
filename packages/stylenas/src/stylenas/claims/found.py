"""N10: the network that the search of N9 found, beside the published ones: quality when trained alike, and seconds."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from claimkit import figures
from claimkit.claims import Claim, Estimate, Values, Verdict, VerdictKind
from claimkit.experiment import Experiment, Job
from claimkit.statistics import paired_difference
from stylenas import plots
from stylenas.claims import speed
from stylenas.style.spaces import StyleSpace, genome_of

FOUND, RIVALS = "stylenas", ("photonas", "best-of-log")
"""Presets of photonet: the best of N9, and the two that the authors' search is known by."""


@dataclass(frozen=True)
class Found(speed.Timing):
    """Training and judging as in the search of N9, another seed of crops and weights each time; then seconds."""

    seeds: int = 5
    judged: int = 64
    """Side of the pictures that are trained and judged on."""
    pairs: int = 6
    steps: int = 100


def measure(s: Found, job: Job) -> Values:
    """0.8 L_r + 0.1 L_p of each after training from scratch, and its median seconds in rounds with the others."""
    space = StyleSpace(training="scratch", size=s.judged, pairs=s.pairs, steps=s.steps, seed=1 + job.seed)
    names = (FOUND, *RIVALS)
    quality = {n: space.evaluate(space.canonical(genome_of(n)))["quality"] for n in names}
    taken = speed.measure(s, job, names)["seconds"]
    seconds = {n: {how: statistics.median(taken[f"{n}: {how}"]) for how in speed.WAYS} for n in names}
    return {"quality": quality, "seconds": seconds, "size": s.size}


def judge(values: Sequence[Values]) -> Verdict:
    """Better than both in quality, and no slower than the slower: above any line through the two."""
    if len(values) < 2:
        return Verdict("not run", "An interval over seeds needs at least two of them.")
    quality = {n: np.array([v["quality"][n] for v in values]) for n in values[0]["quality"]}
    gains = {n: paired_difference(quality[FOUND], quality[n], f"found - {n}, quality") for n in RIVALS}
    seconds = {n: statistics.median(v["seconds"][n][speed.KEPT] for v in values) for n in quality}
    told = ", ".join(f"{n} {quality[n].mean():.4f} in {1e3 * seconds[n]:.0f} ms" for n in quality)
    whole = ", ".join(f"{n} {1e3 * statistics.median(v['seconds'][n]['eager'] for v in values):.0f}" for n in quality)
    reason = (
        f"Quality and time of {values[0]['size']} x {values[0]['size']} pixels, style kept: {told}; eager, with the style's "
        f"share, in ms: {whole}. {gains['photonas']}."
    )
    return Verdict(outcome(gains, seconds, FOUND), reason, gains["best-of-log"])


def outcome(gains: Mapping[str, Estimate], seconds: Mapping[str, float], named: str) -> VerdictKind:
    """Lower than both rivals by the intervals, or by the means alone, and no slower than the slower of them."""
    quick = seconds[named] <= max(seconds[n] for n in RIVALS)
    clear = all((high := gains[n].high) is not None and high < 0 for n in RIVALS)
    better = all(gains[n].value < 0 for n in RIVALS)
    return "reproduced" if clear and quick else "direction reproduced" if better and quick else "not reproduced"


def draw(values: Sequence[Values], path: Path) -> None:
    """Every seed of every network in the plane of seconds and quality."""
    points = {n: [(v["seconds"][n][speed.KEPT], v["quality"][n]) for v in values] for n in values[0]["quality"]}
    plane(points, "quality", f"{len(values)} trainings from scratch each", path)


def plane(points: Mapping[str, Sequence[tuple[float, float]]], ylabel: str, title: str, path: Path) -> None:
    """Seconds and a value of which little is good, one mark a training, by network."""
    canvas, axis = figures.figure(size=(6.4, 4.2))
    for (name, rows), mark, colour in zip(points.items(), plots.MARKS, plots.PAINT, strict=False):
        axis.scatter([1e3 * x for x, _ in rows], [y for _, y in rows], marker=mark, color=colour, label=name)
    axis.set(xlabel="ms a picture, style kept", ylabel=f"{ylabel} (low is good)", xlim=(0, None), ylim=(0, None))
    axis.set_title(title, fontsize=9)
    axis.legend(fontsize=8, loc="lower left")
    figures.save(canvas, path)


EXPERIMENTS = [
    Experiment(
        Claim(
            id="N10",
            title="What was found here is above the published front",
            paper="1906.02470",
            where="derived: the search must find networks worth having",
            statement="The best network of N9, a preset of photonet, lies above the front through PhotoNAS and the best of "
            "the published log: nearer to PhotoNet's pictures than both, as the search judges, no slower than the slower.",
            criterion="Quality (0.8 L_r + 0.1 L_p) lower than that of both, all trained from scratch alike with five seeds "
            "that the search did not use, 95 % intervals of paired differences below zero; and median seconds, style "
            "kept, no more than those of the slower. With lower means alone, the direction.",
            tolerance="Intervals over seeds of training; rounds of timing in turn. Pictures judged are those of the search.",
        ),
        {"smoke": Found(seeds=2, size=64, rounds=2, judged=32, pairs=1, steps=2), "full": Found()},
        measure,
        judge,
        draw,
    ),
]
