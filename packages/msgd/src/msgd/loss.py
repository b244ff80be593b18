"""M-SGD's whole algorithm (arXiv 1906.07405): one weighted backward pass.

``sum_i W_i grad l_i = grad sum_i W_i l_i``: weigh the per-sample losses, add them, call backward. No gradient of a single
sample is ever formed, and rows without weight need not be computed.
"""

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from claimkit.errors import InputError
from msgd.noise import Noise, Weights


def weighted_loss(losses: Float[Tensor, "..."], weights: Weights | Float[Tensor, " rows"]) -> Float[Tensor, ""]:
    """``sum_i W_i l_i``, whose gradient is G W.

    Args:
        losses: One loss a row (``reduction="none"``), shape ``(rows,)``; the rows that the weights name, in their order.
        weights: A draw of a noise class, or a tensor of weights, shape ``(rows,)``. Equal weights 1/rows are the mean.

    Raises:
        InputError: Losses that are already reduced, or another number of losses than of weights.

    >>> weighted_loss(torch.tensor([1.0, 3.0]), torch.tensor([0.5, 0.5]))
    tensor(2.)
    """
    weight = weights.weight if isinstance(weights, Weights) else weights
    if losses.ndim != 1:
        raise InputError(
            f"the losses have shape {tuple(losses.shape)}, expected one loss a row: "
            'use reduction="none", and mean over all but the first axis'
        )
    if losses.shape != weight.shape:
        raise InputError(f"{len(losses)} losses but {len(weight)} weights: pass the losses of the rows that have a weight")
    return (weight.to(losses.device, losses.dtype) * losses).sum()


class NoisyMean:
    """``losses.mean()`` with the noise of M-SGD: the two-line change of a training loop.

    >>> from msgd.noise import MiniBatchFisher, match
    >>> noisy_mean = NoisyMean(match(MiniBatchFisher(n=50_000, size=1_000), batch=100), seed=0)
    >>> losses = torch.ones(1_000)  # cross_entropy(model(x), y, reduction="none")
    >>> loss = noisy_mean(losses)

    Weights are drawn on the device of the losses, by a generator of its own, so that they disturb no other random
    numbers. They are applied in the precision of the losses (float32 under autocast, which keeps losses in float32).

    BatchNorm couples the rows of a batch: l_i then depends on the other rows, and the weighted gradient is no longer G W
    with fixed columns. The statistics are those of the rows in the batch, unweighted; smaller ghost batches change them.

    Attributes:
        noise: The law of the weights.
        generators: One random generator a device, made when first needed.
    """

    def __init__(self, noise: Noise, seed: int = 0) -> None:
        self.noise = noise
        self.seed = seed
        self.generators: dict[torch.device, Generator] = {}

    def __call__(self, losses: Float[Tensor, "..."]) -> Float[Tensor, ""]:
        """The weighted sum of the losses of a batch, shape ``(rows,)``.

        Raises:
            InputError: Losses that are already reduced, or a class that weighs all n samples on a batch of fewer.
        """
        rows = losses.shape[0] if losses.ndim else 1
        return weighted_loss(losses, self.noise.on_batch(rows, self.generator(losses.device)))

    def generator(self, device: torch.device) -> Generator:
        """The generator of a device, seeded when first asked for."""
        if device not in self.generators:
            self.generators[device] = Generator(device).manual_seed(self.seed)
        return self.generators[device]

    def state_dict(self) -> dict[str, Tensor]:
        """States of the generators, for checkpoints."""
        return {str(device): g.get_state() for device, g in self.generators.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take up the states of :meth:`state_dict`."""
        for name, value in state.items():
            self.generator(torch.device(name)).set_state(value.cpu())
