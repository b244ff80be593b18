"""Training decoders to reconstruct, the C-step of PhotoNet (arXiv 1912.02398): no transfer, no style, photographs alone.

L = w_x MSE(D(E(x)), x) + w_f mean_i MSE(E_i(D(E(x))), E_i(x)), both weights 1/2 in the authors' code, with Adam.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from claimkit.errors import InputError
from claimkit.run import checkpoint, choose_device, seed_everything
from claimkit.style.encoders import LevelEncoder, load_vgg19
from claimkit.style.images import image_files
from claimkit.training import parallel
from claimkit.training.crops import Crops
from claimkit.training.loop import Loop
from photonet.network.architecture import Architecture
from photonet.network.auto_encoder import Decoder
from photonet.training.closed_form import start_decoder
from photonet.training.settings import TrainingSettings
from photonet.weights import load_networks, save_networks

WIDEST = 128  # channels up to which a regression for every convolution is a matter of seconds


def reconstruction_losses(
    encoder: LevelEncoder, decoder: Decoder, images: Float[Tensor, "b 3 h w"], levels: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """Both losses of the C-step: mean squared error of the picture, and of its features averaged over the five levels.

    Args:
        encoder: E.
        decoder: D.
        images: x, RGB in [0, 1].
        levels: E(x).
    """
    picture = decoder(dict(enumerate(levels, start=1)))
    again = encoder(picture)
    features = torch.stack([F.mse_loss(a.float(), b.float()) for a, b in zip(again, levels, strict=True)]).mean()
    return F.mse_loss(picture.float(), images), features


# the options of styleproj's, described again: neither package imports the other, and what is trained differs
def train(
    encoder: LevelEncoder,
    decoders: Mapping[str, Decoder],
    pictures: Sequence[Path] | Crops,
    out: Path,
    settings: TrainingSettings,
    resume: bool = False,
    device: str = "auto",
) -> Path:
    """Train decoders together, each on its own loss; the encoder stays as it is and looks at every crop once.

    Args:
        encoder: Five levels.
        decoders: By the name under which they are kept.
        pictures: Photographs.
        out: Folder of checkpoint.pt, log.jsonl, samples/ and network.safetensors.
        settings: What to do.
        resume: Go on from the checkpoint in ``out``.
        device: Where to train.

    Returns:
        The file of the trained networks.
    """
    seed_everything(settings.seed)
    device = parallel.join(choose_device(device))
    encoder.to(torch.device(device)).to(memory_format=torch.channels_last).eval().requires_grad_(False)
    trained = nn.ModuleList(decoders.values()).to(torch.device(device)).to(memory_format=torch.channels_last)
    trained.train().requires_grad_(True)
    crops = pictures if isinstance(pictures, Crops) else Crops(pictures, seed=settings.seed)
    amp = torch.autocast(device.split(":")[0], torch.bfloat16, enabled=settings.bf16)

    def draw(step: int, count: int) -> Tensor:
        images = crops.at(step).draw(count, settings.crop)
        return images.to(device).contiguous(memory_format=torch.channels_last)

    def step(i: int) -> dict[str, Tensor]:
        images, losses = parallel.share(draw(i, settings.batch)), {}
        with amp:
            with torch.no_grad():
                levels = encoder(images)
            for name, decoder in decoders.items():
                image, features = reconstruction_losses(encoder, decoder, images, levels)
                losses[f"{name} image"], losses[f"{name} features"] = image, features
        of = [(losses[f"{n} image"], losses[f"{n} features"]) for n in decoders]
        total = sum((settings.image_weight * x + settings.feature_weight * f for x, f in of), torch.zeros((), device=device))
        return losses | {"total": total}

    shown = draw(2**31, 6)

    def sample() -> Tensor:
        levels = dict(enumerate(encoder(shown), start=1))
        rows = [shown, *(decoder(levels).clamp(0, 1) for decoder in decoders.values())]
        return torch.cat([torch.cat(list(row), 2) for row in rows], 1).cpu()

    unbound = ("steps", "sample_every", "checkpoint_every")
    loop = Loop(
        trained,
        out,
        settings.steps,
        settings.learning_rate,
        sample_every=settings.sample_every,
        checkpoint_every=settings.checkpoint_every,
        identity={k: v for k, v in asdict(settings).items() if k not in unbound}
        | {"networks": [f"{n} {d.architecture}" for n, d in decoders.items()]},
    )
    loop.run(step, sample, resume)
    path = out / "network.safetensors"
    if parallel.leads():
        save_networks(encoder, decoders, path, {"steps": str(settings.steps), "seconds": f"{loop.seconds:.0f}"})
    return path


def train_from_folder(
    content: Path,
    architectures: Sequence[str],
    out: Path,
    encoder: Path | None,
    settings: TrainingSettings,
    resume: bool = False,
    device: str = "auto",
) -> Path:
    """What ``photonet train`` does: :func:`train` on the pictures of a folder.

    Decoders that come with the package are trained further; others for a slim encoder start in closed form.

    Args:
        content: Folder of photographs.
        architectures: Strings of bits or names of presets.
        out: Folder of results.
        encoder: File of a VGG-19 as deep as relu5_1; the shipped encoder where it is None.
        settings: What to do.
        resume: Go on from the checkpoint in ``out``.
        device: Where to train.
    """
    if not architectures:
        raise InputError("no architecture was given: name at least one")
    wanted = {name.lower(): Architecture.parse(name) for name in architectures}
    given = load_networks() if encoder is None else {}
    known = {n.architecture: n.decoder for n in given.values()}
    looks = next(iter(given.values())).encoder if encoder is None else load_vgg19(encoder)
    if looks.depth < 5:
        raise InputError(f"{encoder} goes to relu{looks.depth}_1 only: PhotoNet needs a VGG-19 to relu5_1")
    checkpoint(out, resume)
    crops = Crops(image_files(content), seed=settings.seed)
    decoders = {name: known.get(a) or Decoder(a, looks.channels) for name, a in wanted.items()}
    if not resume and max(looks.channels) <= WIDEST:
        images = crops.at(0).draw(24, max(128, settings.crop))
        for decoder in decoders.values():
            if decoder.architecture not in known:
                start_decoder(looks, decoder, images)
    return train(looks, decoders, crops, out, settings, resume, device)
