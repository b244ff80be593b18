"""How the shipped slim encoder came to be: a closed-form start, then imitation of its teachers beside reconstruction."""

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from paperkit.run import seed_everything
from paperkit.style.encoders import SlimEncoder
from paperkit.training.closed_form import chosen_channels, start_encoder
from paperkit.training.crops import Crops
from paperkit.training.loop import Loop
from photonet.architecture import PRESETS
from photonet.network import Decoder
from photonet.teachers import Teacher
from photonet.weights import save_networks


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
        imitation: Weight of the feature loss; that of the reconstruction is 1, both relative to their target's variance.
        seed: Of crops.
    """

    channels: tuple[int, ...] = (16, 32, 64, 112, 112)
    steps: int = 1500
    batch: int = 8
    imitated: int = 4
    crop: int = 128
    learning_rate: float = 2e-3
    imitation: float = 1.0
    seed: int = 0


def distill(photos: list[Path], weights: Path, out: Path, settings: Distillation, resume: bool = False) -> Path:
    """Make the encoder, beside an ArtNet that has to reconstruct from it; writes ``out/network.safetensors``.

    ArtNet is the hardest of the decoders, as it sees the picture through the bottleneck alone: what it needs, all need.

    Args:
        photos: Photographs.
        weights: Folder of the teachers' files.
        out: Folder of checkpoint, log, samples and result.
        settings: What to do.
        resume: Go on from the checkpoint in ``out``.
    """
    seed_everything(settings.seed)
    crops, teacher = Crops(photos, seed=settings.seed), Teacher(weights).to(memory_format=torch.channels_last)

    def draw(step: int, count: int) -> Tensor:
        return crops.at(step).draw(count, settings.crop).contiguous(memory_format=torch.channels_last)

    encoder = SlimEncoder(settings.channels, (2, 2, 2, 2))
    decoder = Decoder(PRESETS["artnet"], settings.channels)
    images = draw(2**31, 32)
    activations = teacher.activations(images)
    chosen = [chosen_channels(activations[f"conv{k}_1"], c) for k, c in enumerate(settings.channels, start=1)]
    scales = [activations[f"conv{k}_1"][:, i].std((0, 2, 3), keepdim=True) for k, i in enumerate(chosen, start=1)]
    if not resume:
        for name, share in start_encoder(encoder, images, activations).items():
            print(f"{name}: explains {share:.2f}", flush=True)
    network = nn.ModuleDict({"encoder": encoder, "decoder": decoder}).to(memory_format=torch.channels_last)
    held_out = draw(2**31 + 1, 8)

    def step(i: int) -> dict[str, Tensor]:
        images = draw(i, settings.batch)
        asked = images[: settings.imitated]
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                wanted = [f[:, at] / scale for f, at, scale in zip(teacher(asked), chosen, scales, strict=True)]
            features = encoder(images)
            picture = decoder(dict(enumerate(features, start=1))).float()
        errors = [F.mse_loss(f[: len(asked)].float(), w.float()) for f, w in zip(features, wanted, strict=True)]
        imitation, reconstruction = torch.stack(errors).mean(), F.mse_loss(picture, images) / 0.06
        levels = {f"level {k}": e for k, e in enumerate(errors, start=1)}
        total = reconstruction + settings.imitation * imitation
        return {"total": total, "reconstruction": reconstruction, "imitation": imitation, **levels}

    def sample() -> Tensor:
        pictures = decoder(dict(enumerate(encoder(held_out), start=1)))
        return torch.cat([torch.cat(list(rows), 2) for rows in (held_out, pictures)], 1)

    identity = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(settings).items() if k != "steps"}
    loop = Loop(
        network, out, settings.steps, settings.learning_rate, sample_every=250, checkpoint_every=100, identity=identity
    )
    loop.run(step, sample, resume)
    path = out / "network.safetensors"
    save_networks(encoder, {"artnet": decoder}, path, {"stage": "encoder", "steps": str(settings.steps)})
    return path
