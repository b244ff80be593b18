"""How the shipped slim encoder came to be: a closed-form start, then reconstruction with the teachers in view."""

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from claimkit.run import seed_everything
from claimkit.style.encoders import VGG19, SlimEncoder, vgg19_state
from claimkit.training.closed_form import chosen_channels, start_encoder
from claimkit.training.crops import Crops
from claimkit.training.loop import Loop
from styleproj.networks.closed_form import start_decoder
from styleproj.networks.network import Decoder, StyleNetwork
from styleproj.networks.teachers import Teacher
from styleproj.networks.weights import save_network


@dataclass(frozen=True)
class Distillation:
    """Settings of the first stage.

    Attributes:
        channels: Of the slim encoder's levels.
        levels: Levels that the decoder is given.
        residuals: Residual blocks of the decoder by block.
        steps: Steps after the closed-form start.
        batch: Crops a step.
        imitated: Crops of these on which the teacher is asked too.
        crop: Side of a crop in pixels.
        learning_rate: Of Adam.
        imitation: Weight of the feature loss; that of the reconstruction is 1, both relative to their target's variance.
        seed: Of crops.
    """

    channels: tuple[int, ...] = (16, 32, 64, 128)
    levels: tuple[int, ...] = (3, 4)
    residuals: tuple[int, ...] = (0, 0, 2)
    steps: int = 3000
    batch: int = 8
    imitated: int = 2
    crop: int = 96
    learning_rate: float = 2e-3
    imitation: float = 0.2
    seed: int = 0


def new_network(channels: tuple[int, ...], levels: tuple[int, ...], residuals: tuple[int, ...]) -> StyleNetwork:
    """A slim encoder and its decoder, random."""
    encoder = SlimEncoder(channels, (2,) * (len(channels) - 1))
    return StyleNetwork(encoder, Decoder(channels, encoder.convolutions[:-1], levels, residuals))


def distill(
    content: list[Path], style: list[Path], weights: Path, out: Path, settings: Distillation, resume: bool = False
) -> StyleNetwork:
    """Make the slim encoder and a decoder that reconstructs; writes ``out/network.safetensors``.

    Args:
        content: Photographs.
        style: Paintings; a quarter of the crops come from them.
        weights: Folder of the teachers' files.
        out: Folder of checkpoint, log, samples and result.
        settings: What to do.
        resume: Go on from the checkpoint in ``out``.
    """
    seed_everything(settings.seed)
    photos, paintings = Crops(content, seed=settings.seed), Crops(style, seed=settings.seed + 1)
    compressed = weights / "vgg19_distilled16x.pt"
    teacher = Teacher(weights / "vgg19_normalised_conv3_1.pt", compressed).to(memory_format=torch.channels_last)
    further = VGG19(4)  # its conv3_2 to conv3_4 alone are asked
    further.load_state_dict(vgg19_state(weights / "vgg19_imagenet_conv3_4.pt"), strict=False)

    def draw(step: int, count: int) -> Tensor:
        crops = [paintings.at(step).draw(count // 4, settings.crop), photos.at(step).draw(count - count // 4, settings.crop)]
        return torch.cat(crops).contiguous(memory_format=torch.channels_last)

    network = new_network(settings.channels, settings.levels, settings.residuals)
    images = draw(0, 64)
    with torch.no_grad():
        activations = {name: F.relu(y) for name, y in teacher.shallow.activations(images)}
        activations["conv3_2"] = F.relu(dict(further.activations(images))["conv3_4"])
        activations["conv4_1"] = teacher.deepest(images)
    depth = len(settings.channels)
    chosen = [chosen_channels(activations[f"conv{k}_1"], c) for k, c in enumerate(settings.channels, start=1)]
    scales = [activations[f"conv{k + 1}_1"][:, i].std((0, 2, 3), keepdim=True) for k, i in enumerate(chosen)]
    if not (out / "checkpoint.pt").exists():
        explained = start_encoder(network.encoder, images, activations) | start_decoder(network, images)
        for name, share in explained.items():
            print(f"{name}: explains {share:.2f}")
    network.to(memory_format=torch.channels_last)
    held_out = draw(1, 16)

    def step(i: int) -> dict[str, Tensor]:
        images = draw(i + 2, settings.batch)
        asked = slice(None, None, settings.batch // settings.imitated)
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                wanted = [f[:, i] / s for f, i, s in zip(teacher(images[asked])[:depth], chosen, scales, strict=True)]
            features = network.encoder(images)
            picture = network.decode(tuple(features[k - 1] for k in settings.levels)).float()
        pairs = zip(features, wanted, strict=True)
        imitation = torch.stack([F.mse_loss(f[asked].float(), w.float()) for f, w in pairs]).mean()
        reconstruction = F.mse_loss(picture, images) / 0.06 + 0.1 * F.l1_loss(picture, images) / 0.2
        total = reconstruction + settings.imitation * imitation
        return {"total": total, "reconstruction": reconstruction, "imitation": imitation}

    def sample() -> Tensor:
        pictures = network.decode(network.encode(held_out))
        return torch.cat([torch.cat(list(rows[:8]), 2) for rows in (held_out, pictures)], 1)

    identity = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(settings).items() if k != "steps"}
    loop = Loop(network, out, settings.steps, settings.learning_rate, sample_every=500, identity=identity)
    loop.run(step, sample, resume)
    save_network(network, out / "network.safetensors", {"stage": "reconstruction", "steps": str(settings.steps)})
    return network
