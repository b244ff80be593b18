"""Fixtures of every package that has tensors; a ``conftest.py`` imports those that it wants. Needs the extra ``test``."""

from pathlib import Path

import hypothesis
import pytest

hypothesis.settings.register_profile("house", deadline=None, derandomize=True)  # no failure by load, none by chance
hypothesis.settings.load_profile("house")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Small tensors: more threads only wait for each other. What is drawn is the same in every test."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> str:
    """``cpu``, and ``cuda`` where there is one."""
    import torch

    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    return request.param


@pytest.fixture(scope="session")
def vgg(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of VGG-19's shape to conv3_4, with random weights."""
    import torch

    torch.manual_seed(0)
    shapes = ((0, 3, 64), (2, 64, 64), (5, 64, 128), (7, 128, 128), (10, 128, 256), *((n, 256, 256) for n in (12, 14, 16)))
    state = {}
    for n, c, d in shapes:
        state |= {f"features.{n}.weight": torch.randn(d, c, 3, 3) / (3 * c**0.5), f"features.{n}.bias": torch.zeros(d)}
    path = tmp_path_factory.mktemp("vgg") / "vgg.pt"
    torch.save(state, path)
    return path
