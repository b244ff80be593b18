"""Training a network further as pictures are made with it: its transform and the bounded map of colours are in the loop."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from claimkit.run import seed_everything
from claimkit.style.looks import Judge, content_distance, edge_similarity, style_distance, style_gram_distance
from claimkit.style.transforms import Statistics, ot_map
from claimkit.training.crops import Crops
from claimkit.training.loop import Loop
from styleproj.networks.closed_form import revive
from styleproj.networks.network import StyleNetwork
from styleproj.networks.weights import save_network
from styleproj.operator import kernels
from styleproj.operator.projection import project
from styleproj.operator.transforms import bounded
from styleproj.pictures.colour import soft_clip
from styleproj.training import looks


@dataclass(frozen=True)
class Adaptation:
    """Settings of the training.

    Attributes:
        batch: Pictures a step, each of its own photograph and painting.
        crop: Side of the crops in pixels, a multiple of 16.
        learning_rate: Of Adam.
        encoder: Learning rate of the encoder as a share of the decoder's; 0 leaves the encoder, and so every style that was
            kept, as it is.
        max_gain: Bound of the map of colours.
        limit: How far outside [0, 1] a mapped value may lie, as ``Stylizer.limit``.
        soft_clip: Width of what is bent at either end of the range, see :func:`styleproj.pictures.colour.soft_clip`.
        style: Weight of the distance of means and deviations.
        gram: Weight of the distance of Gram matrices.
        content: Weight of the distance of normalised deep features.
        edges: Weight of what is missing of the drawing.
        weave: Weight of the logarithm of grid power beyond :attr:`woven`.
        foreign: Weight of colours that are farther than :attr:`allowed` from the style's.
        outside: Weight of values outside [0, 1], which would be clipped.
        identity: Weight of the error with which an untransformed photograph is decoded.
        woven: Grid power over its surroundings that counts as none.
        allowed: Distance in RGB that is no foreign colour.
        half_size: Judge at half the size alone, as a picture of 512 pixels is looked at whole; otherwise every other step
            judges a part at its full size.
        revive: Bring back a deepest level that the decoder does not look at (:func:`revive`).
        seed: Of crops.
    """

    batch: int = 3
    crop: int = 192
    learning_rate: float = 1e-3
    encoder: float = 0.0
    max_gain: float = 1.3
    limit: float = math.inf
    soft_clip: float = 0.2
    style: float = 12.0
    gram: float = 8.0
    content: float = 4.0
    edges: float = 2.0
    weave: float = 0.1
    foreign: float = 30.0
    outside: float = 40.0
    identity: float = 4.0
    woven: float = 1.05
    allowed: float = 0.05
    half_size: bool = False
    revive: bool = False
    seed: int = 0


def as_made(
    network: StyleNetwork, content: Tensor, style: Tensor, max_gain: float, width: float, limit: float = math.inf
) -> tuple[Tensor, Tensor]:
    """A batch of pictures as ``Stylizer(max_gain=max_gain, soft_clip=width)`` with that ``limit`` makes them, not clamped.

    The first photograph, only encoded and decoded, is the second thing returned. Gradients reach the decoder, and an encoder
    that is not frozen through the content's features: ranks have no gradient, so it is that of the features before the
    projection with their mean and deviation held, which the projection replaces by the style's. The style's features and
    the maps of features and of colours are taken as given.
    """
    fast = torch.autocast("cpu", torch.bfloat16)
    with fast:
        encoded = network.encode(content)
        with torch.no_grad():
            styles = network.encode(style)
    features = []
    for x, s in ((x.float(), s.float()) for x, s in zip(encoded, styles, strict=True)):
        moved = ot_map(Statistics.of(x.detach()), Statistics.of(s))(x)
        like = moved.detach().std((2, 3), keepdim=True) * F.instance_norm(moved)
        features.append(torch.cat([project(moved.detach(), s, ties="average") + (like - like.detach()), x[:1]]))
    with fast:
        *made, same = network.decode(tuple(features)).float().split(1)
    plain = torch.cat(made)
    own, wanted = Statistics.of(plain.detach()), Statistics.of(style)
    mapped = bounded(ot_map(own, wanted), own.mean, max_gain)(plain).clamp(-limit, 1 + limit)
    return soft_clip(mapped, width), same


def adapt(
    network: StyleNetwork,
    judge: Judge,
    content: list[Path],
    style: list[Path],
    out: Path,
    steps: int,
    settings: Adaptation,
    resume: bool = False,
) -> Path:
    """Train the decoder, and with :attr:`Adaptation.encoder` the encoder along with it.

    Args:
        network: What to go on from.
        judge: Whose features the distances are measured in.
        content: Photographs.
        style: Paintings; turned, mirrored and, every other one, with their channels of colour exchanged.
        out: Folder of checkpoint.pt, log.jsonl, samples/ and network.safetensors.
        steps: In all; another number may be given when a training is resumed.
        settings: What to do.
        resume: Go on from the checkpoint in ``out``.

    Returns:
        The file of the trained network.
    """
    seed_everything(settings.seed)
    kernels.warmup()
    network.to(memory_format=torch.channels_last)
    network.encoder.eval().requires_grad_(settings.encoder > 0)
    network.decoder.train().requires_grad_(True)
    photos, paintings = Crops(content, seed=settings.seed), Crops(style, seed=settings.seed + 1)
    if settings.revive and not resume and revive(network, photos.at(2**30).draw(16, settings.crop, 2.2)):
        print("the decoder's first convolution was dead and is fitted anew", flush=True)
    generator = paintings.generator
    bounds = settings.max_gain, settings.soft_clip, settings.limit

    def step(i: int) -> dict[str, Tensor]:
        x = photos.at(i).draw(settings.batch, settings.crop, 2.2)
        s = _varied(paintings.at(i).draw(settings.batch, settings.crop, 2.2), generator)
        x, s = (t.contiguous(memory_format=torch.channels_last) for t in (x, s))
        made, same = as_made(network, x, s, *bounds)
        made = made.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            whole = settings.half_size or i % 2
            seen = [F.avg_pool2d(t, 2) if whole else _part(t, settings.crop // 2, i) for t in (made, s, x)]
            with torch.no_grad():
                wanted, kept = judge(seen[1]), judge(seen[2])[-1]
            found = judge(seen[0])
        losses = {
            "style": style_distance(found, wanted),
            "gram": style_gram_distance(found, wanted),
            "content": content_distance(found[-1], kept),
            "edges": 1 - edge_similarity(made, x),
            "weave": (looks.weave(made) / settings.woven).log().clamp_min(0),
            "foreign": looks.foreign_colours(made.clamp(0, 1), s, settings.allowed, generator),
            "outside": (made - made.clamp(0, 1)).abs().mean((1, 2, 3)),
            "identity": F.mse_loss(same, x[:1]).add(1e-6).sqrt()[None],
        }
        means = {k: v.mean() for k, v in losses.items()}
        return means | {"total": torch.stack([getattr(settings, k) * v for k, v in means.items()]).sum()}

    shown = photos.at(2**31).draw(4, settings.crop, 1.6)
    shown_styles = paintings.at(2**31).draw(4, settings.crop, 1.6)

    def sample() -> Tensor:
        rows = [as_made(network, shown, s[None].expand_as(shown), *bounds)[0].clamp(0, 1) for s in shown_styles]
        left = torch.cat([torch.ones_like(shown[:1]), shown_styles])
        return torch.cat([torch.cat([a, *row], 2) for a, row in zip(left, [shown, *rows], strict=True)], 1)

    loop = Loop(
        network,
        out,
        steps,
        settings.learning_rate,
        sample_every=400,
        checkpoint_every=100,
        identity=asdict(settings),
        shares={"encoder": settings.encoder},
    )
    loop.run(step, sample, resume)
    path = out / "network.safetensors"
    save_network(network, path, {"steps": str(steps), "seconds": f"{loop.seconds:.0f}"})
    return path


def _varied(styles: Tensor, generator: torch.Generator) -> Tensor:
    """Each by a quarter turn or none, and half of them with their channels of colour in another order."""

    def one(s: Tensor) -> Tensor:
        turns, exchange = torch.randint(4, (2,), generator=generator).tolist()
        s = s.rot90(turns, (1, 2))
        return s[torch.randperm(3, generator=generator)] if exchange < 2 else s

    return torch.stack([one(s) for s in styles])


def _part(x: Tensor, side: int, step: int) -> Tensor:
    """The same part of each picture, another one each step."""
    down, across = (step * 37 % (n - side + 1) for n in x.shape[-2:])
    return x[..., down : down + side, across : across + side]
