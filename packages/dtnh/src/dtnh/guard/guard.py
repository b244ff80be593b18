"""The guard around a training step: two gradients go in, one that never opposes the loss comes out in ``.grad``."""

import weakref
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_pre_hook

from claimkit.errors import InputError
from dtnh.guard.conflicts import Conflicts
from dtnh.guard.metric import Apart
from dtnh.guard.projection import Info, project_
from dtnh.guard.scopes import Params, Scope, grouped, head_names, named
from dtnh.guard.watching import DecayCheck, Left, leaves, refuse_infinite, sizes
from dtnh.guard.watching import NotFiniteError as NotFiniteError

KEPT = 0.99
"""Share of ``<g, g>`` that ``<d, g>`` must have for a lagged coefficient to have kept the inequality."""


class Guard:
    """In place of ``(loss + reg).backward()``.

    .. code-block:: python

        guard = dtnh.Guard(model)
        guard.backward(loss, reg)  # then clip, step, zero_grad as ever

    Args:
        params: A module (wrapped or not), parameters, or pairs of name and parameter.
        scope: What is projected together: ``shared`` is all but the head, ``all`` the head too, ``layer`` each module and
            ``tensor`` each tensor by itself. Parameters of the head get the plain sum of both gradients but under ``all``.
        head: Names of what is not shared with the source network; the classifier of a module when None, ``()`` for none.
            Adapters that only the regulariser uses belong here too.
        groups: Names of the parameters of each group, instead of ``scope``.
        check: Refuse gradients that are not finite. When None, on the CPU alone, since on a GPU it waits for the device;
            never with a GradScaler, which skips such a step itself.
        optimizer: One or several of SGD, Adam, AdamW, Adafactor and Muon: the rule then holds in their metric, ``.grad`` is
            the loss's alone, and the penalty is applied after their step, outside of moments and clipping (``metric``).
        every: Take the exact rule each ``every``-th step and its coefficient in between, with one backward pass. Then
            ``<d, g> >= <g, g>`` is no longer certain; the guard's ``repr`` tells how often it held.

    Attributes:
        parameters: Name to parameter, of all that the guard knows.
        conflicts: What happened so far, at the exact steps.
    """

    def __init__(
        self,
        params: Params,
        scope: Scope = "shared",
        head: str | Sequence[str] | None = None,
        groups: Sequence[Sequence[str]] | None = None,
        check: bool | None = None,
        optimizer: Optimizer | Sequence[Optimizer] | None = None,
        every: int = 1,
    ) -> None:
        params = params if isinstance(params, nn.Module) else list(params)  # type: ignore[assignment]
        self.parameters = named(params)
        self.head = head_names(params, self.parameters, head)
        chosen = grouped(list(self.parameters), self.head, scope) if groups is None else [list(b) for b in groups]
        names = [n for b in chosen for n in b]
        if len(set(names)) < len(names) or not set(names) <= self.parameters.keys():
            raise InputError("groups must name parameters that the guard knows, each once")
        self.groups: list[list[str]] = chosen
        self.check, self.scope = check, scope if groups is None else "groups"
        if every < 1 or (every > 1 and (len(chosen) != 1 or optimizer is not None)):
            raise InputError(f"every = {every}: a lagged coefficient is for one group, and not for an optimizer's metric")
        self.every, self._steps, self._lag = every, 0, torch.zeros(())
        self._kept: list[Tensor] = []
        self.conflicts = Conflicts(_names(chosen, self.scope))
        self._apart = None if optimizer is None else Apart(optimizer, self.parameters, chosen, self.conflicts.add)
        self._r: dict[str, Tensor] = {}
        self._pending = self._data_dependent = self._looked = False
        self._model = weakref.ref(params) if isinstance(params, nn.Module) else None
        self._known_leaves = -1
        self._hook: Any = None
        self._written: Left | None = None

    def __repr__(self) -> str:
        """With ``every``, how many steps were exact, and how often the lagged coefficient would have been enough."""
        if self.every == 1:
            return f"Guard({self.scope}, {len(self.parameters)} parameters)"
        kept = f"{float(torch.stack(self._kept).float().mean()):.0%}" if self._kept else "none"
        return (
            f"Guard({self.scope}, every={self.every}): {len(self.conflicts)} of {self._steps} steps exact; the lagged "
            f"coefficient kept {KEPT} of <g, g> in {kept} of the {len(self._kept)} steps at which it was compared"
        )

    def backward(
        self,
        loss: Tensor,
        reg: Tensor | None = None,
        reg_grad: Mapping[str, Tensor] | Sequence[Tensor | None] | None = None,
        *,
        accumulate: bool = False,
        retain_graph: bool = False,
        scaler: Any = None,
    ) -> Info | None:
        """Leave ``g + r'`` in ``.grad``, with one backward pass for the loss and, for ``reg``, one for the regulariser.

        Args:
            loss: The task loss, a scalar in the graph.
            reg: The weighted regulariser, a scalar in the graph of the same forward pass.
            reg_grad: The weighted regulariser's gradient in closed form, by name or in the order of ``parameters``; both
                may be given, and are then added.
            accumulate: Keep both gradients and project nothing yet: for all but the last of several micro-batches.
            retain_graph: Keep the graph after the call.
            scaler: A GradScaler; loss and regulariser are then scaled by the guard. Unscale before clipping, as ever.

        Returns:
            What happened in each group; None with ``accumulate``, at a lagged step, and where an optimizer's step is
            awaited.

        Raises:
            InputError: No regulariser, one that does not depend on the parameters, gradients that do not match, or gradients
                of the last step that were not cleared. No gradient is then left, so that no step is taken.
            NotFiniteError: The same, for gradients that are not finite.
        """
        try:
            self._refuse_stale()
            r = self._closed(reg_grad) if reg_grad is not None else {}
            scale = None if scaler is None else scaler.scale(torch.ones((), device=loss.device))
            if scale is not None:
                loss, reg = loss * scale, None if reg is None else reg * scale
                r = {n: t * scale for n, t in r.items()}
            if reg is not None and reg.grad_fn is None:
                raise InputError(
                    "the regulariser does not depend on the guarded parameters: is it computed without gradients?"
                )
            if reg is not None and not r and self._steps % self.every:
                return self._lagged(loss, reg, accumulate, retain_graph, scale is None and self._checked(loss))
            if reg is not None:
                self._data_dependent = True
                for n, t in self._differentiated(reg).items():
                    r[n] = r[n] + t if n in r else t
            if not r:
                raise InputError("there is no regulariser: give reg, a scalar in the graph, or reg_grad")
            loss.backward(retain_graph=retain_graph)
            for n, t in r.items():
                self._r[n] = self._r[n] + t if n in self._r else t
            self._pending = accumulate
            if accumulate:
                return None
            self._steps += 1
            return self._combine(scale)
        except Exception:
            self._drop()
            raise

    def _combine(self, scale: Tensor | None) -> Info | None:
        r, self._r = self._averaged(self._r), {}
        self._data_dependent = False
        for n, p in self.parameters.items():
            if p.grad is None and n in r and self._apart is None:
                p.grad = torch.zeros_like(p)
            elif p.grad is not None and p.grad.is_sparse:
                p.grad = p.grad.to_dense() if n in r else p.grad.coalesce()
        r = {n: t.to_dense() if t.is_sparse else t for n, t in r.items()}
        present = {n: p for n, p in self.parameters.items() if p.grad is not None}
        self._look_at_optimizers()
        if self._apart is not None:
            return self._hand_over(self._apart, present, r, scale)
        position = {n: i for i, n in enumerate(present)}
        g: list[Any] = [p.grad for p in present.values()]
        info = project_(g, [r.get(n) for n in present], [[position[n] for n in b if n in present] for b in self.groups])
        if scale is not None:
            norms = info.grad_norm / scale, info.reg_norm / scale, info.removed_norm / scale
            info = replace(info, grad_norm=norms[0], reg_norm=norms[1], removed_norm=norms[2])
        elif self._checked(g[0]):
            refuse_infinite(info.grad_norm, info.reg_norm)
        if self.every > 1:
            self._compare(info, r)
        self.conflicts.add(info)
        self._written = Left(present)
        return info

    def _hand_over(self, apart: Apart, present: dict[str, nn.Parameter], r: dict[str, Tensor], scale: Tensor | None) -> None:
        """``.grad`` stays the loss's; the penalty's gradient waits for the optimiser's step."""
        size = torch.stack([t.float().norm() for t in r.values()]).norm()
        if scale is not None:
            r = {n: t / scale for n, t in r.items()}
            first: Any = next(iter(present.values())).grad
            first.add_((0 * size).to(first.dtype))  # an infinite penalty makes the scaler skip the step
        elif self._checked(size):
            refuse_infinite(sizes(present), size)
        apart.set(r)
        self._written = Left(present)

    def _lagged(self, loss: Tensor, reg: Tensor, accumulate: bool, retain_graph: bool, checked: bool) -> None:
        """One backward pass of ``(1 + c) loss + reg``, with the coefficient of the last exact step."""
        factor = 1 + self._lag.to(loss.device)
        (factor * loss + reg).backward(retain_graph=retain_graph)
        self._pending = accumulate
        if not accumulate:
            guarded = set(self.groups[0])
            for n, p in self.parameters.items():
                if n not in guarded and p.grad is not None:
                    p.grad.div_(factor)
            if checked:
                refuse_infinite(sizes(self.parameters), torch.zeros(()))
            self._steps += 1
            self._written = Left(self.parameters)

    def _compare(self, info: Info, r: Mapping[str, Tensor]) -> None:
        if outside := r.keys() - set(self.groups[0]):
            raise InputError(f"every = {self.every} is for penalties that leave the head alone, not {min(outside)!r}: use 1")
        ratio = torch.where(info.grad_norm > 0, info.cos * info.reg_norm / info.grad_norm, 0.0)[0]
        if len(self.conflicts):
            self._kept.append(self._lag + ratio >= KEPT - 1)
        self._lag = info.coef[0].detach().clone()

    def _checked(self, t: Tensor) -> bool:
        return bool(self.check) or (self.check is None and t.device.type == "cpu")

    def _closed(self, reg_grad: Mapping[str, Tensor] | Sequence[Tensor | None]) -> dict[str, Tensor]:
        if not isinstance(reg_grad, Mapping):
            if len(reg_grad) != len(self.parameters):
                raise InputError(f"reg_grad has {len(reg_grad)} tensors for {len(self.parameters)} parameters")
            reg_grad = {n: t for n, t in zip(self.parameters, reg_grad, strict=True) if t is not None}
        for n, t in reg_grad.items():
            if n not in self.parameters:
                raise InputError(f"reg_grad has a gradient of {n!r}, which the guard does not know: give it to Guard too")
            if t.shape != self.parameters[n].shape:
                expected = tuple(self.parameters[n].shape)
                raise InputError(f"reg_grad of {n} has shape {tuple(t.shape)}, the parameter {expected}")
        return dict(reg_grad)

    def _differentiated(self, reg: Tensor) -> dict[str, Tensor]:
        """Gradient of ``reg`` by name; its leaves are looked at once, and when layers thaw: none is forgotten silently."""
        if reg.numel() != 1:
            raise InputError(f"reg has shape {tuple(reg.shape)}: expected a scalar")
        model = None if self._model is None else self._model()
        trained = 0 if model is None else sum(p.requires_grad for p in model.parameters())
        if trained != self._known_leaves:
            known = {id(p) for p in self.parameters.values()}
            for leaf in leaves(reg):
                if isinstance(leaf, nn.Parameter) and id(leaf) not in known:
                    shape = tuple(leaf.shape)
                    raise InputError(
                        f"the regulariser also depends on a parameter of shape {shape} that the guard does not know, whose "
                        "gradient would be lost: give it to Guard, under head= if it is not shared"
                    )
            self._known_leaves = trained
        found = torch.autograd.grad(reg, list(self.parameters.values()), retain_graph=True, allow_unused=True)
        r = {n: t for n, t in zip(self.parameters, found, strict=True) if t is not None}
        if not r:
            raise InputError("the regulariser does not depend on the guarded parameters: check what it is computed from")
        return r

    def _averaged(self, r: dict[str, Tensor]) -> dict[str, Tensor]:
        """Mean over the processes of a distributed run, as DistributedDataParallel takes it of the loss's gradient."""
        dist: Any = torch.distributed
        if not self._data_dependent or not dist.is_available() or not dist.is_initialized() or dist.get_world_size() < 2:
            return r
        r = {n: r[n] if n in r else torch.zeros_like(p) for n, p in self.parameters.items()}
        flat = torch.cat([t.flatten() for t in r.values()])
        dist.all_reduce(flat)
        parts = (flat / dist.get_world_size()).split([t.numel() for t in r.values()])
        return {n: part.view(t.shape).to(t.dtype) for (n, t), part in zip(r.items(), parts, strict=True)}

    def _refuse_stale(self) -> None:
        if not self._pending and self._written is not None and self._written.stale(self.parameters):
            raise InputError(
                "the last step's gradients are still there: call optimizer.zero_grad() before the next forward pass, and "
                "give accumulate=True for all but the last of several micro-batches"
            )

    def _drop(self) -> None:
        self._r, self._pending, self._data_dependent, self._written = {}, False, False, None
        if self._apart is not None:
            self._apart.forget()
        for p in self.parameters.values():
            p.grad = None

    def _look_at_optimizers(self) -> None:
        """At the first step of an optimiser that holds guarded parameters, warn if it decays them; then look no more."""
        if self._hook is None and not self._looked:
            self._hook = register_optimizer_step_pre_hook(DecayCheck(self))
            weakref.finalize(self, self._hook.remove)
        elif self._hook is not None and self._looked:
            self._hook.remove()  # not by the hook itself, which torch is then iterating over
            self._hook = None


def _names(groups: Sequence[Sequence[str]], scope: str) -> list[str]:
    """What a group is called: its scope, its module or its tensor."""
    if scope in ("shared", "all"):
        return [scope]
    return [b[0] if len(b) == 1 and scope != "layer" else b[0].rpartition(".")[0] for b in groups]
