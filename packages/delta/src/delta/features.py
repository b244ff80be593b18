"""Outputs of named layers: caught during a network's own forward pass, or by one that ends after the last of them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from claimkit.errors import InputError
from delta.layers import find


class _LastLayerReachedError(Exception):
    """Ends a forward pass: what follows is not needed."""


class Taps:
    """Catches the outputs of some layers in every forward pass until it is removed.

    An output that a later operation overwrites in place, as an in-place ReLU does, is noticed, and copied in later passes.
    """

    def __init__(self, model: nn.Module, layers: Sequence[str], stop: bool = False) -> None:
        self.model, self.layers, self.stop = model, tuple(layers), stop
        self._inputs: tuple[object, ...] = ()
        self._seen: dict[str, tuple[Tensor, int]] = {}
        self._copied: set[str] = set()
        self._handles: list[RemovableHandle] = [model.register_forward_pre_hook(_Hook(self._begin), with_kwargs=True)]
        for name, module in find(model, layers).items():
            self._handles.append(module.register_forward_hook(_Hook(self._catch, name)))

    def _begin(self, _module: nn.Module, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        self._seen.clear()
        self._inputs = (*args, *kwargs.values())

    def saw(self, x: Tensor) -> bool:
        """Whether the last pass had this very tensor among its inputs, and was not taken yet."""
        return any(x is t for t in self._inputs)

    def _catch(self, name: str, _module: nn.Module, _args: object, output: object) -> None:
        if not isinstance(output, Tensor) or output.ndim not in (2, 3, 4):
            raise InputError(f"layer {name!r} gives no tensor of 2 to 4 axes: name a convolution, linear layer or block")
        out = output.clone() if name in self._copied else output
        self._seen[name] = out, out._version
        if self.stop and len(self._seen) == len(self.layers):
            raise _LastLayerReachedError

    def take(self) -> list[Tensor] | None:
        """What the last pass gave, in the order of ``layers``, once; None where nothing usable is there."""
        seen, self._seen, self._inputs = dict(self._seen), {}, ()
        if len(seen) < len(self.layers):
            return None
        if overwritten := {n for n, (t, version) in seen.items() if t._version != version}:
            self._copied |= overwritten
            return None
        return [seen[n][0] for n in self.layers]

    def run(self, x: Tensor) -> list[Tensor]:
        """Outputs for ``x``, by a forward pass; a second one where the first shows that outputs must be copied."""
        for _ in range(2):
            with suppress(_LastLayerReachedError):
                self.model(x)
            if (outputs := self.take()) is not None:
                return outputs
        raise InputError(f"a forward pass does not reach all of the layers {', '.join(self.layers)}: leave the others out")

    def remove(self) -> None:
        """Remove the hooks."""
        for handle in self._handles:
            handle.remove()
        self._seen, self._inputs = {}, ()


class _Hook:
    """A hook that stays behind when its module is copied or saved: the copy has one that does nothing."""

    def __init__(self, function: object = None, *first: object) -> None:
        self.function, self.first = function, first

    def __call__(self, *args: object) -> None:
        if callable(self.function):
            self.function(*self.first, *args)

    def __deepcopy__(self, _memo: object) -> "_Hook":
        return _Hook()

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return _Hook, ()


def unwrapped(model: nn.Module) -> nn.Module:
    """The network inside DataParallel, DistributedDataParallel or torch.compile."""
    for attribute in ("module", "_orig_mod"):
        if isinstance(inner := getattr(model, attribute, None), nn.Module) and len(list(model.children())) == 1:
            return unwrapped(inner)
    return model


def channel_axis(features: Tensor) -> int:
    """Where the channels are: ``(batch, channel, height, width)``, ``(batch, token, channel)`` or ``(batch, channel)``."""
    return 2 if features.ndim == 3 else 1


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
