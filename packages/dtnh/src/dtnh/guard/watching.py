"""What a guard looks out for: gradients that are not finite or were not cleared, and decay that escapes it."""

import warnings
import weakref
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from claimkit.transfer.loop import DivergedError


class NotFiniteError(DivergedError):
    """A gradient is infinite or not a number; no step was taken."""


def sizes(parameters: Mapping[str, nn.Parameter]) -> Tensor:
    """Norms of the gradients that are there, after a zero."""
    return torch.stack([torch.zeros(()), *(p.grad.float().norm().cpu() for p in parameters.values() if p.grad is not None)])


def refuse_infinite(g: Tensor, r: Tensor) -> None:
    """Refuse norms that are not finite, of the loss's gradient first."""
    for size, what in ((g, "loss"), (r, "regulariser")):
        if not bool(size.isfinite().all()):
            raise NotFiniteError(f"the gradient of the {what} is not finite: lower the learning rate or its weight")


class Left:
    """The gradients that a guard left, by weak reference: whether one of them is still there, changed in place or not."""

    def __init__(self, parameters: Mapping[str, nn.Parameter]) -> None:
        self.written = {n: weakref.ref(p.grad) for n, p in parameters.items() if p.grad is not None}

    def stale(self, parameters: Mapping[str, nn.Parameter]) -> bool:
        """Whether a gradient of the last step is there that is not zero; one that was cleared to None is not looked at."""
        there = [parameters[n].grad for n, ref in self.written.items() if ref() is not None and ref() is parameters[n].grad]
        return any(t is not None and bool((t.coalesce().values() if t.is_sparse else t).any()) for t in there)


class DecayCheck:
    """Called before every optimiser's step; holds its guard weakly."""

    def __init__(self, guard: Any) -> None:
        self.guard = weakref.ref(guard)

    def __call__(self, optimizer: torch.optim.Optimizer, *_: object) -> None:
        """Warn once, at the first step of an optimiser that holds guarded parameters."""
        guard = self.guard()
        if guard is None or guard._looked:
            return
        guarded = {id(guard.parameters[n]) for b in guard.groups for n in b}
        held = [g.get("weight_decay", 0) for g in optimizer.param_groups for p in g["params"] if id(p) in guarded]
        guard._looked = bool(held)
        if decays := [float(d) for d in held if d]:
            warnings.warn(
                f"{type(optimizer).__name__} has weight_decay = {max(decays)} on {len(decays)} guarded parameters, which "
                "escapes the guard: set it to 0 there, and give the decay to the guard as reg_grad (dtnh.L2SP)",
                stacklevel=4,
            )


def leaves(reg: Tensor) -> Iterable[Tensor]:
    """The tensors at the ends of a graph that require gradients."""
    todo: list[Any] = [reg.grad_fn]
    seen = set()
    while todo:
        node = todo.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if (variable := getattr(node, "variable", None)) is not None:
            yield variable
        todo += [following for following, _ in node.next_functions]
