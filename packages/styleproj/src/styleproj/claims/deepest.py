"""P13: a decoder that looks at its deepest level, against the one shipped before, whose first convolution is dead."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from claimkit.claims import Claim, Estimate, Values, Verdict
from claimkit.experiment import Experiment, Job
from claimkit.statistics import group_means, mean_interval, power
from styleproj.claims.common import CUT, CutFirst
from styleproj.claims.weights import (
    AGAIN,
    BEFORE,
    COLOURS,
    MEASURES,
    NOW,
    Weights,
    below,
    compared,
    draw,
    noted,
    pictures,
    table,
)
from styleproj.networks.closed_form import ALIVE, first_above_zero

SEEN = 32
"""Photographs that claim P12 looked at: the first of the permutation by the seed."""
LOST, CONTENT, EDGES = 0.02, 0.02, 0.05
WEAVE, FOREIGN, CLIPPED = 1.2, 0.01, 0.03


@dataclass(frozen=True)
class Deepest(Weights):
    """What is stylised, as for P12."""


def measure(s: Deepest, job: Job) -> Values:
    """Each measure of each variant, one a pair; and how much of the decoder's first convolution is above zero."""
    now, before, again = (noted(name, job) for name in ("deep", "joint", "joint"))
    makers = {name: CutFirst(n, **CUT, device=job.device) for name, n in ((NOW, now), (BEFORE, before), (AGAIN, again))}
    pairs = pictures(s, job, SEEN if s.development else 0)
    with torch.inference_mode():
        alive = {
            n: [first_above_zero(makers[n].network, makers[n].encode(content)) for _, content, _ in pairs]
            for n in (NOW, BEFORE)
        }
    return {**compared(s, job, makers, pairs), "alive": alive}


def judge(values: Sequence[Values]) -> Verdict:
    """Nearer to the style in one distance, farther in none; content, drawing, weave and colours kept. A style is a value."""
    styles, rows = [f"{v}" for run in values for v in run["styles"]], table(values)
    now, before = rows[NOW], rows[BEFORE]

    def interval(x: NDArray[np.float64], name: str) -> Estimate:
        return mean_interval(group_means(x, styles), name)

    falls = {m: interval(now[m] / before[m] - 1, f"{m} distance, now over before") for m in ("style", "Gram")}
    kept = {
        "content": (interval(now["content"] - before["content"], "content, now - before"), CONTENT),
        "edges": (interval(before["edges"] - now["edges"], "edges, before - now"), EDGES),
    }
    shares = {m: float(now[m].mean()) for m in ("weave", "foreign", "clipped")}
    alive = {n: float(np.mean([x for v in values for x in v["alive"][n]])) for n in (NOW, BEFORE)}
    means = "; ".join(f"{n}: " + ", ".join(f"{m} {row[m].mean():.3f}" for m in MEASURES) for n, row in rows.items())
    told = (
        f"Judge: {values[0]['judge']}; {len(styles)} pairs of {len(set(styles))} styles. Above zero behind the deepest "
        f"level: {alive[NOW]:.1%}, before {alive[BEFORE]:.2%}. Means: {means}."
    )
    itself = max(float(np.abs(rows[AGAIN][m] - before[m]).max()) for m in MEASURES)
    if itself > 0:
        return Verdict("not run", f"The weights before differ from themselves by {itself:.2g}. {told}", falls["style"])
    seen = interval(now["Gram"] - rows[COLOURS]["Gram"], "Gram, now - colours alone")
    if not below(seen, 0):
        return Verdict("not run", f"The judge does not tell the result from colours alone. {told}", falls["style"])
    nearer = any(below(e, 0) for e in falls.values())
    holds = {f"{m} kept": below(e, LOST) for m, e in falls.items()}
    holds |= {m: below(e, bound) for m, (e, bound) in kept.items()}
    holds |= {m: shares[m] <= bound for m, bound in (("weave", WEAVE), ("foreign", FOREIGN), ("clipped", CLIPPED))}
    holds |= {"nearer": nearer, "alive": alive[NOW] >= ALIVE}
    failed = [m for m, h in holds.items() if not h]
    told = f"{'; '.join(f'{e.name} {e.value:+.3f} [{e.low:+.3f}, {e.high:+.3f}]' for e in _all(falls, kept))}. {told}"
    kind = "reproduced" if not failed else "direction reproduced" if nearer and holds["alive"] else "not reproduced"
    return Verdict(kind, f"Missed: {', '.join(failed) or 'nothing'}. {told}", falls["style"])


def _all(falls: dict[str, Estimate], kept: dict[str, tuple[Estimate, float]]) -> list[Estimate]:
    return [*falls.values(), *(e for e, _ in kept.values())]


EXPERIMENTS = [
    Experiment(
        Claim(
            id="P13",
            title="A decoder that looks at its deepest level",
            paper="2003.07694",
            where="derived: section 3 transforms the deepest level; the decoders shipped before do not look at theirs",
            statement="A decoder whose first convolution, the only one that sees the deepest level, is fitted anew and "
            "trained on makes pictures that are nearer to their style than the one before it, where that convolution is "
            "dead, and keeps content, drawing and colours.",
            criterion="deep.safetensors against joint.safetensors, both as pictures are made by default, at 512 pixels, "
            "over the 31 held-out photographs that neither P12 nor the comparison before it saw, in the styles of the 16 "
            "held-out paintings and of photographs of a set that neither was trained on, one each (paired 95 % intervals; "
            "distances on the original VGG-19's relu1_1, 2_1, 3_1 and 3_4 at 272 pixels): the relative difference of the "
            "distance to the style, of means and deviations or of Gram matrices, is wholly below 0, and its upper end is at "
            f"most +{LOST:.0%} for both; content distance rises by at most {CONTENT} and SSIM of edges falls by at most "
            f"{EDGES} (upper ends); means of weave at most {WEAVE}, foreign colours {FOREIGN:.0%}, clipped pixels "
            f"{CLIPPED:.0%}; at least {ALIVE:.0%} of the values behind the deepest level are above zero. All: reproduced; "
            "nearer and alive alone: direction. Controls, without which it is not run: the weights before differ from "
            "themselves, loaded again, by exactly 0, and colours alone (linear transfer) are farther from the style in "
            "Gram.",
            tolerance="The weights before have SSIM of edges to spare (0.14 above the best small peer on other pairs) and "
            "want style: 0.05 of the one may be paid for the other. 2 % of a distance is less than the eye tells apart.",
            power=power(
                0.05,
                0.08,
                {"small": 4, "full": 31},
                "two decoders under one transform on 16 other photographs: style 0.197 against 0.199, interval of 16 "
                "paintings [-0.010, +0.007], which is a spread of 8 % of the distance; asked is a fall of 5 %",
                "of the distance to the style",
            ),
        ),
        {
            "smoke": Deepest(side=64, contents=2, styles=2),
            "small": Deepest(),
            "full": Deepest(side=512, contents=31, styles=32, development=True, teacher=True),
        },
        measure,
        judge,
        draw,
    )
]
