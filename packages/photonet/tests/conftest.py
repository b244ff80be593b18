import pytest
import torch

from claimkit.style.encoders import SlimEncoder
from claimkit.testing.fixtures import one_thread as one_thread
from claimkit.testing.fixtures import vgg as vgg
from photonet import Architecture, Decoder, PhotoNet

CHANNELS = (4, 6, 8, 8, 8)


def random_network(architecture, channels=CHANNELS, seed=1):
    """A small network of random weights that keep a signal alive from end to end."""
    torch.manual_seed(seed)
    net = PhotoNet(SlimEncoder(channels, (2, 2, 2, 2)), Decoder(Architecture.parse(architecture), channels))
    for layer in net.modules():
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            torch.nn.init.normal_(layer.bias, std=0.1)
    net.decoder.conv27.weight.data.mul_(0.1)
    net.decoder.conv27.bias.data.fill_(0.5)
    return net.eval().requires_grad_(False)


@pytest.fixture
def network():
    return random_network


@pytest.fixture
def picture():
    """Smooth coloured noise in [0, 1]."""

    def make(height=48, width=64, seed=0):
        generator = torch.Generator().manual_seed(seed)
        coarse = torch.rand(1, 3, height // 8 + 2, width // 8 + 2, generator=generator)
        smooth = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic", align_corners=False)
        return (smooth + 0.05 * torch.randn(1, 3, height, width, generator=generator)).clamp(0, 1)

    return make
