"""What the measurements have in common: pairs of pictures, methods that stylise them, and how results are looked at."""

import csv
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from claimkit.experiment import Job, Settings
from claimkit.files import sha256
from claimkit.photographs import held_out as held_out
from claimkit.style.encoders import load_vgg19
from claimkit.style.images import fit, read_image, write_image
from claimkit.style.metrics import gram_distance
from claimkit.style.padding import crop, pad_to_multiple
from photonet.baselines import weights as baseline_weights
from photonet.baselines.cascade import stylize
from photonet.baselines.matting import matting_smoothing
from photonet.network.auto_encoder import MULTIPLE, PhotoNet
from photonet.regions.guided_filter import guided_filter
from photonet.samples import photograph
from photonet.weights import load_network, shipped

CONTENTS = ("china", "astronaut", "motorcycle", "chelsea")
STYLES = ("rocket", "flower", "coffee")
PAINTED = ("ihc", "retina", "hubble")
SHEET = 320
"""Longer side in pixels of the pictures on contact sheets, unless the preset's are smaller."""
ENCODER = "this package's slim encoder (not VGG)"

Method = Callable[[Tensor, Tensor], Tensor]
"""Content and style (3, H, W) to a picture of the content's size."""
Pair = tuple[str, Tensor, Tensor]


@dataclass(frozen=True)
class Pairs(Settings):
    """Which pictures are stylised, and by whose features results are compared."""

    threads: int | None = 1
    contents: int = 4
    styles: int = 3
    longest: int = 192
    """Longer side in pixels."""
    development: bool = False
    """The pictures of the development data instead of those that come with libraries."""
    judge: Literal["slim", "vgg19"] = "slim"
    """Whose features say how near two styles are: the slim encoder's, or true VGG-19's to relu3_1."""


def photo_pairs(s: Pairs, job: Job) -> list[Pair]:
    """Every content with every style; of the development data, the pairs that belong together."""
    if not s.development:
        return _product(CONTENTS[: s.contents], STYLES[: s.styles], s, job)
    folder = job.assets.find("images/pairs")
    names = sorted(p.name.removesuffix("_content.jpg") for p in folder.glob("*_content.jpg"))

    def read(name: str, part: str) -> Tensor:
        return fit(read_image(folder / f"{name}_{part}.jpg"), s.longest)

    return [(n, read(n, "content"), read(n, "style")) for n in names]


def artistic_pairs(s: Pairs, job: Job) -> list[Pair]:
    """Photographs with pictures that are none; of the development data, held-out photographs with held-out paintings."""
    if not s.development:
        return _product(CONTENTS[: s.contents], PAINTED[: s.styles], s, job)
    draw = random.Random(job.seed)
    photos, paintings = (held_out(kind, job) for kind in ("photos", "paintings"))
    folder = job.assets.find("images/photos").parent
    job.assets.find("images/paintings")
    chosen = draw.sample(photos, s.contents * s.styles)

    def read(name: str) -> Tensor:
        return fit(read_image(folder / name), s.longest)

    pairs = zip(chosen, paintings * len(chosen), strict=False)
    return [(f"{photo}|{painting}", read(photo), read(painting)) for photo, painting in pairs]


def training_photographs(s: Pairs, job: Job, folder: Path) -> list[Path]:
    """Files of photographs not among the pairs: the development data's, or, written to ``folder``, the libraries'."""
    if s.development:
        with job.assets.find("images/photos.csv").open(encoding="utf-8", newline="") as f:
            return [job.assets.find("images/photos").parent / r["file"] for r in csv.DictReader(f) if r["split"] == "train"]
    used = (*CONTENTS[: s.contents], *STYLES[: s.styles])
    files = [folder / f"{n}.png" for n in (*CONTENTS, *STYLES, *PAINTED) if n not in used]
    for file in files:
        write_image(file, photograph(file.stem))
    return files


