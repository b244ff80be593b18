"""The rule in the metric of an optimiser: its moments see the loss alone, and the penalty is applied apart.

An optimiser that steps by ``-lr P d``, with ``P`` diagonal and positive, changes the loss by ``-lr <P d, g>`` to first
order, so that ``<d, g> >= <g, g>`` promises nothing. Here the optimiser steps with ``g``, and then, group by group,

    r' = r - <Q r, g> / <Q g, g> g   if <Q r, g> < 0,   otherwise r;      w <- w - lr Q r'

so that the penalty's part of the step never raises the loss: ``<Q r', g> >= 0``. ``Q`` is one for SGD (momentum is the
loss's alone) and for Muon, whose step is no linear map of the gradient; ``1 / (sqrt(v + r^2) + eps)`` for Adam, AdamW and
Adafactor, with ``v`` their own second moments of ``g``: like theirs, no coordinate moves by more than about ``lr``.
"""

import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adafactor, Adam, Optimizer

from claimkit.errors import InputError
from dtnh.guard.projection import Info

MUON: type[Any] | None = getattr(torch.optim, "Muon", None)
AWAITED: "set[Apart]" = set()
"""What waits for a step: held here, so that a guard that went out of scope does not take its penalty along."""
KNOWN = (SGD, Adam, Adafactor, *([MUON] if MUON else []))


@dataclass(frozen=True)
class Step:
    """How one parameter's gradient becomes a move: ``lr d / q``, where None stands for a ``q`` of one."""

    lr: float | Tensor
    q: Tensor | None

    def __call__(self, d: Tensor) -> Tensor:
        """The move for ``d``, in float32 or wider, without its sign."""
        d = d.to(torch.promote_types(d.dtype, torch.float32))
        return self.lr * (d if self.q is None else d / self.q)


def step_of(optimizer: Optimizer, group: Mapping[str, Any], p: Tensor, r: Tensor, size: Tensor | None = None) -> Step:
    """The metric of one parameter, from the optimiser's state after its step.

    Args:
        optimizer: SGD, Adam, AdamW, Adafactor or Muon of torch.
        group: The parameter's group.
        p: The parameter, whose ``.grad`` is ``g``.
        r: The penalty's gradient, beside the second moments so that a coordinate without ``g`` is not thrown far away.
        size: ``||p||`` before the step, which Adafactor's rate depends on.
    """
    lr, state = group["lr"], optimizer.state.get(p, {})
    wide = torch.promote_types(p.dtype, torch.float32)
    squares = r.to(wide).square()
    if isinstance(optimizer, Adam):
        v = state.get("max_exp_avg_sq" if group.get("amsgrad") else "exp_avg_sq")
        if v is not None:
            squares = squares + v.to(wide) / (1 - group["betas"][1] ** state["step"])
        return Step(lr, squares.sqrt().add_(group["eps"]))
    if not isinstance(optimizer, Adafactor):
        return Step(lr, None)
    eps = torch.finfo(p.dtype).eps if group["eps"][0] is None else group["eps"][0]
    if not state or p.grad is None:
        return Step(lr * group["eps"][1], squares.sqrt().add_(eps))
    if p.ndim > 1:
        v = state["row_var"] @ state["col_var"] / state["row_var"].mean(-2, keepdim=True).clamp(min=eps)
    else:
        v = state["variance"]
    v = v.to(wide).clamp(min=eps * eps)
    rms = (p.norm() if size is None else size) / p.numel() ** 0.5
    rate = rms.clamp(min=group["eps"][1]) * (1 / state["step"].sqrt()).clamp(max=float(lr))
    clipped = ((p.grad / v.sqrt()).norm() / (p.numel() ** 0.5 * group["d"])).clamp(min=1)
    return Step(rate / clipped, (v + squares).sqrt())


