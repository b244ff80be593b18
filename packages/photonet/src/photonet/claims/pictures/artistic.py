"""N3: ArtNet's pictures have fewer artefacts than the cascade's when the style is no photograph."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import laplace
from torch import Tensor

from claimkit.claims import Claim, Values, Verdict
from claimkit.experiment import Experiment, Job
from claimkit.statistics import paired_difference
from claimkit.style.metrics import LUMA, ssim
from photonet.baselines.cascade import stylize
from photonet.claims import drawing
from photonet.claims.common import (
    SHEET,
    Method,
    Pairs,
    artistic_pairs,
    averages,
    baselines,
    by_network,
    judge,
    judged_by,
    network,
    side_by_side,
    style_distance,
)

BLOCK = 8  # pixels
RARE = 0.99
STYLE_ROOM = 1.25
"""Times by which ArtNet's style distance may exceed the cascade's: a picture without style has no artefacts either."""


@dataclass(frozen=True)
class Artistic(Pairs):
    """Photographs in the style of pictures that are none."""

    contents: int = 3


def roughness(picture: Tensor) -> np.ndarray:
    """Root mean square of the Laplacian of luma in blocks of 8 x 8 pixels, as a vector."""
    luma = np.tensordot(LUMA, picture.double().cpu().numpy(), axes=1)
    height, width = (n // BLOCK * BLOCK for n in luma.shape)
    squares = laplace(luma)[:height, :width] ** 2
    return np.sqrt(squares.reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK).mean((1, 3))).ravel()


def artefacts(result: Tensor, content: Tensor, style: Tensor) -> float:
    """Share of blocks rougher than 99 % of the content's and 99 % of the style's: contrast that neither picture has."""
    limit = max(float(np.quantile(roughness(x), RARE)) for x in (content, style))
    return float((roughness(result) > limit).mean())


def artists(job: Job) -> dict[str, Method]:
    """ArtNet and the two cascades."""
    net = network("artnet", job)
    others = baselines(net, job)
    return {
        "ArtNet": by_network(net),
        "WCT": lambda c, s: stylize(others.wct, c, s),
        "PhotoWCT": lambda c, s: stylize(others.photowct, c, s),
    }


def measure(s: Artistic, job: Job) -> Values:
    """Artefacts, what is lost in the content's own style, and Gram distance, one a pair, by method."""
    methods, look = artists(job), judge(s, job)
    found: dict[str, dict[str, list[float]]] = {k: {n: [] for n in methods} for k in ("artefacts", "lost", "style")}
    own: dict[tuple[str, str], float] = {}
    pairs = artistic_pairs(s, job)
    for pair, content, style in pairs:
        target, photo = look(style), pair.split("|")[0]
        for name, method in methods.items():
            picture = method(content, style)
            if (photo, name) not in own:
                own[photo, name] = 1 - ssim(method(content, content), content)
            found["artefacts"][name].append(artefacts(picture, content, style))
            found["lost"][name].append(own[photo, name])
            found["style"][name].append(style_distance(look(picture), target))
    return {**found, "pairs": [n for n, *_ in pairs], "longest": s.longest, "encoders": judged_by(s)}


def judge_artistic(values: Sequence[Values]) -> Verdict:
    """Both measures of artefacts, against the cascade that artists use; the style must still be there."""
    rows = {k: {n: [x for v in values for x in v[k][n]] for n in values[0][k]} for k in ("artefacts", "lost", "style")}
    effect = paired_difference(rows["artefacts"]["WCT"], rows["artefacts"]["ArtNet"], "share of artefacts, WCT - ArtNet")
    lost = paired_difference(rows["lost"]["WCT"], rows["lost"]["ArtNet"], "lost")
    ratio = float(np.mean(rows["style"]["ArtNet"]) / np.mean(rows["style"]["WCT"]))
    fewer, nearer = (e.low is not None and e.low > 0 for e in (effect, lost))
    reason = (
        f"Share of blocks rougher than both pictures: {averages(rows['artefacts'])}. 1 - SSIM of a content in its own "
        f"style: {averages(rows['lost'])}, WCT - ArtNet {lost.value:.3f} [{lost.low:.3f}, {lost.high:.3f}]. Gram distance: "
        f"{averages(rows['style'])}, ArtNet has {ratio:.2f} times WCT's. {len(rows['lost']['WCT'])} pairs. "
        f"{values[0]['encoders']}"
    )
    good = fewer and nearer and ratio <= STYLE_ROOM
    return Verdict("reproduced" if good else "direction reproduced" if fewer else "not reproduced", reason, effect)


def draw(values: Sequence[Values], path: Path) -> None:
    """Photographs of the libraries in three styles."""
    job = Job(0)
    pairs = artistic_pairs(Artistic(contents=3, styles=3, longest=min(SHEET, values[0]["longest"])), job)
    rows = side_by_side(artists(job), (pairs[0], pairs[4], pairs[8]))
    drawing.sheet(rows, path, "Artistic transfer; pictures of scikit-image and scikit-learn, one slim encoder under all")


EXPERIMENTS = [
    Experiment(
        Claim(
            id="N3",
            title="Fewer artefacts in artistic transfer",
            paper="1907.03118",
            where="abstract: ArtNet for artistic style transfer with fewer artifacts",
            statement="ArtNet, one pass, leaves fewer artefacts than the cascade of auto-encoders.",
            criterion="Artefacts are contrast that neither picture has: the share of blocks of 8 x 8 pixels whose Laplacian "
            "of luma has a root mean square above the 99th percentile of the content's blocks and of the style's. And they "
            "are what a content loses in its own style: 1 - SSIM. Both are lower for ArtNet than for WCT's cascade, paired "
            f"95 % intervals excluding 0, at a Gram distance to the style of at most {STYLE_ROOM} times the cascade's. "
            "Direction: the first alone.",
            tolerance="Intervals by bootstrap over pairs; the limit on style keeps a blurred picture from winning.",
        ),
        {
            "smoke": Artistic(contents=2, styles=1, longest=96),
            "small": Artistic(),
            "full": Artistic(contents=8, styles=4, longest=512, development=True, judge="vgg19"),
        },
        measure,
        judge_artistic,
        draw,
    )
]
