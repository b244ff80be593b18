"""N10: pictures that move: the style kept from frame to frame, the content's statistics averaged over time."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from claimkit.claims import Claim, Values, Verdict
from claimkit.experiment import Experiment, Job
from claimkit.statistics import mean_interval, paired_difference
from claimkit.style.padding import crop, pad_to_multiple
from photonet.baselines.cascade import CascadeStyle
from photonet.claims import drawing
from photonet.claims.common import Pairs, averages, baselines, judged_by, network, photo_pairs
from photonet.execution.executor import Executor
from photonet.network.auto_encoder import MULTIPLE
from photonet.video import Smoother

METHODS = ("PhotoNet, statistics averaged", "PhotoNet, frame by frame", "PhotoNAS, frame by frame", "PhotoWCT")
Clip = list[Tensor]


@dataclass(frozen=True)
class Moving(Pairs):
    """A window that moves over a photograph, and a still one with noise."""

    contents: int = 3
    styles: int = 2
    longest: int = 256
    frames: int = 6
    speed: int = 7
    """Pixels a frame."""
    noise: float = 2 / 255


def pan(picture: Tensor, s: Moving) -> Clip:
    """Windows of one width, each ``speed`` pixels further to the right: what both have is the same in both."""
    width = picture.shape[2] - s.speed * (s.frames - 1)
    return [picture[:, :, i * s.speed : i * s.speed + width] for i in range(s.frames)]


def noisy(picture: Tensor, s: Moving, generator: torch.Generator) -> Clip:
    """The picture with fresh noise in every frame."""
    return [(picture + s.noise * torch.randn(picture.shape, generator=generator)).clamp(0, 1) for _ in range(s.frames)]


def changes(frames: Clip, speed: int) -> float:
    """Root mean square change from frame to frame of what both frames show, in units of [0, 1]."""
    pairs = [(a[:, :, speed:], b[:, :, : b.shape[2] - speed]) for a, b in pairwise(frames)]
    return float(np.sqrt(np.mean([(a - b).square().mean().item() for a, b in pairs])))


def methods(style: Tensor, job: Job) -> Iterator[tuple[str, Callable[[], Callable[[Tensor], Tensor]]]]:
    """By name, what starts a clip and gives the function of a frame; the style's share is computed here, once."""
    for name in ("photonet", "photonas"):
        run = Executor(network(name, job), "wct")
        kept = run.prepare(pad_to_multiple(style[None], MULTIPLE))

        def start(smoothed: bool, run: Executor = run, kept: object = kept) -> Callable[[Tensor], Tensor]:
            smooth = Smoother() if smoothed else None

            def frame(x: Tensor) -> Tensor:
                y = run(pad_to_multiple(x[None], MULTIPLE), kept, smooth=smooth)  # type: ignore[arg-type]
                return crop(y, *x.shape[1:])[0].clamp(0, 1)

            return frame

        if name == "photonet":
            yield METHODS[0], lambda start=start: start(True)
        yield METHODS[1 if name == "photonet" else 2], lambda start=start: start(False)
    cascade = baselines(network("photonet", job), job).photowct
    with torch.inference_mode():
        prepared: CascadeStyle = cascade.prepare(style[None])

    def photowct(x: Tensor) -> Tensor:
        with torch.inference_mode():
            return cascade(x[None], prepared)[0]

    yield METHODS[3], lambda: photowct


def measure(s: Moving, job: Job) -> Values:
    """Change from frame to frame: in a pan by itself, as the content does not change; in noise over the content's."""
    generator = torch.Generator().manual_seed(job.seed)
    found: dict[str, dict[str, list[float]]] = {k: {n: [] for n in METHODS} for k in ("pan", "noise")}
    for _, content, style in photo_pairs(s, job):
        moving, still = pan(content, s), noisy(content, s, generator)
        for name, start in methods(style, job):
            frame = start()
            found["pan"][name].append(255 * changes([frame(x) for x in moving], s.speed))
            frame = start()
            found["noise"][name].append(changes([frame(x) for x in still], 0) / changes(still, 0))
    return {**found, "encoders": judged_by(s)}


def judge_video(values: Sequence[Values]) -> Verdict:
    """Steadier than the cascade, and steadier still with averaged statistics."""
    rows = {k: {n: [x for v in values for x in v[k][n]] for n in METHODS} for k in ("pan", "noise")}
    averaged, plain, _, cascade = METHODS
    effect = mean_interval(np.divide(rows["pan"][plain], rows["pan"][cascade]), "change in a pan, PhotoNet / PhotoWCT")
    gain = paired_difference(rows["pan"][plain], rows["pan"][averaged], "what averaging takes away")
    steadier = effect.high is not None and effect.high < 1
    helps = gain.low is not None and gain.low > 0
    reason = (
        f"Change of what two frames of a pan both show, in steps of 8 bits: {averages(rows['pan'], 2)}; averaging "
        f"takes away {gain.value:.2f} [{gain.low:.2f}, {gain.high:.2f}]. With noise in a still picture, over the content's "
        f"change: {averages(rows['noise'], 2)}. {len(rows['pan'][plain])} pairs. {values[0]['encoders']}"
    )
    kind = "reproduced" if steadier and helps else "direction reproduced" if steadier else "not reproduced"
    return Verdict(kind, reason, effect)


def draw(values: Sequence[Values], path: Path) -> None:
    """Changes by method."""
    labels = {"pan": "pan: change, steps of 8 bits", "noise": "still, with noise: change over the content's"}
    panels = {label: {n: [x for v in values for x in v[k][n]] for n in METHODS} for k, label in labels.items()}
    drawing.bars(panels, path, "Change from frame to frame, style kept")


EXPERIMENTS = [
    Experiment(
        Claim(
            id="N10",
            title="Steady in videos",
            paper="1907.03118",
            where="derived: one pass and a style computed once make video",
            statement="With the style kept and the content's statistics averaged over time, a video stays steady.",
            criterion="In a pan over a photograph, the change of what two frames both show is smaller for PhotoNet, "
            "frame by frame, than for PhotoWCT: the 95 % interval of the ratio is below 1. And averaged statistics make it "
            "smaller still, paired 95 % interval. Direction: the first.",
            tolerance="Intervals by bootstrap over pairs.",
        ),
        {
            "smoke": Moving(contents=2, styles=1, longest=96, frames=3),
            "small": Moving(),
            "full": Moving(longest=384, development=True, frames=5),
        },
        measure,
        judge_video,
        draw,
    )
]
