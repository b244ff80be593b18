"""N1: PhotoNet's pictures have the content's drawing without smoothing afterwards, and no less of the style."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from claimkit.claims import Claim, Values, Verdict
from claimkit.experiment import Experiment, Job
from claimkit.statistics import paired_difference
from claimkit.style.metrics import ssim_edge
from photonet.claims import drawing
from photonet.claims.common import (
    SHEET,
    Pairs,
    averages,
    judge,
    judged_by,
    photo_pairs,
    photographic,
    side_by_side,
    style_distance,
)
from photonet.regions.guided_filter import guided_filter

SMOOTHED = "PhotoNet + guided filter"
STYLE_ROOM = 1.1
"""Times by which PhotoNet's style distance may exceed that of PhotoWCT with matting smoothing and still count as equal."""


@dataclass(frozen=True)
class Sharp(Pairs):
    """Photographs in the light of photographs."""


def measure(s: Sharp, job: Job) -> Values:
    """SSIM of edges to the content and Gram distance to the style, one a pair, by method."""
    methods = photographic(job)
    look = judge(s, job)
    methods[SMOOTHED] = lambda c, t: guided_filter(methods["PhotoNet"](c, t), c).clamp(0, 1)
    edges: dict[str, list[float]] = {n: [] for n in methods}
    style: dict[str, list[float]] = {n: [] for n in (*methods, "content")}
    pairs = photo_pairs(s, job)
    for _, content, reference in pairs:
        target = look(reference)
        style["content"].append(style_distance(look(content), target))
        for name, method in methods.items():
            picture = method(content, reference)
            edges[name].append(ssim_edge(picture, content))
            style[name].append(style_distance(look(picture), target))
    return {"edges": edges, "style": style, "pairs": [n for n, *_ in pairs], "longest": s.longest, "encoders": judged_by(s)}


def judge_sharp(values: Sequence[Values]) -> Verdict:
    """Sharper than the bare cascade; smoothing adds less than it adds there; the style is not given up for it."""
    edges, style = ({n: [x for v in values for x in v[key][n]] for n in values[0][key]} for key in ("edges", "style"))
    effect = paired_difference(edges["PhotoNet"], edges["PhotoWCT"], "SSIM of edges, PhotoNet - PhotoWCT")
    gain = np.subtract(edges["PhotoWCT + guided filter"], edges["PhotoWCT"])
    need = paired_difference(gain, np.subtract(edges[SMOOTHED], edges["PhotoNet"]), "difference of gains")
    ratio = float(np.mean(style["PhotoNet"]) / np.mean(style["PhotoWCT + matting"]))
    sharper, needless = (e.low is not None and e.low > 0 for e in (effect, need))
    reason = (
        f"SSIM of edges: {averages(edges)}. The guided filter adds {np.mean(gain):+.3f} to PhotoWCT, {need.value:.3f} "
        f"[{need.low:.3f}, {need.high:.3f}] more than to PhotoNet. Gram distance to the style: {averages(style)}; PhotoNet "
        f"has {ratio:.2f} times that of PhotoWCT with matting. {len(edges['PhotoNet'])} pairs. {values[0]['encoders']}"
    )
    good = sharper and needless and ratio <= STYLE_ROOM
    return Verdict("reproduced" if good else "direction reproduced" if sharper else "not reproduced", reason, effect)


def draw(values: Sequence[Values], path: Path) -> None:
    """Photographs of the libraries in every method."""
    s, job = Sharp(contents=3, styles=3, longest=min(SHEET, values[0]["longest"])), Job(0)
    pairs = photo_pairs(s, job)
    rows = side_by_side(photographic(job), (pairs[0], pairs[4], pairs[8]))
    drawing.sheet(rows, path, "Photographs of scikit-image and scikit-learn; one slim encoder under all methods")


EXPERIMENTS = [
    Experiment(
        Claim(
            id="N1",
            title="No smoothing needed",
            paper="1907.03118",
            where="abstract: photorealistic results without pre- or post-processing",
            statement="PhotoNet keeps the content's drawing without the smoothing that PhotoWCT needs, at no less style.",
            criterion="SSIM of edge maps (Sobel magnitude of luma, window 7) between result and content, over all photo "
            "pairs: the paired 95 % interval of PhotoNet minus bare PhotoWCT is above 0, and so is that of what "
            "a guided filter adds to PhotoWCT minus what it adds to PhotoNet; and PhotoNet's Gram distance to the style is "
            f"at most {STYLE_ROOM} times that of PhotoWCT with matting smoothing. Direction: the first alone.",
            tolerance="Intervals by bootstrap over pairs; a tenth of a Gram distance is not seen.",
        ),
        {
            "smoke": Sharp(contents=2, styles=1, longest=96),
            "small": Sharp(),
            "full": Sharp(longest=512, development=True, judge="vgg19"),
        },
        measure,
        judge_sharp,
        draw,
    )
]