class Apart:
    """Applies the projected penalty after the step of the optimisers that hold the guarded parameters.

    Args:
        optimizers: One or several of torch's, wrapped or not.
        parameters: What is guarded, by name.
        groups: Names that are projected together; the others' penalty is applied as it is.
        done: Called with what happened in each step.
    """

    def __init__(
        self,
        optimizers: Optimizer | Sequence[Optimizer],
        parameters: Mapping[str, nn.Parameter],
        groups: Sequence[Sequence[str]],
        done: Any,
    ) -> None:
        given = [optimizers] if isinstance(optimizers, Optimizer) else list(optimizers)
        self.optimizers = [_inner(o) for o in given]
        for o in self.optimizers:
            if not isinstance(o, KNOWN):
                known = ", ".join(k.__name__ for k in KNOWN)
                raise InputError(f"the metric of {type(o).__name__} is not known, only that of AdamW, {known}")
            if any(g.get("maximize") for g in o.param_groups):
                raise InputError(f"{type(o).__name__} maximises: a guard is for a loss that falls")
        self.parameters, self.groups, self.done = parameters, groups, done
        self.ready: dict[str, Tensor] | None = None
        self._g: dict[str, Tensor] = {}
        self._sizes: dict[str, Tensor] = {}
        self._waiting: list[Optimizer] = []
        self._where()
        me = weakref.ref(self)
        for o in self.optimizers:
            for register, name in ((o.register_step_pre_hook, "_before"), (o.register_step_post_hook, "_after")):
                weakref.finalize(self, register(lambda o, *_, name=name: _call(me, name, o)).remove)

    def set(self, r: dict[str, Tensor]) -> None:
        """The penalty's gradient for the next step."""
        self.ready, self._waiting = r, list(self.optimizers)
        AWAITED.add(self)

    def forget(self) -> None:
        """Apply nothing at the next step."""
        AWAITED.discard(self)
        self.ready = None

    def _where(self) -> dict[str, tuple[Optimizer, dict[str, Any]]]:
        held = {id(p): (o, g) for o in self.optimizers for g in o.param_groups for p in g["params"]}
        if missing := [n for n, p in self.parameters.items() if id(p) not in held]:
            raise InputError(f"no optimizer holds {missing[0]!r}: give the guard all that step guarded parameters")
        return {n: held[id(p)] for n, p in self.parameters.items()}

    @torch.no_grad()
    def _before(self, optimizer: Optimizer) -> None:
        if self.ready is None:
            return
        for n, (o, group) in self._where().items():
            p = self.parameters[n]
            if o is optimizer and p.grad is not None:
                if group.get("nesterov") and isinstance(o, SGD):
                    self._g[n] = p.grad.clone()  # SGD adds the momentum into it
                elif isinstance(o, Adafactor):
                    self._sizes[n] = p.norm()

    @torch.no_grad()
    def _after(self, optimizer: Optimizer) -> None:
        if self.ready is None or optimizer not in self._waiting:
            return
        self._waiting.remove(optimizer)
        if not self._waiting:
            r = self.ready
            self.forget()
            self.done(self._apply(r))
            self._g, self._sizes = {}, {}

    def _apply(self, r: dict[str, Tensor]) -> Info:
        where, zero = self._where(), torch.zeros((), device=next(iter(self.parameters.values())).device)
        steps = {n: step_of(*where[n], self.parameters[n], t, self._sizes.get(n)) for n, t in r.items()}
        rows = []
        for group in self.groups:
            dot, gg, rr = zero, zero, zero
            for n in (n for n in group if n in r):
                pulled, g = steps[n](r[n]), self._g.get(n, self.parameters[n].grad)
                rr = rr + _dot(pulled, r[n])
                if g is not None:
                    dot, gg = dot + _dot(pulled, g), gg + _dot(steps[n](g), g)
            conflict = (dot < 0) & (gg > 0)
            coef = torch.where(conflict, -dot / gg, 0.0)
            norms = (gg * rr).sqrt()
            cos = torch.where(norms > 0, dot / norms, 0.0)
            rows.append((cos, conflict, coef, gg.sqrt(), rr.sqrt(), coef * gg.sqrt()))
            for n in (n for n in group if n in r):
                g = self._g.get(n, self.parameters[n].grad)
                self._move(n, steps[n](r[n] if g is None else r[n] + coef * g))
        for n in r.keys() - {n for group in self.groups for n in group}:
            self._move(n, steps[n](r[n]))
        return Info(*(torch.stack(column) for column in zip(*rows, strict=True)))

    def _move(self, name: str, move: Tensor) -> None:
        self.parameters[name].sub_(move.to(self.parameters[name].dtype))


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum()


def _inner(optimizer: Optimizer) -> Optimizer:
    """The optimiser inside a wrapper such as accelerate's."""
    inside = getattr(optimizer, "optimizer", None)
    return _inner(inside) if isinstance(inside, Optimizer) else optimizer


def _call(me: Any, name: str, optimizer: Optimizer) -> None:
    if (apart := me()) is not None:
        getattr(apart, name)(optimizer)
