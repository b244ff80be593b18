"""C3 and C4: is the order of the methods that of the paper, and does attention help?"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from claimkit.claims import Claim, Values, Verdict
from claimkit.experiment import Experiment
from delta import plots
from delta.claims.protocol import FULL, Protocol, accuracies, gain, means, measure, table

MARGIN = 0.5
"""Points by which attention may be worse and still count as not worse."""

C3 = ("scratch", "frozen", "l2", "l2sp", "delta")
C4 = ("fm", "delta")
"""What each of the two names; they share one measurement."""


def _pooled(values: Sequence[Values], *methods: str) -> list[np.ndarray]:
    """Test accuracies of methods over all blocks (task, seed), in percent."""
    tasks = accuracies(values)
    return [np.concatenate([t[m] for t in tasks.values()]) for m in methods]


def judge_order(values: Sequence[Values]) -> Verdict:
    """Page's test over blocks (task, seed)."""
    from scipy.stats import page_trend_test

    if len(values) < 2:
        return Verdict("not run", "One seed shows the wiring only: a trend needs at least two.")
    l2, l2sp, delta = _pooled(values, "l2", "l2sp", "delta")
    p = float(page_trend_test(np.stack([l2, l2sp, delta], 1)).pvalue)
    first, second = float((l2sp - l2).mean()), float((delta - l2sp).mean())
    effect = gain(values, "delta", "l2", "DELTA - L2")
    ordered = first > 0 and second > 0
    clear = p < 0.05 and (effect.low or 0) > 0
    kind = "reproduced" if ordered and clear else "direction reproduced" if ordered else "not reproduced"
    reason = f"L2-SP - L2 {first:+.2f}, DELTA - L2-SP {second:+.2f} points, Page's test p = {p:.2g}. {means(values, C3)}"
    return Verdict(kind, reason, effect)


def judge_attention(values: Sequence[Values]) -> Verdict:
    """The interval of the paired difference over blocks (task, seed)."""
    if len(values) < 2:
        return Verdict("not run", "One seed shows the wiring only: an interval needs at least two.")
    fm, delta = _pooled(values, "fm", "delta")
    effect = gain(values, "delta", "fm", "DELTA - FM")
    low = effect.low or 0
    kind = "reproduced" if low > 0 else "direction reproduced" if effect.value > 0 and low > -MARGIN else "not reproduced"
    equal = int((delta == fm).sum())
    return Verdict(kind, f"Equal in {equal} of {len(fm)} blocks. {means(values, C4)}", effect)


def draw(values: Sequence[Values], path: Path) -> None:
    """Test accuracy of every method over its whole grid of weights."""
    plots.alpha_curves(table(values), path)


def draw_attention(values: Sequence[Values], path: Path) -> None:
    """The same with and without attention, beside plain L2."""
    among = ("l2", *C4)
    plots.alpha_curves({t: {m: c for m, c in ms.items() if m in among} for t, ms in table(values).items()}, path)


EXPERIMENTS = [
    Experiment(
        Claim(
            id="C3",
            title="L2 < L2-SP < DELTA",
            paper="1901.09229",
            where="abstract: better than state-of-the-art algorithms including L2 and L2-SP",
            statement="Fine-tuning on few images is more accurate with L2-SP than with L2, and with DELTA than with L2-SP.",
            criterion="Over blocks (task, seed), with alpha chosen for each task and method by mean validation accuracy on "
            "the published grid: Page's trend test p < 0.05, both mean paired differences positive and the 95 % interval of "
            "DELTA - L2, also over resamples that choose their alphas anew, above zero (reproduced); both differences "
            "positive (direction reproduced).",
            tolerance="5 % is the usual level; 20 paired seeds at small and 20 blocks at full resolve about a point.",
        ),
        {
            "smoke": Protocol(short=True),
            "small": Protocol(seeds=20),
            "full": Protocol(seeds=10, tasks=FULL),
        },
        measure,
        judge_order,
        draw,
    ),
    Experiment(
        Claim(
            id="C4",
            title="Attention helps",
            paper="1901.09229",
            where="abstract: feature maps precisely selected by attention",
            statement="DELTA is at least as accurate as the same regulariser with all channels weighted alike.",
            criterion="Mean paired difference of test accuracy over blocks (task, seed), alpha chosen as for C3: the 95 % "
            "interval, also over resamples that choose their alphas anew, is above zero (reproduced); the mean is "
            "above zero and the interval above -0.5 points (direction reproduced).",
            tolerance="Half a point is less than the standard error of one run's accuracy on these test sets.",
        ),
        {
            "smoke": Protocol(short=True),
            "small": Protocol(seeds=20),
            "full": Protocol(seeds=10, tasks=FULL),
        },
        measure,
        judge_attention,
        draw_attention,
    ),
]
