"""GLD-diag, the baseline of the paper (arXiv 1803.00195): additive Gaussian noise of covariance diag(F)/b."""

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from claimkit.errors import InputError
from msgd.covariance import GradientMatrix


class DiagonalLangevin:
    """Adds ``sqrt(diag F / batch) e``, e ~ N(0, I), to the gradients of a model after backward.

    ``loss.mean().backward(); langevin.add_noise(); optimizer.step()``

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
        self.generator = Generator(gradients.inputs.device).manual_seed(seed)

    def add_noise(self) -> None:
        """Add one draw to ``.grad`` of every parameter that requires a gradient; parameters without one get the noise."""
        if self.scale is None or self.step % self.refresh == 0:
            self.scale = (self.gradients.diagonal("F") / self.batch).sqrt()
        self.step += 1
        scale = self.scale
        noise = torch.randn(scale.shape, generator=self.generator, device=scale.device, dtype=scale.dtype) * scale
        parameters: list[nn.Parameter] = [p for p in self.gradients.model.parameters() if p.requires_grad]
        for p, part in zip(parameters, noise.split([p.numel() for p in parameters]), strict=True):
            p.grad = part.view_as(p) if p.grad is None else p.grad.add_(part.view_as(p))
