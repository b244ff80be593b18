"""M-SGD's whole algorithm (arXiv 1906.07405): one weighted backward pass.

``sum_i W_i grad l_i = grad sum_i W_i l_i``: weigh the per-sample losses, add them, call backward. No gradient of a single
sample is ever formed, and rows without weight need not be computed.
"""

import hashlib
import itertools
import math
import weakref
from typing import Any

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from claimkit.errors import InputError
from msgd.noise import Noise, Weights
from msgd.noise.base import require, whole


def weighted_loss(losses: Float[Tensor, "..."], weights: Weights | Float[Tensor, " rows"]) -> Float[Tensor, ""]:
    """``sum_i W_i l_i``, whose gradient is G W.

    Args:
        losses: One loss a row (``reduction="none"``), shape ``(rows,)``; the rows that the weights name, in their order.
        weights: A draw of a noise class, or a tensor of weights, shape ``(rows,)``. Equal weights 1/rows are the mean.

    Raises:
        InputError: Losses that are already reduced or are whole numbers, or another number of losses than of weights.

    >>> weighted_loss(torch.tensor([1.0, 3.0]), torch.tensor([0.5, 0.5]))
    tensor(2.)
    """
    weight = weights.weight if isinstance(weights, Weights) else weights
    if losses.ndim != 1:
        raise InputError(
            f"the losses have shape {tuple(losses.shape)}, expected one loss a row: "
            'use reduction="none", and mean over all but the first axis'
        )
    if not losses.is_floating_point():
        raise InputError(f"the losses are of type {losses.dtype}, which has no gradient: give floating-point losses")
    if losses.shape != weight.shape:
        raise InputError(f"{len(losses)} losses but {len(weight)} weights: pass the losses of the rows that have a weight")
    return (weight.to(losses.device, losses.dtype) * losses).sum()


def stream(*path: int | str) -> int:
    """A seed of 64 bits for the random stream named by ``path``: equal paths have one stream, all others are independent.

    (A digest, so that neither the seed of an initialisation nor a neighbouring rank has the same numbers.)
    """
    return int.from_bytes(hashlib.blake2b(repr(path).encode(), digest_size=8).digest(), "little")


def place(group: Any = None) -> tuple[int, int]:
    """Number of this process among those that average gradients, and how many they are: (0, 1) where none have met."""
    dist: Any = torch.distributed
    if not (dist.is_available() and dist.is_initialized()):
        return 0, 1
    return dist.get_rank(group), dist.get_world_size(group)


