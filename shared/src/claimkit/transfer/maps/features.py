"""Outputs of named layers: caught during a network's own forward pass, or by one that ends after the last of them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from claimkit.errors import InputError


class _LastLayerReachedError(Exception):
    """Ends a forward pass: what follows is not needed."""


class Taps:
    """Catches the outputs of some layers in every forward pass until it is removed.

    An output that a later operation overwrites in place, as an in-place ReLU does, is noticed, and copied in later passes.
    What checkpointing computes again during the backward pass is left alone.

    Args:
        model: The network.
        modules: Its layers by name.
        stop: End each pass after the last of them; only those of :meth:`run` are then looked at.
    """

    def __init__(self, model: nn.Module, modules: Mapping[str, nn.Module], stop: bool = False) -> None:
        self.model, self.layers, self.stop = model, tuple(modules), stop
        self._inputs: list[tuple[object, int]] = []
        self._seen: dict[str, tuple[Tensor, int]] = {}
        self._twice: set[str] = set()
        self._cut: set[str] = set()
        self._copied: set[str] = set()
        self._open = self._grad = self._running = False
        self._handles: list[RemovableHandle] = [
            model.register_forward_pre_hook(_Hook(self._begin), with_kwargs=True),
            model.register_forward_hook(_Hook(self._end)),
        ]
        self._handles += [m.register_forward_hook(_Hook(self._catch, name)) for name, m in modules.items()]

    def _begin(self, _module: nn.Module, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        if self.stop and not self._running:
            return
        self._clear()
        self._inputs = [(t, version(t)) for t in (*args, *kwargs.values())]
        self._open, self._grad = True, torch.is_grad_enabled()

    def _catch(self, name: str, module: nn.Module, _args: object, output: object) -> None:
        if not self._open:
            return
        if not isinstance(output, Tensor):
            raise InputError(f"layer {name!r} gives no tensor of 2 to 5 axes: name a convolution, linear layer or block")
        if name in self._seen:
            self._twice.add(name)
        if self._grad and not output.requires_grad:
            trained = any(p.requires_grad for p in module.parameters())
            if trained or not torch.is_grad_enabled():
                self._cut.add(name)
        out = output.clone() if name in self._copied or torch.compiler.is_compiling() else output
        self._seen[name] = out, version(out)
        if self.stop and len(self._seen) == len(self.layers):
            raise _LastLayerReachedError

    def _end(self, *_: object) -> None:
        self._open = False

    def saw(self, x: object) -> bool:
        """Whether the last pass was on ``x`` as it is now, with gradients if they are wanted, and was not taken yet.

        ``x`` may have been cast, moved or laid out anew on its way into the network; one that was written to since is
        another input.
        """
        if torch.is_grad_enabled() and not self._grad:
            return False
        for t, when in self._inputs:
            if t is x:
                return version(t) == when
        return any(_equal(t, x) for t, when in self._inputs if version(t) == when)

    def take(self) -> list[Tensor] | None:
        """What the last pass gave, in the order of ``layers``, once; None where nothing usable is there.

        Raises:
            InputError: A layer that was called more than once, or that ran without gradients in a pass that had them.
        """
        seen, twice, cut = dict(self._seen), sorted(self._twice), sorted(self._cut)
        self._clear()
        if twice:
            raise InputError(f"layer {twice[0]!r} is called more than once in a pass: name one that is called once")
        if cut:
            raise InputError(
                f"layer {cut[0]!r} ran without gradients, as in a reentrant checkpoint, and the penalty would have none: "
                "use checkpoint(..., use_reentrant=False)"
            )
        if len(seen) < len(self.layers):
            return None
        if overwritten := {n for n, (t, when) in seen.items() if version(t) != when}:
            self._copied |= overwritten
            return None
        return [seen[n][0] for n in self.layers]

    def run(self, x: Any) -> list[Tensor]:
        """Outputs for ``x``, by a forward pass; a second one where the first shows that outputs must be copied."""
        for _ in range(2):
            before = version(x)
            self._running = True
            try:
                with suppress(_LastLayerReachedError):
                    self.model(x)
            finally:
                self._running = False
            if version(x) != before:
                raise InputError("the network writes into its input, which would be another in the next pass: let it copy")
            if (outputs := self.take()) is not None:
                return outputs
        raise InputError(f"a forward pass does not reach all of the layers {', '.join(self.layers)}: leave the others out")

    def remove(self) -> None:
        """Remove the hooks."""
        for handle in self._handles:
            handle.remove()
        self._clear()

    def _clear(self) -> None:
        self._seen, self._inputs, self._twice, self._cut, self._open = {}, [], set(), set(), False


class _Hook:
    """A hook that stays behind when its module is copied or saved: the copy has one that does nothing."""

    def __init__(self, function: Callable[..., None] | None = None, *first: object) -> None:
        self.function, self.first = function, first

    def __call__(self, *args: object) -> None:
        if self.function is not None:
            self.function(*self.first, *args)

    def __deepcopy__(self, _memo: object) -> "_Hook":
        return _Hook()

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return _Hook, ()


def version(t: object) -> int:
    """How often a tensor was written to; 0 for what does not count it."""
    return t._version if isinstance(t, Tensor) and not t.is_inference() else 0


def _equal(t: object, x: object) -> bool:
    """Whether two inputs are one, but for type, device and layout."""
    if not isinstance(t, Tensor) or not isinstance(x, Tensor) or t.shape != x.shape:
        return False
    return torch.equal(t.detach(), x.detach().to(t.device, t.dtype))


def unwrapped(model: nn.Module) -> nn.Module:
    """The network inside DataParallel, DistributedDataParallel or torch.compile, whose names are the source's."""
    for attribute in ("module", "_orig_mod"):
        if isinstance(inner := getattr(model, attribute, None), nn.Module) and len(list(model.children())) == 1:
            return unwrapped(inner)
    return model


@contextmanager
def still(model: nn.Module) -> Iterator[None]:
    """Within it, passes of the network are in eval mode and without gradients; afterwards each module is as it was."""
    was = [m for m in model.modules() if m.training]
    for m in was:
        m.training = False
    try:
        with torch.no_grad():
            yield
    finally:
        for m in was:
            m.training = True


@contextmanager
def buffers_kept(model: nn.Module) -> Iterator[None]:
    """Within it, forward passes work on copies of the buffers: BatchNorm's running statistics stay as they are."""
    own = [(m, name, b) for m in model.modules() for name, b in m._buffers.items() if b is not None]
    for module, name, buffer in own:
        module._buffers[name] = buffer.clone()
    try:
        yield
    finally:
        for module, name, buffer in own:
            module._buffers[name] = buffer
