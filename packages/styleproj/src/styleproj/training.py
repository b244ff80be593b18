"""Training a decoder for style projection, for the slim encoder and for VGG-19 alike (2003.07694, section 3.3)."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from paperkit.run import seed_everything
from torch import Tensor, nn
from torch.nn import functional as F

from styleproj.crops import Crops
from styleproj.loop import Loop
from styleproj.losses import Moments, StyleProjectionLoss, moments
from styleproj.network import StyleNetwork
from styleproj.weights import save_network


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of a training.

    Attributes:
        steps: Steps in all.
        batch: Pairs of crops a step.
        crop: Side of the crops in pixels, a multiple of 16.
        learning_rate: Of Adam.
        style_weight: lambda.
        kl_weight: kappa.
        identity_weight: Weight of the error with which one untransformed picture a step is decoded; 0 leaves that out.
        style_crops: Crops of style pictures whose statistics are computed beforehand.
        sample_every: Steps between sample grids.
        checkpoint_every: Steps between checkpoints: the most that a crash can lose.
        bf16: Convolutions in bfloat16; twice as fast on processors that have it.
        seed: Of crops.
    """

    steps: int = 8000
    batch: int = 4
    crop: int = 128
    learning_rate: float = 1e-3
    style_weight: float = 10.0
    kl_weight: float = 1.0
    identity_weight: float = 10.0
    style_crops: int = 1800
    sample_every: int = 500
    checkpoint_every: int = 200
    bf16: bool = False
    seed: int = 0


def train(
    network: StyleNetwork,
    perceive: Sequence[Callable[[Tensor], list[Tensor]]],
    content: list[Path],
    style: list[Path],
    out: Path,
    settings: TrainingSettings,
    resume: bool = False,
) -> Path:
    """Train the decoder; the encoder stays as it is.

    Args:
        network: Encoder and decoder.
        perceive: Give the levels of a picture on which the losses are measured, the network's own encoder or larger ones; asked
            in turn, a step each.
        content: Photographs.
        style: Pictures of styles.
        out: Folder of checkpoint.pt, log.jsonl, samples/ and network.safetensors.
        settings: What to do.
        resume: Go on from the checkpoint in ``out``.

    Returns:
        The file of the trained network.
    """
    seed_everything(settings.seed)
    network.encoder.eval().requires_grad_(False)
    network.decoder.train().requires_grad_(True)
    network.to(memory_format=torch.channels_last)
    photos, paintings = Crops(content, seed=settings.seed), Crops(style, seed=settings.seed + 1)
    loss = StyleProjectionLoss(settings.style_weight, settings.kl_weight)
    amp = torch.autocast("cpu", torch.bfloat16, enabled=settings.bf16)
    paintings.at(0)
    pool = [_image(paintings.draw(8, settings.crop, 3.0)) for _ in range(max(1, settings.style_crops // 8))]
    with torch.no_grad(), amp:
        statistics = {id(p): _joined([moments(p(images)) for images in pool]) for p in perceive}
    styles = torch.cat(pool).mul(255).round().byte()
    del pool

    def decode(contents: Tensor, style_images: Tensor) -> tuple[Tensor, Tensor]:
        """Stylised pictures, and the first content decoded from its own features."""
        with torch.no_grad():
            x, s = network.encode(contents), network.encode(style_images)
            z = [torch.cat([match(a.float(), b.float()), a[:1].float()]) for a, b in zip(x, s, strict=True)]
        pictures = network.decode(tuple(z)).float()
        return pictures[:-1], pictures[-1:]

    def step(i: int) -> dict[str, Tensor]:
        contents = _image(photos.at(i).draw(settings.batch, settings.crop))
        which = torch.randint(len(styles), (settings.batch,), generator=photos.generator)
        judge = perceive[i % len(perceive)]
        with amp:
            with torch.no_grad():
                target = judge(contents)[-1]
            pictures, same = decode(contents, _image(styles[which].float() / 255))
            result = judge(pictures)
        losses = loss(result, target, [(m[which], d[which]) for m, d in statistics[id(judge)]])
        losses["identity"] = F.mse_loss(same, contents[:1]).add(1e-6).sqrt()
        losses["total"] = losses["total"] + settings.identity_weight * losses["identity"]
        return losses

    held_out = _image(photos.at(2**31).draw(6, 2 * settings.crop, 1.3))
    held_styles = _image(paintings.at(2**31).draw(6, 2 * settings.crop, 1.6))

    def sample() -> Tensor:
        rows = [network(held_out, s[None].expand_as(held_out), match) for s in held_styles]
        corner = torch.ones_like(held_out[:1])
        grid = [torch.cat([corner, held_out]), *(torch.cat([s[None], row]) for s, row in zip(held_styles, rows, strict=True))]
        return torch.cat([torch.cat(list(row.clamp(0, 1)), 2) for row in grid], 1)

    loop = Loop(
        network.decoder,
        out,
        settings.steps,
        settings.learning_rate,
        sample_every=settings.sample_every,
        checkpoint_every=settings.checkpoint_every,
        identity={k: v for k, v in asdict(settings).items() if k not in ("steps", "sample_every", "checkpoint_every")},
    )
    loop.run(step, sample, resume)
    path = out / "network.safetensors"
    save_network(network, path, {"steps": str(settings.steps), "seconds": f"{loop.seconds:.0f}"})
    return path


def match(x: Tensor, s: Tensor) -> Tensor:
    """Projection of features of equal size, without gradient; the operator itself is :func:`styleproj.project`."""
    ranks = x.flatten(2).argsort(2)
    return torch.empty_like(x.flatten(2)).scatter_(2, ranks, s.flatten(2).sort(2).values).view_as(x)


def _joined(parts: Sequence[Moments]) -> Moments:
    """The moments of all batches as one."""
    return [(torch.cat([m for m, _ in level]), torch.cat([d for _, d in level])) for level in zip(*parts, strict=True)]


def _image(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)
