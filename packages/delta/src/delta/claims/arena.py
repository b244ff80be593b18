"""C6 to C8: the questions of C3 and C4 in an arena that can decide them, beside the baselines that a user would try first.

Sources have their statistics measured again on target images, a quarter of all unused images validates and the rest tests,
plain L2's learning rate is searched within the measurement, and a task whose negative controls fail decides nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from claimkit.claims import Claim, Estimate, Preset, Values, Verdict, VerdictKind
from claimkit.claims.power import Power
from claimkit.experiment import Experiment, Job, Settings
from claimkit.statistics import paired_difference
from claimkit.transfer.arena.curves import COLUMNS, MARGIN, Run, chosen, not_decided
from claimkit.transfer.arena.ring import Ring, baselines
from claimkit.transfer.arena.tasks import SMOKE, Target
from claimkit.transfer.maps.cache import FeatureCache
from claimkit.transfer.maps.layers import layers_for
from delta import plots
from delta.attention import channel_attention
from delta.claims.protocol import accuracies, gain, means, table
from delta.methods import Method
from delta.regularizer import DELTA

SIMPLE = ("probe", "lp-ft", "wise-ft", "l2", "l2 as released", "l2sp", "bss", "co-tuning", "stochnorm")
"""What a user can have without feature maps."""


@dataclass(frozen=True)
class Arena(Settings):
    """The targets and the weights on feature maps, the largest of which must hold them where they are."""

    threads: int | None = 1
    targets: tuple[Target, ...] = (Target(),)
    alphas: tuple[float, ...] = (1e-4, 2e-3, 5e-2)
    short: bool = False


def measure(s: Arena, job: Job) -> Values:
    """Validation and test accuracy of every arm at every weight."""
    runs: list[Run] = []
    for target in s.targets:
        ring = target.ring(job)
        runs += [*baselines(ring, s.short), *feature_maps(ring, s.alphas[-1:] if s.short else s.alphas)]
    return {"columns": COLUMNS, "runs": runs}


def feature_maps(ring: Ring, alphas: Sequence[float]) -> list[Run]:
    """FM and DELTA, with attention fitted on the seed's training images."""
    x, y = ring.view.test(ring.split.train.x), ring.split.train.y
    layers = layers_for(ring.source, x[:1])
    batches, classes = list(zip(x.split(32), y.split(32), strict=True)), len(ring.split.train.classes)
    attention = channel_attention(ring.source, batches, layers, classes=classes, seed=ring.settings.seed)
    arms = (("fm", None), ("delta", attention))
    plans = [(arm, weights, ring.feature_scale * a) for arm, weights in arms for a in alphas]
    cache = None if ring.settings.augment else FeatureCache(len(x))  # of the source, the same for all arms
    return [ring.run(arm, alpha, DELTA(ring.source, layers, weights, alpha, cache=cache)) for arm, weights, alpha in plans]


def _judged(values: Sequence[Values], ahead: Method, behind: Method, name: str) -> Verdict:
    """Controls and power first, then the interval of the difference at the weights chosen on validation."""
    curves, percent = table(values), accuracies(values)
    for task, methods in curves.items():
        if reason := not_decided(methods, [percent[task][ahead] - percent[task][behind]]):
            return Verdict("not run", f"{task}: {reason} {standing(values)}")
    effect = gain(values, ahead, behind, name)
    return Verdict(_kind(effect), standing(values), effect)


def _kind(effect: Estimate) -> VerdictKind:
    low = effect.low or 0
    return "reproduced" if low > 0 else "direction reproduced" if effect.value > 0 and low > -MARGIN else "not reproduced"


def standing(values: Sequence[Values]) -> str:
    """Mean accuracies of every arm at the weight chosen on validation."""
    return means(values, [m for methods in table(values).values() for m in methods if m != "l2 at other rates"])


def judge_plain(values: Sequence[Values]) -> Verdict:
    """C6."""
    return _judged(values, "delta", "l2", "DELTA - L2")


