"""A decoder without a step of training: each convolution fitted by ridge regression on what the one before it gives."""

import torch
from torch import Tensor
from torch.nn import functional as F

from claimkit.training.closed_form import explained, fit_convolution
from styleproj.networks.network import StyleNetwork


@torch.no_grad()
def start_decoder(network: StyleNetwork, images: Tensor) -> dict[str, float]:
    """Fit each of the decoder's convolutions to what the encoder had one convolution earlier, the last to the images.

    Residual blocks stay what they are, which is the identity at first. Returns the share of its target's variance that each
    convolution explains.
    """
    own = {name: F.relu(y) for name, y in network.encoder.activations(images)}
    before = dict(zip(list(own)[1:], list(own)[:-1], strict=True))
    features, shares = network.encode(images), {}
    for name in [n for n, *_ in network.decoder.activations(features)]:
        given = next(x for n, x, _ in network.decoder.activations(features) if n == name)
        target = own[before[name]] if name in before else images
        if target.shape[-1] != given.shape[-1]:
            target = F.max_pool2d(target, 2)
        layer = getattr(network.decoder, name)
        fit_convolution(layer, given, target, rectified=name in before)
        output = layer(given)
        shares[f"decoder.{name}"] = explained(F.relu(output) if name in before else output, target)
    return shares