class NoisyMean(nn.Module):
    """``losses.mean()`` with the noise of M-SGD: the two-line change of a training loop.

    >>> from msgd.noise import MiniBatchFisher, match
    >>> noisy_mean = NoisyMean(match(MiniBatchFisher(n=50_000, size=1_000), batch=100), seed=0)
    >>> losses = torch.ones(1_000)  # cross_entropy(model(x), y, reduction="none")
    >>> loss = noisy_mean(losses)

    The gradient of a whole step has the law's level, whatever the number of rows; a number that cannot have it is refused.
    The whole step is ``rows x accumulate x ranks``: gradients of ``accumulate`` passes, of equally many rows, are averaged
    (divide the loss by that number, as in every loop, or give ``total``) over the ranks of ``group``.

    Weights are drawn on the device of the losses from a stream of their own, which is named by seed, rank, worker of a
    DataLoader and number of draws: they disturb no other random numbers, ranks differ, and a resumed run goes on where it
    stopped, as seed and number of draws are in the state_dict. Make it a part of your model, or save it beside it. In
    eval mode it is the plain mean.

    A closure that is evaluated several times a step (LBFGS, SAM) sets ``draws`` back to its value before the step, so
    that every evaluation has the same noise. Not for CUDA graphs captured by hand: they repeat one draw.

    BatchNorm couples the rows of a batch: l_i then depends on the other rows, and the weighted gradient is no longer G W
    with fixed columns. The statistics are those of the rows in the batch, unweighted; smaller ghost batches change them.

    Attributes:
        noise: The law of the weights; may be replaced between steps.
        accumulate: Passes whose gradients are averaged into one step of the optimiser (micro-batches of a pipeline, too).
        group: Process group that averages gradients; None: all processes, if they have met. Where the model itself is
            divided (tensor or pipeline parallelism) give the group of the data.
    """

    def __init__(self, noise: Noise, seed: int = 0, accumulate: int = 1, group: Any = None) -> None:
        """Start the stream of ``seed``.

        Raises:
            InputError: No law, a seed that is no whole number, or no pass.
        """
        super().__init__()
        require(isinstance(noise, Noise), f"the noise is {noise!r}: give a law, as match(MiniBatchFisher(n, size), batch)")
        require(whole(seed), f"seed = {seed!r}: give a whole number")
        require(
            whole(accumulate) and accumulate >= 1,
            f"accumulate = {accumulate!r}: give a whole number of passes, at least one",
        )
        self.noise, self.accumulate, self.group = noise, accumulate, group
        self._state = torch.tensor([seed, 0], dtype=torch.int64, device="cpu")  # seed and draws; no buffer: it stays here
        self._register()

    @property
    def seed(self) -> int:
        """Seed of the stream."""
        return int(self._state[0])

    @property
    def draws(self) -> int:
        """Draws so far; set it back to draw the same noise again."""
        return int(self._state[1])

    @draws.setter
    def draws(self, number: int) -> None:
        self._state[1] = number

    def forward(self, losses: Float[Tensor, "..."], total: float | int | Tensor | None = None) -> Float[Tensor, ""]:
        """``sum_i (1 + s e_i) l_i / total``.

        Args:
            losses: One loss a row (of tokens: their sum a sequence), shape ``(rows,)``.
            total: What the sum is divided by; None: the number of rows. The sum of class weights, the number of tokens
                that count, or that of all accumulated passes (the ``num_items_in_batch`` of a trainer, which then does not
                divide by the number of passes); the level goes by rows all the same.

        Raises:
            InputError: Losses that are already reduced, none at all, a number of rows that cannot have the level, or a total
                that is not one positive number (where it is on the CPU: nothing waits for a device).
        """
        if total is not None:
            _require_positive(total)
        if losses.ndim == 1 and not losses.shape[0]:
            raise InputError("the batch has no rows: leave it out, a step without rows has no gradient")
        if losses.ndim != 1:
            weight = losses.new_ones(1)  # refused below
        elif not self.training:
            weight = torch.full_like(losses, 1 / losses.shape[0])
        elif torch.compiler.is_compiling():
            weight = _draw(self._state, losses.detach(), self._key)
        else:
            weight = self._weights(losses.detach(), self._state)
        mean = weighted_loss(losses, weight)
        return mean if total is None else mean * (losses.shape[0] / total)

    def _weights(self, losses: Tensor, state: Tensor) -> Tensor:
        """The draw that ``state`` names, for these losses; the state then names the next."""
        rank, ranks = place(self.group)
        worker = torch.utils.data.get_worker_info()
        seed = stream("noise", int(state[0]), rank, -1 if worker is None else worker.id, int(state[1]))
        weight = self.noise.on_batch(len(losses), Generator(losses.device).manual_seed(seed), self.accumulate * ranks)
        state[1] += 1
        return weight

    def get_extra_state(self) -> Tensor:
        """Seed and number of draws: the same in all ranks."""
        return self._state.clone()

    def set_extra_state(self, state: Tensor) -> None:
        """Take up a state; from then on the draws are those of the run that saved it."""
        self._state.copy_(state)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A copy has a stream of its own, which goes on as the original's does."""
        super().__setstate__(state)
        self._register()

    def _register(self) -> None:
        self._key = next(_KEYS)
        _LIVE[self._key] = self


def _require_positive(total: float | int | Tensor) -> None:
    if isinstance(total, Tensor) and total.numel() != 1:
        raise InputError(f"total is a tensor of shape {tuple(total.shape)}: give one positive number")
    known = not (torch.compiler.is_compiling() or (isinstance(total, Tensor) and total.device.type != "cpu"))
    if known and not 0 < float(total) < math.inf:
        raise InputError(f"total = {float(total)}: give one positive number")


_KEYS = itertools.count()
_LIVE: weakref.WeakValueDictionary[int, NoisyMean] = weakref.WeakValueDictionary()


@torch.library.custom_op("msgd::noisy_mean_weights", mutates_args={"state"})
def _draw(state: Tensor, losses: Tensor, key: int) -> Tensor:
    """One operation for torch.compile, which cannot trace a Generator: the module named by key draws, its state counts."""
    return _LIVE[key]._weights(losses, state).to(losses)


@_draw.register_fake
def _(state: Tensor, losses: Tensor, key: int) -> Tensor:
    return torch.empty_like(losses)
