"""The guard around a training step: two gradients go in, one that never opposes the loss comes out in ``.grad``."""

import warnings
import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from claimkit.errors import InputError
from dtnh.conflicts import Conflicts
from dtnh.projection import Info, project_
from dtnh.scopes import Params, Scope, grouped, head_names, named


class NotFiniteError(InputError):
    """A gradient is infinite or not a number; no step was taken."""


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

    Attributes:
        parameters: Name to parameter, of all that the guard knows.
        conflicts: What happened so far.
    """

    def __init__(
        self,
        params: Params,
        scope: Scope = "shared",
        head: str | Sequence[str] | None = None,
        groups: Sequence[Sequence[str]] | None = None,
        check: bool | None = None,
    ) -> None:
        params = params if isinstance(params, nn.Module) else list(params)  # type: ignore[assignment]
        self.parameters = named(params)
        self.head = head_names(params, self.parameters, head)
        chosen = grouped(list(self.parameters), self.head, scope) if groups is None else [list(b) for b in groups]
        names = [n for b in chosen for n in b]
        if len(set(names)) < len(names) or not set(names) <= self.parameters.keys():
            raise InputError("groups must name parameters that the guard knows, each once")
        self.groups: list[list[str]] = chosen
        self.check = check
        self.conflicts = Conflicts()
        self._r: dict[str, Tensor] = {}
        self._pending = self._data_dependent = self._known_leaves = self._looked = False
        self._hook: Any = None
        self._written: tuple[Tensor, int] | None = None

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
            What happened in each group; None with ``accumulate``.

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
            return None if accumulate else self._combine(scale)
        except Exception:
            self._drop()
            raise

    def _combine(self, scale: Tensor | None) -> Info:
        r, self._r = self._averaged(self._r), {}
        self._data_dependent = False
        present = {n: p for n, p in self.parameters.items() if p.grad is not None or n in r}
        for p in present.values():
            if p.grad is None:
                p.grad = torch.zeros_like(p)
        position = {n: i for i, n in enumerate(present)}
        g: list[Any] = [p.grad for p in present.values()]
        info = project_(g, [r.get(n) for n in present], [[position[n] for n in b if n in present] for b in self.groups])
        if scale is not None:
            sizes = info.grad_norm / scale, info.reg_norm / scale, info.removed_norm / scale
            info = replace(info, grad_norm=sizes[0], reg_norm=sizes[1], removed_norm=sizes[2])
        elif self.check or (self.check is None and g[0].device.type == "cpu"):
            for size, what in ((info.grad_norm, "loss"), (info.reg_norm, "regulariser")):
                if not bool(size.isfinite().all()):
                    raise NotFiniteError(f"the gradient of the {what} is not finite: lower the learning rate or its weight")
        self.conflicts.add(info)
        self._written = g[0], g[0]._version
        self._look_at_optimizers()
        return info

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
        """Gradient of ``reg`` by name; its leaves are looked at once, so that none is forgotten silently."""
        if reg.numel() != 1:
            raise InputError(f"reg has shape {tuple(reg.shape)}: expected a scalar")
        if reg.grad_fn is None:
            raise InputError("the regulariser does not depend on the guarded parameters: is it computed without gradients?")
        if not self._known_leaves:
            known = {id(p) for p in self.parameters.values()}
            for leaf in leaves(reg):
                if isinstance(leaf, nn.Parameter) and id(leaf) not in known:
                    shape = tuple(leaf.shape)
                    raise InputError(
                        f"the regulariser also depends on a parameter of shape {shape} that the guard does not know, whose "
                        "gradient would be lost: give it to Guard, under head= if it is not shared"
                    )
            self._known_leaves = True
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
        if self._pending or self._written is None:
            return
        tensor, version = self._written
        if any(p.grad is tensor for p in self.parameters.values()) and tensor._version == version:
            raise InputError(
                "the last step's gradients are still there: call optimizer.zero_grad() before the next forward pass, and "
                "give accumulate=True for all but the last of several micro-batches"
            )

    def _drop(self) -> None:
        self._r, self._pending, self._data_dependent, self._written = {}, False, False, None
        for p in self.parameters.values():
            p.grad = None

    def _look_at_optimizers(self) -> None:
        """At the first step of an optimiser that holds guarded parameters, warn if it decays them; then look no more."""
        if self._hook is None and not self._looked:
            self._hook = register_optimizer_step_pre_hook(_DecayCheck(self))
            weakref.finalize(self, self._hook.remove)
        elif self._hook is not None and self._looked:
            self._hook.remove()  # not by the hook itself, which torch is then iterating over
            self._hook = None


class _DecayCheck:
    """Called before every optimiser's step; holds its guard weakly."""

    def __init__(self, guard: Guard) -> None:
        self.guard = weakref.ref(guard)

    def __call__(self, optimizer: torch.optim.Optimizer, *_: object) -> None:
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
