"""The networks of the paper's experiments, and a small one for the digits."""

import math
from typing import Literal

import torch
from torch import Generator, Tensor, nn

from claimkit.errors import InputError

ModelName = Literal["auto", "conv-small", "mlp", "vgg11", "resnet18"]


class ConvSmall(nn.Sequential):
    """The FashionMNIST network: two 5x5 convolutions of 10 channels, each pooled by 2, then 160-50-10 units.

    For input of shape ``(rows, channels, 28, 28)``; all weights and biases start from N(0, 0.02^2), as in the authors' code.
    """

    def __init__(self, channels: int = 1, classes: int = 10) -> None:
        super().__init__(
            nn.Conv2d(channels, 10, 5),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Conv2d(10, 10, 5),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(160, 50),
            nn.ReLU(),
            nn.Linear(50, classes),
        )


def make_model(name: ModelName, shape: tuple[int, ...], classes: int, seed: int = 0) -> nn.Module:
    """A freshly initialised network for images of ``shape`` (channels, height, width).

    ``auto`` is conv-small for 28x28, mlp for 8x8 digits, vgg11 (without BatchNorm, as in the paper) otherwise. The
    initialisation depends on ``seed`` alone.

    Raises:
        InputError: The network does not take images of that size.
    """
    size = shape[-1]
    if name == "auto":
        name = {28: "conv-small", 8: "mlp"}.get(size, "vgg11")  # type: ignore[assignment]
    if (name == "conv-small") != (size == 28) and name != "mlp":
        raise InputError(
            f"model {name} does not take {size}x{size} images: use --arch {'conv-small' if size == 28 else 'mlp'}"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if name == "mlp":
            features = math.prod(shape)
            return nn.Sequential(nn.Flatten(), nn.Linear(features, 64), nn.ReLU(), nn.Linear(64, classes))
        if name == "conv-small":
            return _normal(ConvSmall(shape[0], classes), 0.02, Generator().manual_seed(seed))
        return _vision(name, shape[0], classes)


def _normal(model: nn.Module, std: float, generator: Generator) -> nn.Module:
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=generator) * std)
    return model


def _vision(name: str, channels: int, classes: int) -> nn.Module:
    """VGG-11 without BatchNorm and a 512-512 head, or ResNet-18 with a 3x3 stem: for 32x32 images."""
    try:
        from torchvision import models
    except ImportError as e:
        raise InputError(f'model {name} needs torchvision: pip install "./packages/msgd[vision]"') from e
    if name == "vgg11":
        features = models.vgg11(weights=None).features
        assert isinstance(features, nn.Sequential)
        features[0] = nn.Conv2d(channels, 64, 3, padding=1)
        model = nn.Sequential(features, nn.Flatten(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, classes))
        for module in model.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                assert isinstance(module.bias, Tensor)
                nn.init.zeros_(module.bias)
        return model
    model = models.resnet18(weights=None, num_classes=classes)
    model.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
    model.maxpool = nn.Identity()  # type: ignore[assignment]
    return model
