"""A decoder without a step of training: every convolution fitted by ridge regression, from the bottleneck on.

Each is to give what the encoder had at the same size on its way down, the last the picture, and is fitted on what the ones
before it really give. Seconds instead of minutes: a start for training, and a way to compare many architectures.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from claimkit.style.encoders import LevelEncoder
from claimkit.training.closed_form import explained, fit_convolution
from photonet.network.architecture import STAGES, level_of
from photonet.network.auto_encoder import Decoder, normalised

OWN = ("conv17", "conv18", "conv21", "conv22")  # give what the encoder has at the stage's level; the others, at the next


@torch.no_grad()
def start_decoder(encoder: LevelEncoder, decoder: Decoder, images: Float[Tensor, "b 3 h w"]) -> dict[str, float]:
    """Fit all convolutions of a decoder; what it held is overwritten.

    Args:
        encoder: Five levels.
        decoder: For its channels.
        images: RGB in [0, 1]; enough for some 60,000 positions at 1/16 of the size are best, a tenth of that does.

    Returns:
        Share of the variance of its target that each layer explains.
    """
    architecture, shares = decoder.architecture, {}
    found = {name: F.relu(y) for name, y in encoder.activations(images)}
    levels = {k: found[f"conv{k}_1"] for k in range(1, 6)}
    deepest = {k: found[f"conv{k}_{encoder.convolutions[k - 1]}"] for k in range(1, 5)}  # the last of each block

    def fit(name: str, x: Tensor, target: Tensor, rectified: bool = True) -> Tensor:
        layer = decoder.get_submodule(name)
        assert isinstance(layer, nn.Conv2d)
        if target.shape[-1] != x.shape[-1]:
            target = F.avg_pool2d(target, target.shape[-1] // x.shape[-1])
        fit_convolution(layer, x, target, rectified)
        y = F.relu(layer(x)) if rectified else layer(x)
        shares[name] = explained(y, target)
        return y

    pooled = [F.max_pool2d(normalised(levels[k]), 2 ** (5 - k)) for k in architecture.aggregated]
    x = fit("pyramid", torch.cat([levels[5], *pooled], 1), deepest[4], rectified=False)
    for j in STAGES:
        k = level_of(j)
        if k in architecture.skips:
            x = torch.cat([x, normalised(levels[k]) if f"in{k}" in architecture else levels[k]], 1)
        mine, doubled = [r for r in decoder.layers if r.stage == j], j == STAGES[-1]
        for layer in mine:
            if layer.scale < 2 ** (k - 1) and not doubled:
                x, doubled = F.interpolate(x, scale_factor=2, mode="nearest"), True
            if j == STAGES[-1]:
                x = fit(layer.name, x, images, rectified=False)
            else:
                x = fit(layer.name, x, levels[k] if layer.name in OWN else deepest[k - 1])
        if not doubled:
            x = F.interpolate(x, scale_factor=2, mode="nearest")
    return shares
