import hypothesis
import pytest
from jaxtyping import install_import_hook

with install_import_hook("msgd", "beartype.beartype"):
    import msgd

    for name in ("noise", "covariance", "langevin", "loss", "noise_scale", "replicas", "scaling", "sde"):
        getattr(msgd, name)

import torch

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
def unchecked():
    """Without the type checks of the tests: what a user's wrong types meet."""
    import jaxtyping

    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
