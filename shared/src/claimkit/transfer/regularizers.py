"""The one hook where a regulariser enters the loop, and the two classics: L2 and L2-SP (arXiv 1802.01483).

The loop computes the task loss and calls :meth:`Regularizer.backward`, which leaves the gradients in ``.grad``. A
regulariser says what it has, a scalar in the graph or a gradient in closed form, and inherits their plain sum; a method that
combines the two gradients otherwise wraps another regulariser and overrides ``backward``.
"""

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from claimkit.errors import InputError, one_of
from claimkit.transfer.data import digest

foreach: Any = torch
"""torch, for its ``_foreach_*`` operators, which have no types."""


@dataclass(frozen=True)
class Step:
    """One mini-batch after the forward pass.

    Attributes:
        model: The network that is trained.
        parameters: Its trainable parameters by name; their ``.grad`` is None.
        head: Name of the new classifier; all other parameters are shared with the source network.
        loss: The task loss, a scalar in the graph.
        inputs: What the network saw, ``(batch, channel, height, width)``.
        targets: Labels, ``(batch,)``.
        rows: Which training images they are, ``(batch,)``; None where inputs were augmented and nothing can be looked up.
        optimizer: What takes the step; None where a loop does not say.
    """

    model: nn.Module
    parameters: Mapping[str, nn.Parameter]
    head: str
    loss: Tensor
    inputs: Tensor
    targets: Tensor
    rows: Tensor | None = None
    optimizer: Optimizer | None = None


class Regularizer:
    """Adds nothing: plain fine-tuning, and the base of everything that adds something."""

    def __repr__(self) -> str:
        """What a checkpoint is recognised by: everything that must not change when a run goes on."""
        return type(self).__name__

    def source_digest(self) -> str:
        """Of the source network whose copy it holds, by which a checkpoint knows it again; empty where there is none."""
        return ""

    def watch(self, model: nn.Module) -> AbstractContextManager[object]:
        """Held open around training: the place for forward hooks on the model."""
        return nullcontext()

    def penalty(self, step: Step) -> Tensor | None:
        """The weighted regulariser as a scalar in the graph of the step's forward pass, where it is computed that way."""
        return None

    def gradient(self, step: Step) -> Mapping[str, Tensor]:
        """The weighted regulariser's gradient by parameter, where it has a closed form."""
        return {}

    def backward(self, step: Step) -> None:
        """Leave the gradient of task loss plus regulariser in ``.grad``."""
        penalty = self.penalty(step)
        (step.loss if penalty is None else step.loss + penalty).backward()
        add_gradient(step.parameters, self.gradient(step))


def add_gradient(parameters: Mapping[str, nn.Parameter], gradient: Mapping[str, Tensor]) -> None:
    """Add a gradient to ``.grad``; a parameter without one gets one."""
    for name in gradient:
        if parameters[name].grad is None:
            parameters[name].grad = torch.zeros_like(parameters[name])
    if gradient:
        foreach._foreach_add_([parameters[name].grad for name in gradient], list(gradient.values()))


class L2SP(Regularizer):
    """``alpha/2 ||w - w_s||^2`` over the parameters but the head's, by its gradient ``alpha (w - w_s)``.

    Args:
        source: The source network, or its state, of which a copy is kept in float32; None pulls to zero.
        alpha: Strength, zero or more.
        include: ``all`` parameters, BatchNorm's and biases among them, or only ``weights`` of two axes and more.
    """

    def __init__(
        self, source: nn.Module | Mapping[str, Tensor] | None, alpha: float, include: Literal["all", "weights"] = "all"
    ) -> None:
        if not 0 <= alpha < math.inf:
            raise InputError(f"alpha = {alpha}: expected a number of zero or more")
        one_of("include", include, ("all", "weights"))
        state = source.state_dict() if isinstance(source, nn.Module) else source
        self.source = None if state is None else {k: v.detach().to(torch.float32, copy=True) for k, v in state.items()}
        self.alpha, self.include = alpha, include

    def source_digest(self) -> str:
        """Of ``w_s``."""
        return "" if self.source is None else digest(*self.source.values())

    def __repr__(self) -> str:
        return f"{'L2' if self.source is None else 'L2-SP'}(alpha={self.alpha}, {self.include})"

    def _pulled(self, step: Step) -> list[str]:
        names = [n for n, p in step.parameters.items() if self.include == "all" or p.ndim > 1]
        names = [n for n in names if not n.startswith(f"{step.head}.")]
        if self.source is not None:
            names = [n for n in names if n in self.source]
            for n in names:
                if self.source[n].shape != (shape := step.parameters[n].shape):
                    raise InputError(f"{n} has shape {tuple(shape)}, the source's {tuple(self.source[n].shape)}")
                self.source[n] = self.source[n].to(step.parameters[n].device)
        return names

    @torch.no_grad()
    def gradient(self, step: Step) -> dict[str, Tensor]:
        """``alpha (w - w_s)`` by parameter."""
        names = self._pulled(step)
        w = [step.parameters[n].detach() for n in names]
        if not names or self.source is None:
            away = foreach._foreach_mul(w, self.alpha) if names else []
        else:
            away = foreach._foreach_sub(w, [self.source[n] for n in names])
            foreach._foreach_mul_(away, self.alpha)
        return dict(zip(names, away, strict=True))


def L2(alpha: float = 1e-4) -> L2SP:
    """``alpha/2 ||w||^2`` over everything but the head, whose decay is the loop's: plain weight decay."""
    return L2SP(None, alpha)
