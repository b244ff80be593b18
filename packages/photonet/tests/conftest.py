import pytest
import torch
from torch import nn

from claimkit.style.encoders import VGG19, SlimEncoder
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


def fake_teachers(folder):
    """Files of the shapes of the real ones, random."""
    folder.mkdir()
    torch.manual_seed(0)
    full = {k.replace("input", "conv0"): v for k, v in VGG19(4).state_dict().items()}
    shallow = ("conv0.", "conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1")
    torch.save({k: v for k, v in full.items() if k.startswith(shallow)}, folder / "vgg19_normalised_conv3_1.pt")
    torch.save({k: v for k, v in full.items() if "4_1" not in k}, folder / "vgg19_imagenet_conv3_4.pt")
    layers = {"conv0": nn.Conv2d(3, 3, 1)}
    width = 3
    for b, (c, n, wide) in enumerate(zip((4, 4, 6, 8, 8), (2, 2, 4, 4, 1), (64, 128, 256, 512, 512), strict=True), start=1):
        for i in range(1, n + 1):
            layers[f"conv{b}{i}"], width = nn.Conv2d(width, c, 3), c
        layers[f"conv{b}1_aux"] = nn.Conv2d(c, wide, 1)
    state = {f"SE5.{name}.{part}": t for name, layer in layers.items() for part, t in layer.state_dict().items()}
    for name, wide, narrow in (("conv51", 8, 8), ("conv41", 8, 6), ("conv31", 6, 4), ("conv21", 4, 4), ("conv11", 4, 3)):
        state |= {f"SD5.{name}.{part}": t for part, t in nn.Conv2d(wide, narrow, 3).state_dict().items()}
    torch.save(state, folder / "vgg19_distilled16x.pt")


@pytest.fixture
def teachers():
    return fake_teachers
