"""A decoder without a step of training: each convolution fitted by ridge regression on what the one before it gives."""

import torch
from torch import Tensor, nn
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


ALIVE = 0.01
"""Share of values above zero below which a convolution before a ReLU is dead: no gradient reaches it, nothing passes it."""


@torch.no_grad()
def revive(network: StyleNetwork, images: Tensor) -> bool:
    """Fit the decoder's first convolution anew where it is dead on pictures, so that training can use the deepest level.

    What follows takes nothing of it yet: the pictures that the network makes stay exactly what they are.

    Returns:
        Whether it was dead.
    """
    first, second = (n for n, *_ in list(network.decoder.activations(network.encode(images)))[:2])
    alive = next(y for n, _, y in network.decoder.activations(network.encode(images)) if n == first) > 0
    if alive.float().mean() >= ALIVE:
        return False
    own = list(network.encoder.activations(images))
    deepest = next(i for i, (_, y) in enumerate(own) if torch.equal(y, network.encode(images)[-1]))
    given, target = F.relu(network.encode(images)[-1]), F.max_pool2d(F.relu(own[deepest - 1][1]), 2)
    layers: list[nn.Conv2d] = [getattr(network.decoder, n) for n in (first, second)]
    fit_convolution(layers[0], given, target, rectified=True)
    layers[1].weight[:, : layers[0].out_channels] = 0
    return True
