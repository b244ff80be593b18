"""N14: what one pass costs beside the cascade, as N4 has it, in CPU seconds and with intervals; and beside a matrix."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from claimkit.bench import turns
from claimkit.claims import Claim, Estimate, Values, Verdict
from claimkit.experiment import Experiment, Job, Settings
from claimkit.statistics import ratio_interval
from photonet.baselines.transform import whitening_svd64
from photonet.claims import drawing
from photonet.claims.common import ENCODER, baselines, network
from photonet.claims.cost.speed import BARE, SMOOTHED, added, pictures
from photonet.execution.executor import Executor
from photonet.stylizer import PhotoStylizer

MINE, AGAIN = "PhotoNAS", "PhotoNAS again"
ALIKE = 1.15
"""Times, either way: the interval of a method against itself lies within."""


@dataclass(frozen=True)
class Ratios(Settings):
    """Height and width in pixels, multiples of 16, and rounds that count."""

    threads: int | None = 1
    timed: bool = True
    height: int = 256
    width: int = 256
    rounds: int = 5


def measure(s: Ratios, job: Job) -> Values:
    """CPU seconds by candidate, one a round."""
    from photonet.baselines.matting import matting_smoothing
    from photonet.regions.guided_filter import guided_filter

    content, style = pictures(s.height, s.width)
    run, matrix = Executor(network("photonas", job), "wct"), PhotoStylizer(method="mk")
    kept, colours = run.prepare(style), matrix.prepare(style[0])
    cascade = baselines(network("photonet", job), job).photowct
    with torch.inference_mode():
        stylised = cascade(content, cascade.prepare(style))[0]
        work = {
            "matrix": lambda: matrix.stylize(content[0], colours),
            MINE: lambda: run(content, kept),
            AGAIN: lambda: run(content, kept),
            "PhotoWCT": lambda: cascade(content, cascade.prepare(style)),
            "PhotoWCT, SVD": lambda: cascade(content, cascade.prepare(style, whitening_svd64())),
            "guided filter": lambda: guided_filter(stylised, content[0]),
            "matting": lambda: matting_smoothing(stylised, content[0]),
        }
        seconds = turns(work, s.rounds, warmup=1, cpu=True, title="N14")
    return {"seconds": seconds, "size": f"{s.width} x {s.height}"}


def judge(values: Sequence[Values]) -> Verdict:
    """Both bars, by the lower ends of intervals."""
    seconds = {n: [x for v in values for x in v["seconds"][n]] for n in values[0]["seconds"]}

    def over(name: str, *parts: str) -> Estimate:
        return ratio_interval([a / b for a, b in zip(added(seconds, *parts), seconds[MINE], strict=True)], name)

    smoothed, bare = over("PhotoWCT with matting / PhotoNAS", "PhotoWCT", "matting"), over("bare", "PhotoWCT")
    control, matrix = over("control", AGAIN), over("matrix", "matrix")
    reason = (
        f"Times PhotoNAS's CPU seconds at {values[0]['size']}, one thread: the matrix {matrix.value:.2g}, PhotoWCT with "
        f"matting {smoothed.value:.1f}, bare {bare.value:.1f} [{bare.low:.1f}, {bare.high:.1f}], with guided filter "
        f"{over('', 'PhotoWCT', 'guided filter').value:.1f}, bare with the SVD of the public code "
        f"{over('', 'PhotoWCT, SVD').value:.1f}; PhotoNAS itself {control.value:.2f}. Encoder: {ENCODER}."
    )
    assert control.low is not None and control.high is not None and smoothed.low is not None and bare.low is not None
    if control.low < 1 / ALIKE or control.high > ALIKE:
        return Verdict("not run", f"PhotoNAS is not as fast as itself here: the machine is too busy. {reason}", smoothed)
    good = smoothed.low >= SMOOTHED and bare.low >= BARE
    faster = smoothed.low > 1 and bare.low > 1
    return Verdict("reproduced" if good else "direction reproduced" if faster else "not reproduced", reason, smoothed)


def draw(values: Sequence[Values], path: Path) -> None:
    """CPU seconds, the matrix first."""
    shown = {n: t for n, t in values[0]["seconds"].items() if n != AGAIN}
    drawing.bars({"CPU seconds": shown}, path, f"A picture of {values[0]['size']} pixels, one thread")


EXPERIMENTS = [
    Experiment(
        Claim(
            id="N14",
            title="One pass is faster, in CPU seconds",
            paper="1912.02398",
            where="abstract, and that of 1907.03118; follows N4, whose seconds were the wall's",
            statement="One pass is many times faster than the cascade with the smoothing that it needs, and than it alone.",
            reported="3 to 100 times (abstract of 1907.03118)",
            criterion=f"CPU seconds of one thread, candidates in turn, ratios of the same round, geometric means with 95 % "
            f"intervals: PhotoWCT with matting smoothing at least {SMOOTHED:g} times and PhotoWCT alone at least {BARE:g} "
            "times PhotoNAS (lazy, folded, its style prepared), by the lower ends. Direction: both lower ends above 1. "
            f"Control: PhotoNAS against itself lies within a factor of {ALIKE:g}. Beside it stands what is tried first, the "
            "3x3 matrix of colours.",
            tolerance="Power: N4's ratios have a spread of 13 % between rounds, so 5 rounds see a factor of 1.18 and 9 one "
            "of 1.11. CPU seconds do not grow while others use the machine, but for shared caches.",
        ),
        {"smoke": Ratios(height=64, width=64, rounds=3), "small": Ratios(), "full": Ratios(height=512, width=512, rounds=9)},
        measure,
        judge,
        draw,
    )
]
