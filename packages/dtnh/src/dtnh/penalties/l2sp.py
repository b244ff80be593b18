"""L2-SP (arXiv 1802.01483) for any training loop: decay towards a starting point, by its gradient in closed form."""

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from claimkit.errors import InputError, one_of
from claimkit.transfer.maps.features import unwrapped
from dtnh.guard.scopes import Params, head_names, named

foreach: Any = torch
"""torch, for its ``_foreach_*`` operators, which have no types."""


class L2SP:
    """``alpha/2 ||w - w_s||^2``, whose gradient ``alpha (w - w_s)`` needs no graph and no backward pass.

    Args:
        params: A module, parameters, or pairs of name and parameter.
        source: ``w_s``: the source network or its state; the values that the parameters have now when None.
        alpha: Strength, zero or more.
        include: ``all`` parameters, BatchNorm's and biases among them, or only ``weights`` of two axes and more.
        head: Names of what is not pulled; the classifier of a module when None, ``()`` for none.
        optimizer: Whose learning rates :meth:`step` follows, group by group.

    The source is kept in float32 or wider, the one copy of the parameters that the method needs: in bfloat16 small moves
    would be lost.
    """

    def __init__(
        self,
        params: Params,
        source: nn.Module | Mapping[str, Tensor] | None = None,
        alpha: float = 0.1,
        include: Literal["all", "weights"] = "all",
        head: str | Sequence[str] | None = None,
        optimizer: Optimizer | None = None,
    ) -> None:
        if not 0 <= alpha < math.inf:
            raise InputError(f"alpha = {alpha}: expected a number of zero or more")
        one_of("include", include, ("all", "weights"))
        params = params if isinstance(params, nn.Module) else list(params)  # type: ignore[assignment]
        parameters = named(params)
        left_out = head_names(params, parameters, head)
        state = unwrapped(source).state_dict() if isinstance(source, nn.Module) else source
        self.alpha, self.optimizer = alpha, optimizer
        self.parameters = {
            n: p
            for n, p in parameters.items()
            if n not in left_out and (include == "all" or p.ndim > 1) and (state is None or n in state)
        }
        if not self.parameters:
            raise InputError("source and model have no parameter in common: their names must agree")
        self._warned = False
        self.source: dict[str, Tensor] = {}
        for n, p in self.parameters.items():
            w = p if state is None else state[n]
            if w.shape != p.shape:
                raise InputError(f"{n} has shape {tuple(p.shape)}, the source's {tuple(w.shape)}: name it in head=")
            wide = torch.promote_types(p.dtype, torch.float32)
            self.source[n] = w.detach().to(p.device, wide, copy=True)

    @torch.no_grad()
    def grad(self) -> dict[str, Tensor]:
        """``alpha (w - w_s)`` by name, for ``Guard.backward(loss, reg_grad=...)``."""
        w, w_s = [p.detach() for p in self.parameters.values()], list(self.source.values())
        if w[0].device.type == "cpu":  # there foreach is a loop, and one tensor after the other stays in the cache
            away = [torch.sub(a, b).mul_(self.alpha) for a, b in zip(w, w_s, strict=True)]
        else:
            away = foreach._foreach_sub(w, w_s)
            foreach._foreach_mul_(away, self.alpha)
        return dict(zip(self.parameters, away, strict=True))

    @torch.no_grad()
    def step(self, lr: float | None = None) -> None:
        """``w <- w - lr alpha (w - w_s)``: AdamW's decay towards ``w_s`` instead of zero, after ``optimizer.step()``.

        Args:
            lr: For all parameters; those of the optimizer's groups when None.

        Raises:
            InputError: No rate, or ``lr alpha`` above one, which would overshoot.
        """
        rates = {}
        if lr is None and self.optimizer is not None:
            rates = {id(p): float(g["lr"]) for g in self.optimizer.param_groups for p in g["params"]}
        for n, p in self.parameters.items():
            rate = rates.get(id(p)) if lr is None else lr
            if rate is None:
                raise InputError(f"no learning rate for {n!r}: give L2SP the optimizer that holds it, or step(lr)")
            if rate * self.alpha > 1:
                raise InputError(f"lr alpha = {rate * self.alpha:g} would overshoot the source: lower alpha")
            moved = torch.lerp(p.to(self.source[n].dtype), self.source[n], rate * self.alpha)
            if p.dtype != moved.dtype and not self._warned:
                self._warned = True
                warnings.warn(
                    f"the parameters are {p.dtype}: moves below its resolution are lost, as in any optimiser without "
                    "float32 copies",
                    stacklevel=3,
                )
            p.copy_(moved)

    def value(self) -> Tensor:
        """``alpha/2 ||w - w_s||^2``, a scalar in the graph of the parameters."""
        squares = [(p - self.source[n]).square().sum() for n, p in self.parameters.items()]
        return self.alpha / 2 * torch.stack(squares).sum()
