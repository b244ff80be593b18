import pytest
import torch
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


@pytest.fixture
def apart():
    """How far everything that a GradientMatrix gives is from G itself, the largest share of its size."""

    def largest(matrix, g):
        n, centred, v = g.shape[1], g - g.mean(1, keepdim=True), torch.randn(len(g))
        pairs = (
            (matrix.product(v), centred @ (centred.T @ v) / n),
            (matrix.product(v, "F"), g @ (g.T @ v) / n),
            (matrix.transpose(v), g.T @ v),
            (matrix.diagonal(), centred.square().mean(1)),
            (matrix.gradient(), g.mean(1)),
        )
        return max(float((got - expected).norm() / expected.norm()) for got, expected in pairs)

    return largest
