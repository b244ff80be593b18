"""C13 to C15: the arena from a source trained here, on the half of Tiny ImageNet's classes that no target has.

Source and target are then of one distribution, the case for which regularisers of this kind are said to help. A seed draws
twenty of the other hundred classes and asks about 5, 15 and 30 images of each; ``training/source.py`` made the source.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from claimkit.claims import Preset, Values, Verdict
from claimkit.experiment import Job
from claimkit.statistics import mean_interval
from claimkit.transfer.arena.curves import COLUMNS, MARGIN, Curve, Run, chosen, doubts, seeds_needed
from claimkit.transfer.arena.ring import controls, probes
from claimkit.transfer.arena.tasks import HALF, SMOKE
from claimkit.transfer.regularizers import L2SP
from delta.claims import arena
from delta.claims.arena import Arena
from delta.claims.protocol import accuracies, table

SIMPLE = ("probe", "l2", "l2sp")
PRESETS: dict[Preset, Arena] = {
    "smoke": Arena(targets=(SMOKE,), short=True),
    "full": Arena(seeds=10, targets=tuple(replace(HALF, per_class=n) for n in (5, 15, 30))),
}


def measure(s: Arena, job: Job) -> Values:
    """The controls, probe, L2-SP, FM and DELTA on every target."""
    runs: list[Run] = []
    for target in s.targets:
        ring = target.ring(job)
        runs += [*controls(ring), *probes(ring, s.short)]
        runs += [ring.run("l2sp", a, L2SP(ring.source, a)) for a in ((1e-2,) if s.short else (1e-2, 1e-1))]
        runs += arena.feature_maps(ring, s.alphas[-1:] if s.short else s.alphas)
    return {"columns": COLUMNS, "runs": runs}


def judge(values: Sequence[Values], behind: Callable[[Mapping[str, Curve]], str], name: str) -> Verdict:
    """DELTA minus a rival by task, the mean over the tasks whose controls pass by seed, and the interval over the seeds."""
    if len(values) < 2:
        return Verdict("not run", "One seed shows the wiring only: an interval needs at least two.")
    standing, percent = arena.standing(values), accuracies(values)
    dropped, differences = [], {}
    for task, methods in table(values).items():
        if found := doubts(methods, both=True):
            dropped.append(f"{task} decides nothing: {'; '.join(found)}.")
        else:
            rival = behind(methods)
            differences[f"{task}, DELTA - {rival}"] = percent[task]["delta"] - percent[task][rival]
    said = " ".join([*dropped, standing])
    if not differences:
        return Verdict("not run", said)
    mean = np.mean(list(differences.values()), 0)
    needed = seeds_needed(mean, MARGIN)
    if needed > len(values):
        few = f"{len(values)} paired seeds have an interval wider than +-{MARGIN:g} points: {needed} are needed."
        return Verdict("not run", f"{few} {said}")
    each = [mean_interval(d, task) for task, d in differences.items()]
    by_task = "; ".join(f"{e.name} {e.value:+.2f} [{e.low:.2f}, {e.high:.2f}]" for e in each)
    effect = mean_interval(mean, name, "points of test accuracy")
    return Verdict(arena.kind(effect), f"{by_task}. {said}", effect)


def judge_plain(values: Sequence[Values]) -> Verdict:
    """C13."""
    return judge(values, lambda _: "l2", "DELTA - L2")


def judge_attention(values: Sequence[Values]) -> Verdict:
    """C14."""
    return judge(values, lambda _: "fm", "DELTA - FM")


def _best(methods: Mapping[str, Curve]) -> str:
    """The arm with the best mean validation accuracy."""
    return max(SIMPLE, key=lambda m: round(float(methods[m][chosen(methods[m])][:, 0].mean()), 9))


def judge_simple(values: Sequence[Values]) -> Verdict:
    """C15."""
    return judge(values, _best, "DELTA - the best")


CONDITIONS = (
    "On Tiny ImageNet with 5, 15 and 30 images a class; of these three, those count whose controls pass (FM and DELTA at "
    "their largest weight within 3 points of the frozen extractor; plain L2 ahead of it and of scratch; L2 at other rates "
    "at most 0.5 points better on validation), and their mean by seed is judged where its 95 % interval over paired seeds "
    "is at most +-0.5 points wide; otherwise not run, with the reason or the seeds that it would take. "
)
PLAIN = (
    "DELTA beats plain fine-tuning",
    "From a source of the target's own distribution DELTA is more accurate on few images than plain L2 at its best rate.",
    "Mean paired difference of test accuracy DELTA - L2, weights chosen on validation: the interval above zero "
    "(reproduced); mean positive and interval above -0.5 (direction).",
)
FIRST = (
    "DELTA beats what a user would try first",
    "From a source of the target's own distribution DELTA is more accurate than the best of probe, plain L2 and L2-SP.",
    "The same of DELTA minus the one of them with the best mean validation accuracy over the seeds.",
)
HERE = ", from a source of the same pictures"
