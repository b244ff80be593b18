"""Feature maps on networks of every kind: axis, value and gradient against the formula and central differences."""

from functools import partial

import pytest
import torch
from torch import nn

from claimkit.testing.maps import agreement
from claimkit.transfer.maps.axes import channel_axes

IMAGE, CLIP, SIGNAL = (2, 3, 32, 32), (2, 2, 7, 7, 7), (2, 2, 32)


class UNet(nn.Module):
    """Down, up and across."""

    def __init__(self):
        super().__init__()
        self.down, self.deep, self.up = nn.Conv2d(3, 6, 3, 1, 1), nn.Conv2d(6, 8, 3, 2, 1), nn.Conv2d(14, 6, 3, 1, 1)
        self.out = nn.Conv2d(6, 2, 1)

    def forward(self, x):
        shallow = torch.relu_(self.down(x))
        deep = nn.functional.interpolate(torch.relu_(self.deep(shallow)), scale_factor=2)
        return self.out(torch.relu_(self.up(torch.cat([deep, shallow], 1))))


def pyramid():
    """A detector's backbone, small."""
    from torchvision.models.resnet import BasicBlock, ResNet
    from torchvision.ops import FeaturePyramidNetwork

    class Backbone(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.fpn = ResNet(BasicBlock, [1, 1, 1, 1], 3), FeaturePyramidNetwork([64, 128], 16)

        def forward(self, x):
            b = self.body
            first = b.layer1(b.maxpool(b.relu(b.bn1(b.conv1(x)))))
            return self.fpn({"0": first, "1": b.layer2(first)})

    return Backbone()


def convolutions(kind, width):
    """Of one dimension or three."""
    return nn.Sequential(kind(2, 6, 3), nn.ReLU(True), kind(6, 5, 3, 2), nn.GELU(), nn.Flatten(), nn.Linear(width, 3))


def torchvision(build):
    """A network of torchvision, at a size that is tried in a moment."""
    from torchvision import models as m

    return {
        "swin": lambda: m.SwinTransformer([4, 4], 12, [2, 2], [2, 2], [4, 4]),
        "swin v2": lambda: m.SwinTransformer(
            [4, 4], 12, [1, 1], [2, 2], [4, 4], block=m.swin_transformer.SwinTransformerBlockV2,
            downsample_layer=m.swin_transformer.PatchMergingV2,
        ),
        "vit": lambda: m.VisionTransformer(32, 8, 2, 2, 12, 20),
        "convnext": lambda: m.ConvNeXt([m.convnext.CNBlockConfig(12, 16, 1), m.convnext.CNBlockConfig(16, None, 1)]),
        "regnet": lambda: m.RegNet(m.regnet.BlockParams.from_init_params(6, 8, 8, 2.0, 8)),
        "densenet": lambda: m.DenseNet(4, (2, 2), 8),
        "shufflenet": lambda: m.ShuffleNetV2([1, 1, 1], [8, 16, 32, 64, 16]),
        "maxvit": lambda: m.MaxVit((32, 32), 8, 2, [12, 16], [1, 1], 4, 0.0),
        "mobilenet": lambda: m.MobileNetV2(5, 0.25),
        "squeezenet": lambda: m.SqueezeNet("1_1", 5),
    }[build]()  # fmt: skip


NETWORKS = [
    ("swin", partial(torchvision, "swin"), IMAGE, "features.0.0 features.1.1 features.2 features.3.1.mlp", (1, 3, 3, 3)),
    ("swin v2", partial(torchvision, "swin v2"), IMAGE, "features.1.0 features.3.0.norm1", (3, 3)),
    ("vit", partial(torchvision, "vit"), IMAGE, "conv_proj encoder.layers.encoder_layer_0 encoder.ln", (1, 2, 2)),
    ("convnext", partial(torchvision, "convnext"), IMAGE, "features.1.0 features.1.0.block.2 features.3.0", (1, 3, 1)),
    ("regnet", partial(torchvision, "regnet"), IMAGE, "stem trunk_output.block1 trunk_output.block2", (1, 1, 1)),
    ("densenet", partial(torchvision, "densenet"), IMAGE, "features.denseblock1 features.transition1.conv", (1, 1)),
    ("shufflenet", partial(torchvision, "shufflenet"), IMAGE, "stage2.0.branch2.5 stage3 conv5.0", (1, 1, 1)),
    ("maxvit", partial(torchvision, "maxvit"), IMAGE, "blocks.0 blocks.1.layers.0.layers.MBconv", (1, 1)),
    ("mobilenet", partial(torchvision, "mobilenet"), IMAGE, "features.3.conv.2 features.6.conv.2", (1, 1)),
    ("squeezenet", partial(torchvision, "squeezenet"), IMAGE, "features.4.expand3x3 features.7.expand3x3", (1, 1)),
    ("unet", UNet, IMAGE, "down deep up", (1, 1, 1)),
    ("detector's backbone", pyramid, IMAGE, "body.layer2.0.conv2 fpn.layer_blocks.0.0", (1, 1)),
    ("one dimension", partial(convolutions, nn.Conv1d, 70), SIGNAL, "0 2 3", (1, 1, 1)),
    ("three dimensions", partial(convolutions, nn.Conv3d, 40), CLIP, "0 2 3", (1, 1, 1)),
]


@pytest.mark.parametrize(("build", "shape", "layers", "axes"), [n[1:] for n in NETWORKS], ids=[n[0] for n in NETWORKS])
def test_axis_value_and_gradient_on_networks_of_every_kind(build, shape, layers, axes):
    torch.manual_seed(0)
    model, x = build().eval(), torch.randn(shape)
    assert channel_axes(model, layers.split(), x) == axes
    found = agreement(model, layers.split(), axes, x)
    assert found.value < 1e-9 and found.slope < 1e-5


def test_maps_that_start_at_zero_are_compared_too():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3)).eval()
    for p in model[2].parameters():  # as the last layer of a residual block often starts
        nn.init.zeros_(p)
    found = agreement(model, ["2"], (1,), torch.randn(2, 3, 8, 8))
    assert found.value < 1e-9 and found.slope < 1e-6
