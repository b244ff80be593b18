"""How the shipped slim encoder came to be: a closed-form start, then imitation of its teachers beside reconstruction.

Norms take mean and contrast from all that PhotoNet's skips carry; what is left of them must pass f5. The encoder therefore
learns from the decoders, too: true VGG features of a quarter of the channels would not reconstruct.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from claimkit.run import seed_everything
from claimkit.style.encoders import LevelEncoder, SlimEncoder
from claimkit.training.closed_form import chosen_channels, start_encoder
from claimkit.training.crops import Crops
from claimkit.training.loop import Loop
from photonet.network.architecture import PRESETS
from photonet.network.auto_encoder import Decoder
from photonet.training.teachers import Teacher
from photonet.weights import load_networks, save_networks

VARIANCE = 0.06  # of photographs


@dataclass(frozen=True)
class Distillation:
    """Settings.

    Attributes:
        channels: Of the slim encoder's levels.
        steps: Steps after the closed-form start.
        batch: Crops a step.
        imitated: Crops of these on which the teachers are asked, too.
        crop: Side of a crop in pixels.
        learning_rate: Of Adam.
        imitation: Weight of the feature loss; that of each reconstruction is 1, all relative to their target's variance.
        networks: Presets whose decoders reconstruct.
        seed: Of crops.
    """

    channels: tuple[int, ...] = (16, 32, 64, 112, 112)
    steps: int = 1500
    batch: int = 8
    imitated: int = 4
    crop: int = 128
    learning_rate: float = 2e-3
    imitation: float = 1.0
    networks: tuple[str, ...] = ("artnet",)
    seed: int = 0


def distill(
    photos: list[Path], weights: Path, out: Path, settings: Distillation, resume: bool = False, start: Path | None = None
) -> Path:
    """Make the encoder beside decoders that have to reconstruct from it; writes ``out/network.safetensors``.

    Args:
        photos: Photographs.
        weights: Folder of the teachers' files.
        out: Folder of checkpoint, log, samples and result.
        settings: What to do.
        resume: Go on from the checkpoint in ``out``.
        start: File of networks to start from; the encoder starts in closed form where it is None.
    """
    seed_everything(settings.seed)
    crops, teacher = Crops(photos, seed=settings.seed), Teacher(weights).to(memory_format=torch.channels_last)

    def draw(step: int, count: int) -> Tensor:
        return crops.at(step).draw(count, settings.crop).contiguous(memory_format=torch.channels_last)

    images = draw(2**31, 32)
    activations = teacher.activations(images)
    chosen = [chosen_channels(activations[f"conv{k}_1"], c) for k, c in enumerate(settings.channels, start=1)]
    scales = [activations[f"conv{k}_1"][:, i].std((0, 2, 3), keepdim=True) for k, i in enumerate(chosen, start=1)]
    known = {} if start is None else load_networks(start)
    encoder: LevelEncoder = SlimEncoder(settings.channels, (2, 2, 2, 2))
    if known:
        encoder = next(iter(known.values())).encoder
    elif not resume:
        for name, share in start_encoder(encoder, images, activations).items():
            print(f"{name}: explains {share:.2f}", flush=True)
    decoders = {n: known[n].decoder if n in known else Decoder(PRESETS[n], settings.channels) for n in settings.networks}
    network = nn.ModuleList([encoder, *decoders.values()]).to(memory_format=torch.channels_last).requires_grad_(True)
    held_out = draw(2**31 + 1, 8)

    def step(i: int) -> dict[str, Tensor]:
        images = draw(i, settings.batch)
        asked = images[: settings.imitated]
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                wanted = [f[:, at] / scale for f, at, scale in zip(teacher(asked), chosen, scales, strict=True)]
            features = encoder(images)
            levels = dict(enumerate(features, start=1))
            pictures = {name: decoder(levels).float() for name, decoder in decoders.items()}
        errors = [F.mse_loss(f[: len(asked)].float(), w.float()) for f, w in zip(features, wanted, strict=True)]
        losses = {name: F.mse_loss(picture, images) / VARIANCE for name, picture in pictures.items()}
        imitation = torch.stack(errors).mean()
        total = torch.stack(list(losses.values())).sum() + settings.imitation * imitation
        each = {f"level {k}": e for k, e in enumerate(errors, start=1)}
        return {"total": total, "imitation": imitation, **losses, **each}

    def sample() -> Tensor:
        levels = dict(enumerate(encoder(held_out), start=1))
        rows = [held_out, *(decoder(levels).clamp(0, 1) for decoder in decoders.values())]
        return torch.cat([torch.cat(list(row), 2) for row in rows], 1)

    identity = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(settings).items() if k != "steps"}
    every = {"sample_every": 250, "checkpoint_every": 100}
    Loop(network, out, settings.steps, settings.learning_rate, identity=identity, **every).run(step, sample, resume)
    path = out / "network.safetensors"
    save_networks(encoder, decoders, path, {"stage": "encoder", "steps": str(settings.steps)})
    return path
