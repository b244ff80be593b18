"""What the measurements have in common: networks, and pairs of a content and a style picture."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict

from torch import Tensor

from claimkit.experiment import Job, Settings
from claimkit.files import sha256
from claimkit.photographs import held_out as held_out
from claimkit.style.encoders import load_vgg19, read_state
from claimkit.style.images import read_image
from styleproj.networks.network import Decoder, StyleNetwork
from styleproj.networks.weights import load_network, weights_file
from styleproj.pictures.stylizer import Stylizer
from styleproj.samples import CONTENTS, STYLES, photograph, square

Encoder = Literal["slim", "vgg19"]
NAMES: dict[Encoder, str] = {
    "slim": "this package's slim encoder (not VGG), features before ReLU",
    "vgg19": "normalised VGG-19 to relu3_1 with its public inverter, features before ReLU",
}


@dataclass(frozen=True)
class Pairs(Settings):
    """Which pictures are seen by which network."""

    encoder: Encoder = "slim"
    side: int = 192
    contents: int = 4
    styles: int = 3
    development: bool = False
    """Held-out photographs and paintings of the development data instead of those that come with libraries."""


def network(encoder: Encoder, job: Job) -> StyleNetwork:
    """``slim``, trained for the projection alone, or VGG-19 with the decoder that others trained for its relu3_1."""
    if encoder == "slim":
        file = weights_file("slim")
        job.assets.note(file.name, sha256(file))
        return load_network(file).to(job.device)
    vgg = load_vgg19(job.assets.find("weights/vgg19_normalised_conv3_1.pt"), 3)
    decoder = Decoder(vgg.channels, (2, 2), (3,))
    decoder.load_state_dict(read_state(job.assets.find("weights/vgg19_normalised_decoder3_1.pt")))
    return StyleNetwork(vgg, decoder).eval().requires_grad_(False).to(job.device)


class CutFirst(Stylizer):
    """As pictures were made before claim P18: what is decoded is cut to [0, 1] before its colours are mapped."""

    limit = float("inf")

    def decode(self, features: Sequence[Tensor]) -> Tensor:
        """The picture of features, cut off."""
        return super().decode(features).clamp(0, 1)


class Colours(TypedDict):
    """Settings of a :class:`Stylizer` for its map of colours."""

    max_gain: float
    soft_clip: float


CUT: Colours = {"max_gain": 1.0, "soft_clip": 0.0}
"""The map of colours as it was before claim P16: no difference grows, and what leaves the range is cut off."""
BENT: Colours = {"max_gain": 1.3, "soft_clip": 0.2}
"""That of claims P16 and P17."""


def as_in_the_paper(net: StyleNetwork, job: Job, tile: int = 1024) -> Stylizer:
    """Pictures by the projection alone, as the tool made them before claim P12; their colours are mapped without a bound."""
    return CutFirst(net, transform="projection", max_gain=float("inf"), soft_clip=0.0, device=job.device, tile=tile)


def pairs(s: Pairs, job: Job) -> list[tuple[str, Tensor, Tensor]]:
    """Name, content and style ``(1, 3, side, side)``; every content with every style, or as many pairs drawn by the seed."""
    if not s.development:
        job.assets.note("photographs of scikit-image and scikit-learn", "the wheels'")
        contents = {n: photograph(n) for n in CONTENTS[: s.contents]}
        styles = {n: photograph(n) for n in STYLES[: s.styles]}
        couples = [(f"{c}-{t}", contents[c], styles[t]) for c in contents for t in styles]
    else:
        draw = random.Random(job.seed)
        photos = draw.sample(held_out("photos", job), s.contents * s.styles)
        paintings = held_out("paintings", job)
        folder = job.assets.find("images/photos").parent
        job.assets.find("images/paintings")
        couples = []
        for i, photo in enumerate(photos):
            painting = paintings[i % len(paintings)]
            couples.append((f"{photo}-{painting}", read_image(folder / photo), read_image(folder / painting)))
    return [(name, _prepared(content, s, job), _prepared(style, s, job)) for name, content, style in couples]


def _prepared(image: Tensor, s: Pairs, job: Job) -> Tensor:
    return square(image, s.side)[None].to(job.device)
