"""Removing one channel after another, without computing anything twice.

The obvious way, one forward pass of the whole network for each channel, computes everything before the layer again and
again. Here one pass is recorded. Then, for each layer, the network's own ``forward`` runs with every module that had
finished before the layer handing back what it gave, and with the layer handing back several copies of its output,
stacked as one batch, in each of which one channel is what a filter of zeros gives. This works for any network that calls
its modules in a fixed order.
"""

import copy
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils._pytree import tree_leaves, tree_map

from claimkit.errors import InputError
from claimkit.transfer.maps.axes import channel_axes
from claimkit.transfer.maps.layers import find
from claimkit.transfer.networks import logits

STACK_BYTES = (2**28, 2**22)
"""On a GPU, where few large passes are fastest; on a CPU, where its caches should hold the stack."""


@torch.no_grad()
def ablate_naive(model: nn.Module, layers: Sequence[str], x: Tensor, y: Tensor) -> list[Tensor]:
    """The definition: set a filter to zero, run the network, compare the loss, put the filter back."""
    loss = cross_entropy(logits(model, x), y)
    gaps = []
    for layer in find(model, layers).values():
        assert isinstance(layer.weight, Tensor)
        gap = []
        for j in range(len(layer.weight)):
            kept = layer.weight[j].clone()
            layer.weight[j] = 0
            gap.append(cross_entropy(logits(model, x), y) - loss)
            layer.weight[j] = kept
        gaps.append(torch.stack(gap))
    return gaps


@torch.no_grad()
def ablate(model: nn.Module, layers: Sequence[str], x: Tensor, y: Tensor, stack_bytes: int | None = None) -> list[Tensor]:
    """Rise of the mean cross-entropy when one channel is removed, for each channel of each layer.

    A filter's weights are set to zero and its bias stays, so that a channel becomes its bias, and after BatchNorm a
    constant. Of a layer without weights, such as a block, the channel itself is set to zero.

    Args:
        model: In eval mode.
        layers: Names of modules that are called once in a forward pass.
        x: Inputs ``(batch, ...)``.
        y: Labels ``(batch,)``.
        stack_bytes: Memory of the stacked outputs of a layer, which sets how many channels are removed in one pass; what is
            fastest when None.

    Returns:
        One vector a layer, shape ``(channel,)``.
    """
    model = copy.deepcopy(model)
    if x.ndim == 4:  # the faster layout on most machines
        x = x.contiguous(memory_format=torch.channels_last)
        cast(Any, model).to(memory_format=torch.channels_last)
    named, axes = find(model, layers), channel_axes(model, layers, x[:1])
    said, prefixes = _record(model, list(named.values()), x)
    loss = cross_entropy(said, y)
    size = stack_bytes or STACK_BYTES[x.device.type == "cpu"]
    return [
        _losses(model, layer, axis, prefixes[layer], x, y, size) - loss
        for layer, axis in zip(named.values(), axes, strict=True)
    ]


@dataclass(frozen=True)
class _Call:
    """What a module gave (a copy: a later operation may write into it), and whether the network still holds on to it."""

    module: nn.Module
    output: Any
    held: bool = True
    original: Callable[[], object] = lambda: True


def _record(model: nn.Module, layers: Sequence[nn.Module], x: Tensor) -> tuple[Tensor, dict[nn.Module, list[_Call]]]:
    """Run the network; the logits, and for each layer the calls that end before it begins, and its own at the end."""
    under_way: list[list[_Call]] = []
    prefixes: dict[nn.Module, list[_Call]] = {}

    def begin(module: nn.Module, _args: object) -> None:
        if module in layers:
            before = [call for finished in under_way for call in finished]
            prefixes[module] = [replace(c, held=c.original() is not None) for c in before]
        under_way.append([])

    def end(module: nn.Module, _args: object, output: Any) -> None:
        under_way.pop()  # what was called inside is no longer needed: the module as a whole can be skipped
        if isinstance(output, Tensor):
            call = _Call(module, output.clone(), original=weakref.ref(output))
        else:
            call = _Call(module, tree_map(lambda t: t.clone() if isinstance(t, Tensor) else t, output))
        if module in layers:
            prefixes[module].append(call)
        if under_way:
            under_way[-1].append(call)

    with ExitStack() as hooks:
        for module in model.modules():
            hooks.callback(module.register_forward_pre_hook(begin).remove)
            hooks.callback(module.register_forward_hook(end).remove)
        said = logits(model, x)
    if missing := [m for m in layers if m not in prefixes]:
        raise InputError(f"a forward pass does not reach a layer {type(missing[0]).__name__}: leave it out")
    return said, prefixes


def _losses(
    model: nn.Module,
    layer: nn.Module,
    axis: int,
    calls: list[_Call],
    x: Tensor,
    y: Tensor,
    size: int,
    all_held: bool = False,
) -> Tensor:
    """Mean loss without each channel of one layer.

    Of the outputs before the layer, only those that the network holds on to when the layer begins, such as the input of a
    residual block, are repeated for the stack: the others are handed from one skipped module to the next. Where an operation
    between modules combines both kinds, it fails for its shapes, and all are repeated.
    """
    *before, own = calls
    output, bias = own.output, getattr(layer, "bias", None)
    batch = len(x)
    losses: list[Tensor] = []
    handed: list[Any] = []
    versions: list[int] = []
    width = 0
    for channels in torch.arange(output.shape[axis]).split(max(1, size // (output.numel() * output.itemsize))):
        k = len(channels)
        if k != width or _versions(handed) != versions:
            width, held = k, [all_held, *(all_held or c.held for c in before)]
            outputs = [x, *(c.output for c in before)]
            handed = [_repeat(out, batch, k if h else 1) for out, h in zip(outputs, held, strict=True)]
            versions = _versions(handed)
        without = _repeat(output, batch, k)
        for i, j in enumerate(channels.tolist()):
            without[i * batch : (i + 1) * batch].select(axis, j).fill_(0.0 if bias is None else bias[j])
        modules = [c.module for c in before]
        try:
            with _replayed([*zip(modules, handed[1:], strict=True), (layer, without)]):
                said = logits(model, handed[0])
        except RuntimeError:
            if all_held:
                raise
            return _losses(model, layer, axis, calls, x, y, size, all_held=True)
        losses.append(cross_entropy(said, y.repeat(k), reduction="none").view(k, batch).mean(1))
    return torch.cat(losses)


@contextmanager
def _replayed(calls: Sequence[tuple[nn.Module, Any]]) -> Iterator[None]:
    """Let modules hand back recorded outputs, one a call, before they compute again."""
    queues: dict[nn.Module, deque[Any]] = {}
    for module, output in calls:
        queues.setdefault(module, deque()).append(output)
    with ExitStack() as restore:
        for module, queue in queues.items():

            def forward(*args: Any, queue: deque[Any] = queue, compute: Any = module.forward, **kwargs: Any) -> Any:
                return queue.popleft() if queue else compute(*args, **kwargs)

            restore.callback(setattr, module, "forward", module.forward)
            module.forward = forward
        yield


def _repeat(outputs: Any, batch: int, k: int) -> Any:
    """Every tensor of a batch, ``k`` times one after another; tensors without a batch stay as they are."""

    def one(t: Any) -> Any:
        batched = isinstance(t, Tensor) and t.ndim and len(t) == batch
        return torch.cat([t] * k) if batched else t

    return tree_map(one, outputs)


def _versions(outputs: Any) -> list[int]:
    """How often each tensor was written to; it changes where the network works in place."""
    return [t._version for t in tree_leaves(outputs) if isinstance(t, Tensor)]
