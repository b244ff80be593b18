import pytest
from jaxtyping import install_import_hook

from claimkit.testing.fixtures import device as device
from claimkit.testing.fixtures import one_thread as one_thread

with install_import_hook("msgd", "beartype.beartype"):
    import msgd

    for name in ("noise", "covariance", "langevin", "loss", "noise_scale", "replicas", "scaling", "sde"):
        getattr(msgd, name)


@pytest.fixture
def unchecked():
    """Without the type checks of the tests: what a user's wrong types meet."""
    import jaxtyping

    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
