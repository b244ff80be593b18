"""Networks below the clustering: pictures and log-mel features to maps of positions, stride 8 to 16.

All take floating ``(batch, channel, height, width)`` and give ``(batch, channels, h, w)``. Pictures are RGB in [0, 1]; each
network scales them as its weights expect. Log-mel features are ``(batch, 1, frames, bands)`` of the network's ``mel``.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from avcurriculum import audio
from claimkit.errors import InputError

Backbone = Literal["small", "resnet18", "pretrained"]


class Normalize(nn.Module):
    """Subtract a mean and divide by a deviation, of each channel or of all."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, mean: Sequence[float], deviation: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(deviation)[:, None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """The scaled input."""
        return (x - self.mean) / self.deviation


class SmallCNN(nn.Sequential):
    """Four convolutions with BatchNorm, stride 8; 64 x 64 pixels or 63 x 64 log-mel values become 8 x 8 positions."""

    mel = audio.SMALL

    def __init__(self, inputs: int, widths: Sequence[int] = (16, 32, 64, 64)) -> None:
        scale = Normalize([0.5] * 3, [0.25] * 3) if inputs == 3 else Normalize([-4.0], [4.0])
        layers: list[nn.Module] = [scale]
        for i, (before, width) in enumerate(zip([inputs, *widths], widths, strict=False)):
            stride = 2 if i < 3 else 1
            layers += [nn.Conv2d(before, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
        super().__init__(*layers)
        self.channels = widths[-1]


class ResNet18(nn.Sequential):
    """torchvision's ResNet-18 without its last stride and its head, stride 16, 512 channels; random weights."""

    mel = audio.REFERENCE

    def __init__(self, inputs: int) -> None:
        from torchvision.models import resnet18

        net = resnet18(weights=None)
        if inputs != 3:
            net.conv1 = nn.Conv2d(inputs, 64, 7, 2, 3, bias=False)
        _keep_size(net.layer4)
        scale = Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]) if inputs == 3 else Normalize([-30.0], [25.0])
        super().__init__(scale, net.conv1, net.bn1, net.relu, net.maxpool, net.layer1, net.layer2, net.layer3, net.layer4)
        self.channels = 512


class MobileNet(nn.Sequential):
    """torchvision's MobileNetV2 up to its last bottleneck, whose stride is made a dilation: stride 16, 320 channels.

    ``weights`` is a file with torchvision's state dict; ``scale`` says which pixel values it was trained on.
    """

    def __init__(self, weights: Path | None = None) -> None:
        from torchvision.models import mobilenet_v2

        net = mobilenet_v2(weights=None)
        if weights is not None:
            load_weights(net, weights)
        features = net.features[:18]
        _keep_size(features[14:])
        super().__init__(Normalize([0.5] * 3, [0.5] * 3), *features)
        self.channels = 320


class YAMNet(nn.Module):
    """The convolutions of YAMNet, BatchNorm folded, on log-mel of any length; stride 32, or 16 where dilated; 1024 channels.

    ``weights`` is a file with names ``layer1.conv.weight``, ``layer2.depthwise.weight`` ... (Hershey et al. 2017; AudioSet).
    """

    mel = audio.YAMNET
    _LAYERS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1))

    def __init__(self, weights: Path | None = None, dilated: bool = True) -> None:
        super().__init__()
        self.channels = 1024
        self.layer1 = nn.ModuleDict({"conv": nn.Conv2d(1, 32, 3, 2)})
        self.strides, self.dilations = [2], [1]
        width = 32
        for i, (out, stride) in enumerate(self._LAYERS, 2):
            parts = {"depthwise": nn.Conv2d(width, width, 3, groups=width), "pointwise": nn.Conv2d(width, out, 1)}
            self.add_module(f"layer{i}", nn.ModuleDict(parts))
            self.strides.append(1 if dilated and i == 13 else stride)
            self.dilations.append(2 if dilated and i == 14 else 1)
            width = out
        if weights is not None:
            load_weights(self, weights, ignore=("classifier.",))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(batch, 1, frames, 64)`` to ``(batch, 1024, frames / 16, 4)``; half of both where not dilated."""
        for i, (stride, dilation) in enumerate(zip(self.strides, self.dilations, strict=True), 1):
            layer = self.get_submodule(f"layer{i}")
            for name, conv in layer.named_children():
                if not isinstance(conv, nn.Conv2d):
                    continue
                if name == "pointwise":
                    x = conv(x).relu()
                else:
                    p = conv.weight
                    x = conv2d(_pad_same(x, stride, dilation), p, conv.bias, stride, 0, dilation, conv.groups).relu()
        return x


def load_weights(module: nn.Module, path: Path, ignore: tuple[str, ...] = ()) -> None:
    """Load a state dict from a file; names that start with one of ``ignore`` are left out.

    Raises:
        InputError: The file does not exist, is no state dict, or is that of another network.
    """
    state = read_tensors(path)
    state = {k: v for k, v in state.items() if not k.startswith(ignore)} if ignore else state
    try:
        module.load_state_dict(state)
    except (RuntimeError, AttributeError, TypeError) as e:
        reason = str(e).strip().splitlines()[-1].strip()
        raise InputError(f"{path} does not hold the weights of {type(module).__name__}: {reason}") from e


def read_tensors(path: Path) -> dict:
    """What ``torch.save`` wrote, tensors and plain values only.

    Raises:
        InputError: No such file, or not one of torch's.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist: give the file of the weights")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as e:
        raise InputError(f"{path} is not a file of weights that torch can read ({type(e).__name__})") from e


def _keep_size(layers: nn.Module) -> None:
    """Turn the first stride of some layers into a dilation of what follows it."""
    found = False
    for layer in layers.modules():
        if isinstance(layer, nn.Conv2d) and layer.stride == (2, 2):
            layer.stride = (1, 1)
            found = layer.kernel_size == (3, 3) or found
        elif isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3) and found:
            layer.dilation = layer.padding = (2, 2)


def _pad_same(x: Tensor, stride: int, dilation: int) -> Tensor:
    """TensorFlow's SAME padding of a 3 x 3 convolution: the odd zero is put after."""
    total = []
    for size in (x.shape[-1], x.shape[-2]):
        need = max(((size + stride - 1) // stride - 1) * stride + 2 * dilation + 1 - size, 0)
        total += [need // 2, need - need // 2]
    return pad(x, total)