def _product(contents: tuple[str, ...], styles: tuple[str, ...], s: Pairs, job: Job) -> list[Pair]:
    job.assets.note("photographs of scikit-image and scikit-learn", "the wheels'")
    pictures = {n: photograph(n, s.longest) for n in (*contents, *styles)}
    return [(f"{c}|{t}", pictures[c], pictures[t]) for c, t in product(contents, styles)]


def network(name: str, job: Job) -> PhotoNet:
    """A network of the package with its weights."""
    job.assets.note(shipped().name, sha256(shipped()))
    return load_network(name).to(job.device)


def baselines(net: PhotoNet, job: Job) -> baseline_weights.Baselines:
    """The baselines on the encoder of ``net``."""
    path = baseline_weights.shipped()
    job.assets.note(path.name, sha256(path))
    return baseline_weights.load_baselines(net.encoder)


def by_network(net: PhotoNet, transform: str = "wct") -> Method:
    """The network as it is written, on pictures of any size; [0, 1]."""

    def method(content: Tensor, style: Tensor) -> Tensor:
        with torch.inference_mode():
            c, s = (pad_to_multiple(x[None], MULTIPLE) for x in (content, style))
            return crop(net(c, s, transform), *content.shape[1:])[0].clamp(0, 1)

    return method


def photographic(job: Job) -> dict[str, Method]:
    """PhotoNet and what it is compared with, as it is and with the smoothing that is usual after it."""
    net = network("photonet", job)
    others = baselines(net, job)
    bare: dict[str, Method] = {
        "PhotoNet": by_network(net),
        "PhotoWCT": lambda c, s: stylize(others.photowct, c, s),
        "WCT2": lambda c, s: stylize(others.wct2, c, s),
    }
    return {
        "PhotoNet": bare["PhotoNet"],
        "PhotoWCT": bare["PhotoWCT"],
        "PhotoWCT + guided filter": lambda c, s: guided_filter(bare["PhotoWCT"](c, s), c).clamp(0, 1),
        "PhotoWCT + matting": lambda c, s: matting_smoothing(bare["PhotoWCT"](c, s), c).clamp(0, 1),
        "WCT2": bare["WCT2"],
    }


def side_by_side(methods: Mapping[str, Method], pairs: Sequence[Pair]) -> list[dict[str, Tensor]]:
    """Rows of a contact sheet: content, style, and what every method makes of them."""
    return [{"content": c, "style": t, **{name: method(c, t) for name, method in methods.items()}} for _, c, t in pairs]


def judge(s: Pairs, job: Job) -> Callable[[Tensor], list[Tensor]]:
    """Levels of a picture (3, H, W), for distances between styles."""
    if s.judge == "vgg19":
        encoder = load_vgg19(job.assets.find("weights/vgg19_normalised_conv3_1.pt"))
    else:
        encoder = network("photonet", job).encoder
    with_padding = 2 ** (encoder.depth - 1)

    def levels(picture: Tensor) -> list[Tensor]:
        with torch.inference_mode():
            return encoder(pad_to_multiple(picture[None], with_padding))

    return levels


def judged_by(s: Pairs) -> str:
    """For the reason of a verdict: which encoder the networks use, and which one compares."""
    other = "normalised VGG-19 to relu3_1" if s.judge == "vgg19" else "the same encoder"
    return f"Networks and baselines use {ENCODER}; styles are compared by the features of {other}."


def style_distance(levels: list[Tensor], target: list[Tensor]) -> float:
    """Relative distance of Gram matrices, mean over levels."""
    return sum(float(gram_distance(a, b)) for a, b in zip(levels, target, strict=True)) / len(target)


def feature_distance(levels: list[Tensor], target: list[Tensor]) -> float:
    """Relative distance of features at the same places, mean over levels."""
    pairs = zip(levels, target, strict=True)
    return sum(float((a - b).norm() / b.norm().clamp_min(1e-12)) for a, b in pairs) / len(target)


def averages(rows: Mapping[str, list[float]], digits: int = 3) -> str:
    """``PhotoNet 0.812, PhotoWCT 0.633``: means for a sentence."""
    return ", ".join(f"{name} {sum(v) / len(v):.{digits}f}" for name, v in rows.items())