def judge_attention(values: Sequence[Values]) -> Verdict:
    """C7."""
    return _judged(values, "delta", "fm", "DELTA - FM")


def judge_simple(values: Sequence[Values]) -> Verdict:
    """C8: the rival is the arm with the best mean validation accuracy, the same for every seed."""
    best, differences = [], []
    for task, methods in table(values).items():
        arms = [m for m in SIMPLE if m in methods]
        rival = max(arms, key=lambda m: round(float(methods[m][chosen(methods[m])][:, 0].mean()), 9))
        percent = accuracies(values)[task]
        if reason := not_decided(methods, [percent["delta"] - percent[rival]]):
            return Verdict("not run", f"{task}, the best on validation is {rival}: {reason} {standing(values)}")
        best.append(rival)
        differences.append(percent["delta"] - percent[rival])
    effect = paired_difference(np.concatenate(differences), 0 * np.concatenate(differences), f"DELTA - {best[0]}", "points")
    return Verdict(_kind(effect), f"Best on validation: {', '.join(best)}. {standing(values)}", effect)


def draw(values: Sequence[Values], path: Path) -> None:
    """Test accuracy of plain L2, L2-SP, FM and DELTA over their weights, beside frozen and scratch."""
    curves = {t: {m: c for m, c in ms.items() if m in plots.COLOURS} for t, ms in table(values).items()}
    plots.alpha_curves(curves, path)


PRESETS: dict[Preset, Arena] = {
    "smoke": Arena(targets=(SMOKE,), short=True),
    "small": Arena(seeds=20),
}
# dtnh's arena says nearly the same: packages import nothing of each other, and a criterion is read where it stands
SHARED = (
    "On tasks whose controls pass (FM and DELTA at their largest weight within 3 points of the frozen extractor; plain L2 "
    "ahead of it and of scratch; L2 at other rates at most 0.5 points better on validation) and where the 95 % interval "
    "over paired seeds is at most +-0.5 points wide; otherwise not run, with the reason or the seeds that it would take. "
)
POWER = (
    "A difference of 0.5 points is less than what a few more images a class give; 20 seeds resolve it where the spread of "
    "differences is below 1.07 points, as in pilots on strokes (0.4 to 1.1)."
)


def asked(number: int, words: tuple[str, str, str], where: str = "", stated: Power | None = None) -> Claim:
    """A claim (title, statement, criterion) under the conditions that all of the arena share."""
    title, statement, criterion = words
    return Claim(
        id=f"C{number}",
        title=title + where,
        paper="1901.09229",
        where="abstract; the task and the baselines are ours",
        statement=statement,
        criterion=SHARED + criterion,
        tolerance=POWER if stated is None else "Half a point, as for C6 to C8.",
        power=stated,
    )


PLAIN = (
    "DELTA beats plain fine-tuning",
    "On few images DELTA is more accurate than plain L2 at its best learning rate.",
    "Mean paired difference of test accuracy DELTA - L2, weights chosen on validation: the interval, also over "
    "resamples that choose anew, above zero (reproduced); mean positive and interval above -0.5 (direction).",
)
ATTENTION = (
    "Attention helps",
    "DELTA is more accurate than the same regulariser with all channels weighted alike.",
    "The same of DELTA - FM.",
)
FIRST = (
    "DELTA beats what a user would try first",
    "DELTA is more accurate than the best of probe, LP-FT, WiSE-FT, both kinds of plain L2, L2-SP, batch spectral "
    "shrinkage, Co-Tuning and StochNorm.",
    "The same of DELTA minus the one of them with the best mean validation accuracy over the seeds.",
)
FAIR = ", in a fair arena"
EXPERIMENTS = [
    Experiment(asked(6, PLAIN, FAIR), PRESETS, measure, judge_plain, draw),
    Experiment(asked(7, ATTENTION, FAIR), PRESETS, measure, judge_attention),
    Experiment(asked(8, FIRST), PRESETS, measure, judge_simple),
]
