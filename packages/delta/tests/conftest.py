import hypothesis
import pytest
import torch
from torch import nn

from claimkit.transfer.networks import CifarResNet, reinitialise

hypothesis.settings.register_profile("house", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("house")


@pytest.fixture(autouse=True)
def _one_thread():
    """Small tensors: more threads only wait for each other."""
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request):
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    return request.param


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
