"""Training the baselines' decoders: reconstruction alone, as photonet's own decoders are trained, no transfer."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from paperkit.style.encoders import LevelEncoder
from photonet.baselines.levels import rescaled
from photonet.baselines.weights import Baselines


def fresh(encoder: LevelEncoder) -> Baselines:
    """Baselines at the start of a training: the encoder frozen, the decoders with weights that keep a signal's size."""
    baselines = Baselines.new(encoder.eval().requires_grad_(False))
    for decoder in (*baselines.photowct.decoders, *baselines.wct.decoders, baselines.wct2.decoder):
        rescaled(decoder)  # type: ignore[arg-type]
    return baselines


def reconstructions(baselines: Baselines, images: Tensor) -> Iterator[tuple[str, int, Tensor]]:
    """Name, level and picture of every decoder, without a transfer; sizes are multiples of 8."""
    for name, cascade in (("photowct", baselines.photowct), ("wct", baselines.wct)):
        for level in range(1, cascade.depth + 1):
            yield name, level, cascade.reconstruct(images, level)
    yield "wct2", baselines.wct2.depth, baselines.wct2.reconstruct(images)


def losses(baselines: Baselines, images: Tensor) -> dict[str, Tensor]:
    """Of every decoder: mean square error of the picture and, a tenth, of the features of its level; ``total`` is the sum.

    The features' share is relative to their variance, that of the picture to 0.06, that of photographs.
    """
    encoder = baselines.photowct.encoder
    with torch.no_grad():
        wanted = encoder(images, baselines.photowct.depth)
    found = {}
    for name, level, picture in reconstructions(baselines, images):
        features = encoder(picture, level)[-1]
        target = wanted[level - 1]
        found[f"{name}{level}"] = F.mse_loss(picture, images) / 0.06 + 0.1 * F.mse_loss(features, target) / target.var()
    return found | {"total": torch.stack(list(found.values())).sum()}
