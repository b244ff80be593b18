import pytest
import torch
from torch import nn

from claimkit.testing.fixtures import device as device
from claimkit.testing.fixtures import one_thread as one_thread
from claimkit.transfer.networks import CifarResNet, reinitialise


@pytest.fixture
def resnet():
    """A small residual network whose BatchNorm statistics are not those of any batch."""
    model = reinitialise(CifarResNet(8), 0)
    with torch.no_grad():
        for _ in range(3):
            model(torch.randn(8, 3, 16, 16))
    return model.eval()


class InPlace(nn.Sequential):
    """Convolutions with bias, whose outputs the next layer overwrites; one ReLU for all, as in many networks."""

    def __init__(self):
        relu = nn.ReLU(inplace=True)
        super().__init__(
            nn.Conv2d(3, 5, 3, padding=1),
            relu,
            nn.MaxPool2d(2),
            nn.Conv2d(5, 7, 3, padding=1),
            relu,
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(7, 4),
        )


@pytest.fixture
def inplace():
    torch.manual_seed(1)
    return InPlace().eval()
