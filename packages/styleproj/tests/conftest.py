import random

import pytest
import torch

from claimkit.style.encoders import SlimEncoder
from claimkit.testing.fixtures import one_thread as one_thread
from claimkit.testing.fixtures import vgg as vgg
from styleproj.networks.network import Decoder, StyleNetwork


@pytest.fixture(autouse=True)
def seeded():
    """No test's numbers are another run's: Python's draws begin here, torch's in ``one_thread``."""
    random.seed(0)


@pytest.fixture
def network():
    """A small network of random weights, with two levels."""
    return lively((4, 6, 8, 8), (2, 2, 2), (3, 4), (1, 1))


@pytest.fixture(params=[((4, 6, 8, 8), (2, 2, 2), (3, 4), (1, 1)), ((4, 6, 8), (2, 1, 3), (3,), (0, 0, 2))])
def each_network(request):
    """The same, and one of one level with several convolutions at its size."""
    return lively(*request.param)


def lively(channels, convolutions, levels, residuals):
    """A network of random weights that keep a signal alive from end to end."""
    torch.manual_seed(1)
    net = StyleNetwork(SlimEncoder(channels), Decoder(channels, convolutions, levels, residuals))
    for layer in net.modules():
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    net.decoder.conv1_1.weight.data.mul_(0.05)
    net.decoder.conv1_1.bias.data.fill_(0.5)
    return net.eval().requires_grad_(False)
