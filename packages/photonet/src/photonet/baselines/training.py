"""Training the baselines' decoders: reconstruction alone, as photonet's own decoders are trained, no transfer.

They start in closed form: every convolution of a decoder gives, in least squares, what the convolution of the same name was
given in the encoder, on what the decoder has made so far.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from claimkit.run import seed_everything
from claimkit.style.encoders import LevelEncoder
from claimkit.training.closed_form import fit_convolution
from claimkit.training.crops import Crops
from claimkit.training.loop import Loop
from photonet.baselines.cascade import Cascade
from photonet.baselines.levels import LevelDecoder, encode
from photonet.baselines.pooling import Pooling
from photonet.baselines.wct2 import HAAR
from photonet.baselines.weights import Baselines, load_baselines, save_baselines

VARIANCE = 0.06  # of photographs, values in [0, 1]


@dataclass(frozen=True)
class BaselineSettings:
    """Settings of the baselines' training.

    Attributes:
        steps: Steps after the closed-form start.
        batch: Crops a step.
        crop: Side of a crop in pixels, a multiple of 8.
        learning_rate: Of Adam.
        features: Weight of the loss of features; that of the picture is 1, both relative to a variance.
        start: Crops of the closed-form start.
        seed: Of crops.
    """

    steps: int = 600
    batch: int = 8
    crop: int = 96
    learning_rate: float = 1e-3
    features: float = 0.1
    start: int = 32
    seed: int = 0


@torch.no_grad()
def fit_decoder(encoder: LevelEncoder, decoder: LevelDecoder, pooling: Pooling, images: Tensor) -> None:
    """The closed-form start of one decoder; images are (b, 3, h, w)."""
    given: dict[str, Tensor] = {}
    hooks = []

    def remember(name: str, layer: nn.Module, x: tuple[Tensor]) -> None:
        given[name] = x[0]

    for name, layer in encoder.named_children():
        hooks.append(layer.register_forward_pre_hook(partial(remember, name)))
    features, kept = encode(encoder, images, decoder.depth, pooling)
    given["conv1_1"] = images

    def fit(name: str, layer: nn.Module, x: tuple[Tensor]) -> None:
        assert isinstance(layer, nn.Conv2d)
        fit_convolution(layer, x[0], given[name], rectified=name != "conv1_1")

    for name, layer in decoder.named_children():
        hooks.append(layer.register_forward_pre_hook(partial(fit, name)))
    decoder(features[-1], pooling, kept)
    for hook in hooks:
        hook.remove()


def started(encoder: LevelEncoder, images: Tensor) -> Baselines:
    """Baselines after the closed-form start, the encoder frozen."""
    baselines = Baselines.new(encoder.eval().requires_grad_(False))
    for cascade in (baselines.photowct, baselines.wct):
        for decoder in cascade.decoders:
            fit_decoder(encoder, decoder, cascade.pooling, images)  # type: ignore[arg-type]
    fit_decoder(encoder, baselines.wct2.decoder, HAAR, images)
    return baselines


def reconstructions(baselines: Baselines, images: Tensor) -> Iterator[tuple[str, int, Tensor]]:
    """Name, level and picture of every decoder, without a transfer; sizes are multiples of 8."""
    named: list[tuple[str, Cascade]] = [("photowct", baselines.photowct), ("wct", baselines.wct)]
    for name, cascade in named:
        for level in range(1, cascade.depth + 1):
            yield name, level, cascade.reconstruct(images, level)
    yield "wct2-", baselines.wct2.depth, baselines.wct2.reconstruct(images)


def losses(baselines: Baselines, images: Tensor, features: float = 0.1) -> dict[str, Tensor]:
    """Of every decoder: mean square error of the picture and of the features of its level; ``total`` is the sum."""
    encoder = baselines.photowct.encoder
    with torch.no_grad():
        wanted = encoder(images, baselines.photowct.depth)
    found = {}
    for name, level, picture in reconstructions(baselines, images):
        target = wanted[level - 1].float()
        apart = F.mse_loss(encoder(picture, level)[-1].float(), target) / target.var()
        found[f"{name}{level}"] = F.mse_loss(picture.float(), images) / VARIANCE + features * apart
    return found | {"total": torch.stack(list(found.values())).sum()}


def train_baselines(
    encoder: LevelEncoder,
    files: Sequence[Path],
    out: Path,
    settings: BaselineSettings,
    resume: bool = False,
    start: Path | None = None,
) -> Path:
    """Train all decoders together; writes ``out/baselines.safetensors`` and returns its path.

    Args:
        encoder: That of the networks to compare with.
        files: Photographs.
        out: Folder of checkpoint, log, samples and result.
        settings: What to do.
        resume: Go on from the checkpoint in ``out``.
        start: File of baselines, for this encoder or one like it, to start from instead of in closed form.
    """
    seed_everything(settings.seed)
    crops = Crops(files, seed=settings.seed)
    if resume:
        baselines = Baselines.new(encoder)
    elif start is None:
        baselines = started(encoder, crops.at(0).draw(settings.start, settings.crop))
    else:
        baselines = load_baselines(encoder, start, any_encoder=True)
    decoders = baselines.decoders.train().requires_grad_(True).to(memory_format=torch.channels_last)
    shown = crops.at(1).draw(6, 128)

    def step(i: int) -> dict[str, Tensor]:
        images = crops.at(i + 2).draw(settings.batch, settings.crop).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            return losses(baselines, images, settings.features)

    def sample() -> Tensor:
        pictures = [shown, *(p for _, _, p in reconstructions(baselines, shown))]
        return torch.cat([torch.cat(list(row), 2) for row in pictures], 1)

    identity = {k: v for k, v in asdict(settings).items() if k != "steps"}
    loop = Loop(decoders, out, settings.steps, settings.learning_rate, sample_every=200, identity=identity)
    loop.run(step, sample, resume)
    path = out / "baselines.safetensors"
    save_baselines(baselines, path, {"steps": str(loop.step), "seconds": f"{loop.seconds:.0f}"})
    return path
