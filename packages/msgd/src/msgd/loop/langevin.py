"""GLD-diag, the baseline of the paper (arXiv 1803.00195): additive Gaussian noise of covariance diag(F)/b."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from claimkit.errors import InputError
from msgd.loop.loss import stream
from msgd.matrix.covariance import GradientMatrix


class DiagonalLangevin:
    """Adds ``sqrt(diag F / batch) e``, e ~ N(0, I), to the gradients of a model after backward.

    ``loss.mean().backward(); langevin.add_noise(); optimizer.step()``. Diag F is that of the model in eval mode, whatever
    the mode of the loop: Dropout and BatchNorm do not act in it.

    Attributes:
        gradients: The gradient matrix whose F is meant (all training data, or a sample of it).
        batch: Batch size of the SGD whose noise is imitated.
        refresh: Steps after which diag F is computed anew.
    """

    def __init__(self, gradients: GradientMatrix, batch: int, refresh: int = 10, seed: int = 0) -> None:
        if batch < 1 or refresh < 1:
            raise InputError(f"batch = {batch} and refresh = {refresh}: expected at least one each")
        self.gradients, self.batch, self.refresh = gradients, batch, refresh
        self.step = 0
        self.scale: Float[Tensor, " d"] | None = None
        device = next(p for p in gradients.model.parameters() if p.requires_grad).device
        self.generator = Generator(device).manual_seed(stream("langevin", seed))

    def add_noise(self) -> None:
        """Add one draw to ``.grad`` of every parameter that requires a gradient; parameters without one get the noise."""
        if self.scale is None or self.step % self.refresh == 0:
            with _evaluating(self.gradients.model):
                self.scale = (self.gradients.diagonal("F") / self.batch).sqrt()
        self.step += 1
        scale = self.scale
        noise = torch.randn(scale.shape, generator=self.generator, device=scale.device, dtype=scale.dtype) * scale
        parameters: list[nn.Parameter] = [p for p in self.gradients.model.parameters() if p.requires_grad]
        for p, part in zip(parameters, noise.split([p.numel() for p in parameters]), strict=True):
            p.grad = part.view_as(p) if p.grad is None else p.grad.add_(part.view_as(p))


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode, and then every module's own mode again."""
    modes = [(m, m.training) for m in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for m, training in modes:
            m.training = training
