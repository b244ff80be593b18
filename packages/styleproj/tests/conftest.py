import hypothesis
import pytest
import torch

hypothesis.settings.register_profile("house", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("house")


@pytest.fixture(autouse=True)
def _one_thread():
    """Small tensors: more threads only wait for each other."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
