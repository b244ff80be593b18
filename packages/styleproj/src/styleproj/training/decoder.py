"""Training a decoder for style projection, for the slim encoder and for VGG-19 alike (2003.07694, section 3.3)."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from claimkit.errors import InputError
from claimkit.run import choose_device, seed_everything
from claimkit.style.encoders import load_vgg19
from claimkit.style.images import image_files
from claimkit.training import parallel
from claimkit.training.crops import Crops
from claimkit.training.loop import Loop
from styleproj.networks.network import Decoder, StyleNetwork
from styleproj.networks.weights import load_network, save_network
from styleproj.operator.projection import project
from styleproj.training.losses import Moments, StyleProjectionLoss, moments


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of a training.

    Attributes:
        steps: Steps in all.
        batch: Pairs of crops a step.
        crop: Side of the crops in pixels, a multiple of 16.
        learning_rate: Of Adam.
        style_weight: lambda; 2 was chosen by eye for the shipped weights.
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
    style_weight: float = 2.0
    kl_weight: float = 1.0
    identity_weight: float = 10.0
    style_crops: int = 1800
    sample_every: int = 500
    checkpoint_every: int = 200
    bf16: bool = False
    seed: int = 0


# the options of photonet's, described again: neither package imports the other, and what is trained differs
def train(
    network: StyleNetwork,
    perceive: Sequence[Callable[[Tensor], list[Tensor]]],
    content: list[Path],
    style: list[Path],
    out: Path,
    settings: TrainingSettings,
    resume: bool = False,
    device: str = "auto",
) -> Path:
    """Train the decoder; the encoder stays as it is.

    Args:
        network: Encoder and decoder.
        perceive: Give the levels of a picture on which losses are measured, the network's own encoder or larger ones; asked
            in turn, a step each.
        content: Photographs.
        style: Pictures of styles.
        out: Folder of checkpoint.pt, log.jsonl, samples/ and network.safetensors.
        settings: What to do.
        resume: Go on from the checkpoint in ``out``.
        device: Where to train; what ``perceive`` holds must be there.

    Returns:
        The file of the trained network.
    """
    if settings.crop % network.multiple or settings.crop < 2 * network.multiple:
        raise InputError(
            f"crop must be a multiple of {network.multiple}, at least {2 * network.multiple}, not {settings.crop}"
        )
    seed_everything(settings.seed)
    device = parallel.join(choose_device(device))
    network.to(torch.device(device)).to(memory_format=torch.channels_last)
    network.encoder.eval().requires_grad_(False)
    network.decoder.train().requires_grad_(True)
    photos, paintings = Crops(content, seed=settings.seed), Crops(style, seed=settings.seed + 1)
    loss = StyleProjectionLoss(settings.style_weight, settings.kl_weight)
    amp = torch.autocast(device.split(":")[0], torch.bfloat16, enabled=settings.bf16)

    def at_device(x: Tensor) -> Tensor:
        return x.to(device).contiguous(memory_format=torch.channels_last)

    paintings.at(0)
    pool = [at_device(paintings.draw(8, settings.crop, 3.0)) for _ in range(-(-settings.style_crops // 8))]
    with torch.no_grad(), amp:
        statistics = {id(judge): _joined([moments(judge(images)) for images in pool]) for judge in set(perceive)}
    styles = torch.cat(pool).mul(255).round().byte()
    del pool

    def step(i: int) -> dict[str, Tensor]:
        contents = at_device(parallel.share(photos.at(i).draw(settings.batch, settings.crop)))
        which = parallel.share(torch.randint(len(styles), (settings.batch,), generator=photos.generator)).to(device)
        judge = perceive[i % len(perceive)]
        with amp:
            with torch.no_grad():
                wanted = judge(contents)[-1]
                x, s = network.encode(contents), network.encode(at_device(styles[which].float() / 255))
                projected = [project(a.float(), b.float()) for a, b in zip(x, s, strict=True)]
                with_same = [torch.cat([z, a[:1].float()]) for z, a in zip(projected, x, strict=True)]
            pictures = network.decode(tuple(with_same)).float()
            levels = judge(pictures[:-1])
        losses = loss(levels, wanted, [(m[which], d[which]) for m, d in statistics[id(judge)]])
        losses["identity"] = F.mse_loss(pictures[-1], contents[0]).add(1e-6).sqrt()
        return losses | {"total": losses["total"] + settings.identity_weight * losses["identity"]}

    shown = at_device(photos.at(2**31).draw(6, 2 * settings.crop, 1.3))
    shown_styles = at_device(paintings.at(2**31).draw(6, 2 * settings.crop, 1.6))

    def sample() -> Tensor:
        rows = [network(shown, s[None].expand_as(shown), project) for s in shown_styles]
        left = torch.cat([torch.ones_like(shown[:1]), shown_styles])
        return torch.cat([torch.cat([a, *row], 2) for a, row in zip(left, [shown, *rows], strict=True)], 1).cpu()

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
    if parallel.leads():
        save_network(network, path, {"steps": str(settings.steps), "seconds": f"{loop.seconds:.0f}"})
    return path


def train_from_folders(
    content: Path,
    style: Path,
    out: Path,
    encoder: Path | None,
    teacher: Path | None,
    settings: TrainingSettings,
    resume: bool = False,
    device: str = "auto",
) -> Path:
    """What ``styleproj train`` does: :func:`train` on the pictures of two folders.

    Args:
        content: Folder of photographs.
        style: Folder of pictures of styles.
        out: Folder of results.
        encoder: File of a VGG-19, for which a decoder of the paper's shape is trained from nothing; where it is None, the
            shipped network's decoder is trained further.
        teacher: File of a VGG-19 on whose levels the losses are measured; the encoder's own where it is None.
        settings: What to do.
        resume: Go on from the checkpoint in ``out``.
        device: Where to train.
    """
    files = image_files(content), image_files(style)
    if encoder is None:
        network = load_network()
    else:
        vgg = load_vgg19(encoder)
        network = StyleNetwork(vgg, Decoder(vgg.channels, vgg.convolutions[:-1], (vgg.depth,)))
    judge = network.encoder if teacher is None else load_vgg19(teacher).to(choose_device(device))
    return train(network, [judge], *files, out, settings, resume, device)


def _joined(parts: Sequence[Moments]) -> Moments:
    """The moments of all batches as one."""
    return [(torch.cat([m for m, _ in level]), torch.cat([d for _, d in level])) for level in zip(*parts, strict=True)]
