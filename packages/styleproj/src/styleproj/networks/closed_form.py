"""A decoder without a step of training: each convolution fitted by ridge regression on what the one before it gives."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from claimkit.errors import InputError
from claimkit.style.encoders import LevelEncoder
from claimkit.training.closed_form import explained, fit_convolution
from styleproj.networks.network import Decoder, Features, StyleNetwork


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
    if first_above_zero(network, network.encode(images)) >= ALIVE:
        return False
    own = list(network.encoder.activations(images))
    deepest = next(i for i, (_, y) in enumerate(own) if torch.equal(y, network.encode(images)[-1]))
    given, target = F.relu(network.encode(images)[-1]), F.max_pool2d(F.relu(own[deepest - 1][1]), 2)
    layers: list[nn.Conv2d] = [getattr(network.decoder, n) for n in (first, second)]
    fit_convolution(layers[0], given, target, rectified=True)
    layers[1].weight[:, : layers[0].out_channels] = 0
    return True


def first_above_zero(network: StyleNetwork, features: Features) -> float:
    """Share of the values of the decoder's first convolution, which alone sees the deepest level, that are above zero."""
    _, _, y = next(iter(network.decoder.activations(tuple(f[None] if f.ndim == 3 else f for f in features))))
    return float((y > 0).float().mean())


@torch.no_grad()
def shallower(network: StyleNetwork, images: Tensor) -> StyleNetwork:
    """The network without a deepest level of which the decoder takes nothing: the same pictures for less work.

    Raises:
        InputError: There is one level alone, or the decoder takes something of the deepest on these pictures.
    """
    encoder, decoder = network.encoder, network.decoder
    if len(network.levels) < 2 or network.levels[-2:] != (encoder.depth - 1, encoder.depth):
        raise InputError(f"levels {network.levels}: a deepest level is left out where the one before it is handed over, too")
    share = first_above_zero(network, network.encode(images))
    if share >= ALIVE:
        raise InputError(f"the decoder takes {share:.1%} of what the deepest level gives: without it pictures would change")
    channels = encoder.channels[:-1]
    smaller = StyleNetwork(
        LevelEncoder(channels, encoder.convolutions[:-2], encoder.padding),
        Decoder(channels, decoder.convolutions[:-1], network.levels[:-1], decoder.residuals[:-1]),
    )
    state = network.state_dict()
    for name, tensor in smaller.state_dict().items():
        tensor.copy_(state[name][:, -tensor.shape[1] :] if tensor.dim() > 1 else state[name])
    return smaller.eval().requires_grad_(False).to(memory_format=torch.channels_last)
