"""Fixtures of every package that has tensors; a ``conftest.py`` imports those that it wants. Needs the extra ``test``."""

import hypothesis
import pytest

hypothesis.settings.register_profile("house", deadline=None)  # a busy machine is no failure
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
