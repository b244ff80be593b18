"""Layers, axes and heads of 48 networks of torchvision and timm, right or refused; on no memory, without computing."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from claimkit.errors import InputError
from claimkit.transfer.heads import head_name, replace_head
from claimkit.transfer.maps.axes import channel_axes
from claimkit.transfer.maps.layers import layers_for
from claimkit.transfer.networks import create

RESNET50 = ("layer1.2.conv3", "layer2.3.conv3", "layer3.5.conv3", "layer4.2.conv3")
"""The released choice."""

NETWORKS = json.loads((Path(__file__).parent / "transfer_networks.json").read_text(encoding="utf-8"))
"""By library and name: head and layers; null and nothing where one sentence asks, and then layers with their axis."""
TORCHVISION, TIMM = NETWORKS["torchvision"], NETWORKS["timm"]


def torchvision(name):
    from torchvision.models import get_model

    options = {"weights_backbone": None} if name.partition("_")[0] in ("fcn", "deeplabv3", "lraspp") else {}
    options |= {"init_weights": False} if name == "googlenet" else {}
    return get_model(name, weights=None, **options)


def found(model, x, names=()):
    """Head, layers and the axis of each layer, or of those of ``names``; None where one sentence asks."""
    try:
        head = head_name(model)
    except InputError as e:
        assert "could have its head in" in str(e)
        head = None
    try:
        layers = layers_for(model, x)
    except InputError as e:
        assert "does not consist of convolutions" in str(e)
        layers = ()
    axes = channel_axes(model, layers or names, x)
    assert model.training and not any(m._forward_hooks for m in model.modules())  # as it was
    return head, layers, axes


def table(head, layers, named=""):
    """Names whose axes are asked for, and what is to be found: convolutions have their channels at axis 1."""
    names = [n.partition(":")[0] for n in named.split()]
    axes = (1,) * len(layers.split()) if layers else tuple(int(n.partition(":")[2]) for n in named.split())
    return names, (head, tuple(layers.split()), axes)


@pytest.mark.parametrize("name", TORCHVISION)
def test_networks_of_torchvision(name):
    video = "3d" in name or name == "mc3_18"
    names, wanted = table(*TORCHVISION[name])
    with torch.device("meta"):
        x = torch.zeros(1, 3, 16, 112, 112) if video else torch.zeros(1, 3, 224, 224)
        assert found(torchvision(name), x, names) == wanted


@pytest.mark.slow
@pytest.mark.parametrize("name", TIMM)
def test_networks_of_timm(name):
    timm = pytest.importorskip("timm")
    names, wanted = table(*TIMM[name])
    with torch.device("meta"):
        model = timm.create_model(name)
        assert found(model, torch.zeros(1, *model.default_cfg["input_size"]), names) == wanted


def test_bottleneck_networks_have_the_released_layers():
    with torch.device("meta"):
        assert layers_for(torchvision("resnet50"), torch.zeros(1, 3, 64, 64)) == RESNET50
    assert layers_for(type("Inception3", (nn.Module,), {})()) == ("Conv2d_2b_3x3", "Conv2d_4a_3x3", "Mixed_5d", "Mixed_6e")


def test_networks_for_small_images():
    x = torch.zeros(1, 3, 32, 32)
    assert layers_for(create("cifar-resnet20"), x) == ("layer1.2.conv2", "layer2.2.conv2", "layer3.2.conv2")
    assert layers_for(create("small-cnn"), torch.zeros(1, 1, 8, 8)) == ("conv2", "conv3")


class UNet(nn.Module):
    """Down twice, up twice."""

    def __init__(self):
        super().__init__()
        self.down1, self.down2 = (nn.Sequential(nn.Conv2d(i, 8, 3, 1, 1), nn.Conv2d(8, 8, 3, 1, 1)) for i in (3, 8))
        self.up1, self.up2, self.out = nn.Conv2d(8, 8, 3, 1, 1), nn.Conv2d(8, 8, 3, 1, 1), nn.Conv2d(8, 2, 1)

    def forward(self, x):
        small = self.down2(nn.functional.max_pool2d(self.down1(x), 2))
        return self.out(self.up2(nn.functional.interpolate(self.up1(small), scale_factor=2)))


def test_a_decoder_and_a_detector_are_asked_about():
    with pytest.raises(InputError, match=r"grow again: name layers, such as its encoder's down1\.1, up1"):
        layers_for(UNet(), torch.zeros(1, 3, 16, 16))
    assert channel_axes(UNet(), ["down1", "down2.1"], torch.zeros(1, 3, 16, 16)) == (1, 1)
    from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn

    model = fasterrcnn_mobilenet_v3_large_320_fpn(weights=None, weights_backbone=None, min_size=64, max_size=64)
    x = [torch.rand(3, 64, 64)]
    with pytest.raises(InputError, match="name its layers"):
        layers_for(model, x)
    with pytest.raises(InputError, match=r"box_predictor.cls_score, roi_heads.box_predictor.bbox_pred: name it with head="):
        head_name(model)
    assert channel_axes(model, ["backbone.body.1.block.1.0", "backbone.fpn.layer_blocks.0.0"], x) == (1, 1)
    with pytest.raises(InputError, match=r"'rpn.head.cls_logits' is called more than once"):
        channel_axes(model, ["rpn.head.cls_logits"], x)


def test_one_and_three_dimensions():
    for kind, shape in ((nn.Conv1d, (1, 2, 16)), (nn.Conv3d, (1, 2, 4, 4, 4))):
        pool = nn.MaxPool1d(2) if kind is nn.Conv1d else nn.MaxPool3d(2)
        parts = (
            kind(2, 4, 3, 1, 1),
            nn.ReLU(),
            kind(4, 4, 3, 1, 1),
            pool,
            kind(4, 6, 3, 1, 1),
            nn.Flatten(),
            nn.LazyLinear(3),
        )
        model = nn.Sequential(*parts)
        x = torch.zeros(shape)
        model(x)
        assert layers_for(model, x) == ("2", "4") and channel_axes(model, ["1", "4"], x) == (1, 1)
        with pytest.raises(InputError, match="give an example input x"):
            layers_for(model)
        assert replace_head(model, 5)[6].out_features == 5


@pytest.mark.parametrize(
    ("name", "layers", "axes"),
    [
        ("swin_t", ["features.0.0", "features.1.1", "features.4", "features.7.1.mlp"], (1, 3, 3, 3)),
        ("vit_b_16", ["conv_proj", "encoder.layers.encoder_layer_3", "encoder.ln"], (1, 2, 2)),
        ("convnext_tiny", ["features.1.2", "features.1.2.block.3", "features.3", "features.6.1"], (1, 3, 1, 1)),
        ("densenet121", ["features.denseblock1", "features.transition1", "classifier"], (1, 1, 1)),
        ("r3d_18", ["stem", "layer2.1"], (1, 1)),
    ],
)
def test_the_channels_are_where_the_network_has_them(name, layers, axes):
    with torch.device("meta"):
        x = torch.zeros(1, 3, 8, 64, 64) if name == "r3d_18" else torch.zeros(1, 3, 224, 224)
        assert channel_axes(torchvision(name), layers, x) == axes


def test_an_axis_that_cannot_be_told_is_asked_for():
    with torch.device("meta"):
        model = torchvision("convnext_tiny")
        with pytest.raises(
            InputError, match=r"channels of \(1, 96, 96, 96\) of layer 'features.1.2' are cannot be told: give axis="
        ):
            channel_axes(model, ["features.1.2"], torch.zeros(1, 3, 384, 384))
    with pytest.raises(InputError, match=r"gives \(2, 2, 3\) for a batch of 4"):
        channel_axes(nn.Sequential(nn.Unflatten(0, (2, 2)), nn.Linear(3, 3)), ["1"], torch.zeros(4, 3))
    with pytest.raises(InputError, match="no tensor of 2 to 5 axes"):
        channel_axes(nn.Sequential(nn.LSTM(3, 3)), ["0"], torch.zeros(4, 2, 3))
    model = Two("fc")
    with pytest.raises(InputError, match="leave out projection"):
        channel_axes(model, ["fc", "projection"], torch.zeros(4, 4))


class Two(nn.Module):
    """A classifier, and a layer that nobody uses, registered last."""

    def __init__(self, called):
        super().__init__()
        self.body = nn.Linear(4, 6)
        self.add_module(called, nn.Linear(6, 3))
        self.projection = nn.Linear(6, 2)
        self.called = called

    def forward(self, x):
        return self.get_submodule(self.called)(self.body(x))


def test_a_head_is_told_by_its_name_or_asked_for():
    assert head_name(Two("fc")) == "fc" and head_name(nn.Sequential(Two("fc"))) == "0.fc"
    with pytest.raises(InputError, match="could have its head in out, projection: name it with head="):
        head_name(Two("out"))
    bare = create("resnet18")
    bare.fc = nn.Identity()
    with pytest.raises(InputError, match="no layer in 'fc', as a feature extractor"):
        head_name(bare)
    assert head_name(nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))) == "2"
    model = replace_head(Two("out"), 9, name="out")
    assert model.out.out_features == 9
    with pytest.raises(InputError, match="is a ReLU: name a linear layer"):
        replace_head(nn.Sequential(nn.ReLU(), nn.Linear(2, 2)), 3, name="0")


def test_a_network_of_timm_without_head_is_asked_about():
    timm = pytest.importorskip("timm")
    with torch.device("meta"), pytest.raises(InputError, match="as a feature extractor: name its head"):
        head_name(timm.create_model("resnet18", num_classes=0))
