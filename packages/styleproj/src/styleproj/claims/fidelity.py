"""P1, P2: what transformed features have of the style's distribution: that of each channel exactly, the joint one not."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from claimkit.claims import Claim, Estimate, Values, Verdict
from claimkit.experiment import Experiment, Job, pooled
from claimkit.statistics import mean_interval
from claimkit.style.metrics import gram_distance
from styleproj import plots
from styleproj.claims.common import NAMES, Pairs, network, pairs
from styleproj.operator.baselines import TRANSFORMS

GAP = 0.02
"""Median distance, in standard deviations, that another transform must show before a distance of zero says anything."""


@dataclass(frozen=True)
class Fidelity(Pairs):
    """Features at the levels that the network transforms."""

    threads: int | None = 1
    side: int = 256


def measure(s: Fidelity, job: Job) -> Values:
    """Distances between the channels of the transformed and of the style features, one a pair and level."""
    net = network(s.encoder, job)
    found: dict[str, dict[str, list[float]]] = {}
    with torch.inference_mode():
        for _, content, style in pairs(s, job):
            for x, t in zip(net.encode(content), net.encode(style), strict=True):
                for name, transform in TRANSFORMS.items():
                    z = transform(x, t, 1.0)
                    values = found.setdefault(name, {})
                    for key, value in {**channel_distances(z, t), "gram": float(gram_distance(z, t))}.items():
                        values.setdefault(key, []).append(value)
    return {"distances": found, "encoder": NAMES[s.encoder]}


def channel_distances(z: Tensor, t: Tensor) -> dict[str, float]:
    """Largest and median Wasserstein-1 (in the style's standard deviations), largest Kolmogorov-Smirnov, higher moments.

    Both have shape ``(1, channel, height, width)`` of one size.
    """
    a, b = (v[0].flatten(1).double().sort(1).values for v in (z, t))
    scale = b.std(1).clamp_min(1e-12)
    w1 = (a - b).abs().mean(1) / scale
    n = a.shape[1]
    cdf = torch.searchsorted(a.contiguous(), b.contiguous(), right=True) / n
    own = torch.searchsorted(b.contiguous(), b.contiguous(), right=True) / n
    moments = {}
    for name, k in (("skewness", 3), ("kurtosis", 4)):
        m_a, m_b = ((((v - v.mean(1, keepdim=True)) / v.std(1, keepdim=True).clamp_min(1e-12)) ** k).mean(1) for v in (a, b))
        moments[name] = float((m_a - m_b).abs().median())
    return {
        "w1 largest": float(w1.max()),
        "w1 median": float(w1.median()),
        "ks largest": float((cdf - own).abs().max()),
        **moments,
    }


def judge_exact(values: Sequence[Values]) -> Verdict:
    """P1: zero for the projection where it is not zero for AdaIN and WCT."""
    v = [v["distances"] for v in values]
    largest = max(pooled([x["projection"] for x in v], "w1 largest") + pooled([x["projection"] for x in v], "ks largest"))
    others = {n: float(np.median(pooled([x[n] for x in v], "w1 median"))) for n in ("AdaIN", "WCT", "OT")}
    effect = Estimate("largest distance of any channel", largest)
    told = ", ".join(f"{n} {d:.3f}" for n, d in others.items())
    reason = (
        f"Median Wasserstein-1 of the others, in standard deviations of the style: {told}. Encoder: {values[0]['encoder']}."
    )
    if min(others.values()) < GAP:
        return Verdict("not run", f"No gap at this scale. {reason}", effect)
    return Verdict("reproduced" if largest == 0 else "not reproduced", reason, effect)


def judge_gram(values: Sequence[Values]) -> Verdict:
    """P2: the whole Gram matrix within one per cent."""
    means = {n: np.mean([x for v in values for x in v["distances"][n]["gram"]]) for n in TRANSFORMS}
    effect = mean_interval([x for v in values for x in v["distances"]["projection"]["gram"]], "relative Gram error")
    told = ", ".join(f"{n} {m:.1%}" for n, m in means.items())
    reason = f"The diagonal is exact, the rest is not: re-ordering differs from channel to channel. Errors: {told}. "
    reason += f"Encoder: {values[0]['encoder']}."
    return Verdict("reproduced" if effect.value <= 0.01 else "not reproduced", reason, effect)


def draw(values: Sequence[Values], path: Path) -> None:
    """Distances by transform."""
    panels = {
        label: {n: [x for v in values for x in v["distances"][n][key]] for n in TRANSFORMS}
        for label, key in (
            ("Wasserstein-1 (median channel)", "w1 median"),
            ("Kolmogorov-Smirnov (worst channel)", "ks largest"),
            ("error of skewness", "skewness"),
            ("error of kurtosis", "kurtosis"),
            ("error of the Gram matrix", "gram"),
        )
    }
    plots.bars(panels, path, f"Transformed against style features; {values[0]['encoder']}")


SMOKE, SMALL = Fidelity(side=64, contents=2, styles=1), Fidelity()
FULL = Fidelity(encoder="vgg19", contents=10, styles=4, development=True)
EXPERIMENTS = [
    Experiment(
        Claim(
            id="P1",
            title="Exact distribution",
            paper="2003.07694",
            where="abstract and section 3: parameter-free style projection",
            statement="The projected features have exactly the style's distribution in every channel, without parameters.",
            criterion="The largest Wasserstein-1 and Kolmogorov-Smirnov distance of any channel of any pair is zero; the "
            f"median of AdaIN, WCT and OT is at least {GAP} standard deviations (otherwise: no gap at this scale).",
            tolerance="None: the values are a permutation.",
        ),
        {"smoke": SMOKE, "small": SMALL, "full": FULL},
        measure,
        judge_exact,
        draw,
    ),
    Experiment(
        Claim(
            id="P2",
            title="Gram matrix",
            paper="2003.07694",
            where="the argument for re-ordering: the Gram matrix does not depend on the order of positions",
            statement="Re-ordering leaves the style's Gram matrix as it is, so the projected features have it.",
            criterion="Relative error of the Gram matrix at most 1 %, mean over pairs.",
            tolerance="Rounding would be a millionth; one per cent leaves room for nothing else.",
        ),
        {"smoke": SMOKE, "small": SMALL, "full": FULL},
        measure,
        judge_gram,
        draw,
    ),
]
