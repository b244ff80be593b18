"""P3: how much style a picture gets for how much of its content, for every transform, and under three measures of style."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from claimkit.claims import Claim, Values, Verdict
from claimkit.experiment import Experiment, Job
from claimkit.statistics import mean_interval
from claimkit.style.metrics import gram_distance, mean_std_distance, sliced_wasserstein
from styleproj import plots
from styleproj.claims.common import NAMES, Pairs, network, pairs
from styleproj.operator.baselines import TRANSFORMS

METRICS = {
    "mean-std": mean_std_distance,
    "Gram": gram_distance,
    "sliced Wasserstein": partial(sliced_wasserstein, directions=16),
}
WITHIN = 0.05
"""Share by which the projection's style distance may exceed another's and still count as equal."""


@dataclass(frozen=True)
class Fronts(Pairs):
    """Strengths at which every pair is decoded and looked at again by the encoder."""

    threads: int | None = 1
    side: int = 128
    strengths: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)


def measure(s: Fronts, job: Job) -> Values:
    """Content loss and style distances of decoded pictures: name -> quantity -> pairs x strengths."""
    net = network(s.encoder, job)
    curves: dict[str, dict[str, list[list[float]]]] = {n: {k: [] for k in ("content", *METRICS)} for n in TRANSFORMS}
    with torch.inference_mode():
        for _, content, style in pairs(s, job):
            x, t = net.encode(content), net.encode(style)
            wanted, target = net.encoder(content), net.encoder(style)
            for name, transform in TRANSFORMS.items():
                rows: dict[str, list[float]] = {k: [] for k in ("content", *METRICS)}
                for alpha in s.strengths:
                    picture = net.decode(tuple(transform(a, b, alpha) for a, b in zip(x, t, strict=True))).clamp(0, 1)
                    levels = net.encoder(picture)
                    rows["content"].append(_relative(levels[-1], wanted[-1]))
                    for metric, distance in METRICS.items():
                        rows[metric].append(sum(float(distance(a, b)) for a, b in zip(levels, target, strict=True)))
                for key, row in rows.items():
                    curves[name][key].append(row)
    return {"curves": curves, "strengths": list(s.strengths), "encoder": NAMES[s.encoder]}


def _relative(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm() / b.norm())


def at_equal_content(curves: dict[str, dict[str, list[list[float]]]], metric: str) -> dict[str, list[float]]:
    """Mean style distance over the range of content loss that all transforms reach, one a pair."""
    found: dict[str, list[float]] = {name: [] for name in curves}
    for pair in range(len(next(iter(curves.values()))["content"])):
        losses = {n: np.maximum.accumulate(c["content"][pair]) for n, c in curves.items()}
        low, high = max(v[0] for v in losses.values()), min(v[-1] for v in losses.values())
        grid = np.linspace(low, high, 33)
        for name, c in curves.items():
            found[name].append(float(np.interp(grid, losses[name], c[metric][pair]).mean()))
    return found


def judge(values: Sequence[Values]) -> Verdict:
    """Nine comparisons: three measures of style, three other transforms."""
    told, good, first = [], 0, None
    for metric in METRICS:
        rows = [at_equal_content(v["curves"], metric) for v in values]
        pooled = {n: np.concatenate([r[n] for r in rows]) for n in TRANSFORMS}
        for name in ("AdaIN", "WCT", "OT"):
            excess = mean_interval(pooled["projection"] / pooled[name] - 1, f"{metric}, projection over {name}")
            first = first or excess
            good += excess.value <= WITHIN
            told.append(f"{name} {excess.value:+.0%} ({metric})")
    reason = (
        f"Excess of the projection's style distance at equal content loss, over {', '.join(told)}: {good} of 9 within 5 %."
    )
    reason += f" Encoder: {values[0]['encoder']}."
    kind = "reproduced" if good == 9 else "direction reproduced" if good >= 5 else "not reproduced"
    return Verdict(kind, reason, first)


def draw(values: Sequence[Values], path: Path) -> None:
    """Mean fronts."""
    lines = {
        metric: {
            name: (
                np.mean([row for v in values for row in v["curves"][name]["content"]], 0).tolist(),
                np.mean([row for v in values for row in v["curves"][name][metric]], 0).tolist(),
            )
            for name in TRANSFORMS
        }
        for metric in METRICS
    }
    plots.fronts(lines, path, f"Strength 0 (left) to 1, mean over pairs; {values[0]['encoder']}")


EXPERIMENTS = [
    Experiment(
        Claim(
            id="P3",
            title="More style at equal content",
            paper="2003.07694",
            where="abstract: effective arbitrary style transfer",
            statement="At equal content loss the projection brings at least as much style as AdaIN, WCT and optimal "
            "transport between Gaussians, whatever the measure of style.",
            criterion="Over strengths 0 to 1, the mean style distance at equal content loss is at most 5 % above that of "
            "each of the three others, under each of three measures (mean and standard deviation, Gram, sliced "
            "Wasserstein): all nine, reproduced; at least five, direction reproduced.",
            tolerance="Five per cent is less than the eye tells apart, and covers the choice of strengths.",
        ),
        {
            "smoke": Fronts(side=64, contents=2, styles=1, strengths=(0.0, 1.0)),
            "small": Fronts(),
            "full": Fronts(encoder="vgg19", side=256, contents=6, styles=4, development=True),
        },
        measure,
        judge,
        draw,
    )
]
