"""The default layers are those of the released code, and sensible elsewhere."""

import pytest
import torch

from claimkit.transfer.networks import create
from delta.layers import layers_for

RELEASED = {
    "resnet50": ("layer1.2.conv3", "layer2.3.conv3", "layer3.5.conv3", "layer4.2.conv3"),
    "resnet101": ("layer1.2.conv3", "layer2.3.conv3", "layer3.22.conv3", "layer4.2.conv3"),
    "inception_v3": ("Conv2d_2b_3x3", "Conv2d_4a_3x3", "Mixed_5d", "Mixed_6e"),
}
OTHERS = {
    "resnet18": ("layer1.1.conv2", "layer2.1.conv2", "layer3.1.conv2", "layer4.1.conv2"),
    "wide_resnet50_2": RELEASED["resnet50"],
    "resnext50_32x4d": RELEASED["resnet50"],
    "vgg11": ("features.3", "features.8", "features.13", "features.18"),
    "mobilenet_v2": ("features.3.conv.2", "features.6.conv.2", "features.13.conv.2", "features.18.0"),
    "squeezenet1_1": ("features.4.expand3x3", "features.7.expand3x3", "features.12.expand3x3"),
}


@pytest.mark.parametrize("arch", [*RELEASED, *OTHERS])
def test_networks_of_torchvision(arch):
    model = create(arch)
    assert layers_for(model, torch.zeros(1, 3, 64, 64)) == {**RELEASED, **OTHERS}[arch]
    assert model.training, "the mode is as it was"
    assert not any(m._forward_hooks for m in model.modules())


def test_networks_for_small_images():
    x = torch.zeros(1, 3, 32, 32)
    assert layers_for(create("cifar-resnet20"), x) == ("layer1.2.conv2", "layer2.2.conv2", "layer3.2.conv2")
    assert layers_for(create("small-cnn"), torch.zeros(1, 1, 8, 8)) == ("conv2", "conv3")


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("resnet26", ("layer1.1.conv3", "layer2.1.conv3", "layer3.1.conv3", "layer4.1.conv3")),
        ("efficientnet_lite0", ("blocks.1.1.conv_pwl", "blocks.2.1.conv_pwl", "blocks.4.2.conv_pwl", "conv_head")),
    ],
)
def test_networks_of_timm(name, layers):
    timm = pytest.importorskip("timm")
    assert layers_for(timm.create_model(name), torch.zeros(1, 3, 64, 64)) == layers
