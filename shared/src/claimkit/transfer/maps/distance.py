"""The distance of two feature maps, with its gradient in closed form."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from claimkit.errors import InputError
from claimkit.transfer.maps.axes import channel_axis

CHUNK = 2**17
"""Numbers that are subtracted, squared and summed at a time on a processor: they stay in a core's cache."""
NONE, SUM = 0, 2
"""How torch numbers the reductions."""


def feature_distance(student: Tensor, source: Tensor, weights: Tensor | None = None, axis: int | None = None) -> Tensor:
    """``1/2 sum_{b,c} v_c || student[b,c] - source[b,c] ||_2^2 / (H W)`` of one layer, in float32 or wider.

    Args:
        student: ``(batch, ...)`` with channels at ``axis``.
        source: The same shape, a constant: it gets no gradient.
        weights: ``v`` of shape ``(channel,)``, mean one; ones when None.
        axis: Where the channels are; when None, last of three axes, otherwise second.

    Raises:
        InputError: Shapes that differ.
    """
    axis = channel_axis(student.shape) if axis is None else axis % student.ndim
    if student.shape != source.shape or (weights is not None and weights.shape != student.shape[axis : axis + 1]):
        v = "" if weights is None else f" and weights {tuple(weights.shape)}"
        raise InputError(f"feature maps differ: model {tuple(student.shape)}, source {tuple(source.shape)}{v}")
    wide = torch.promote_types(student.dtype, torch.float32)
    weights = None if weights is None else weights.to(student.device, wide)
    source = source.detach()
    if source.stride() != student.stride() or source.device != student.device or source.is_inference():
        source = torch.empty_like(student, dtype=source.dtype, requires_grad=False).copy_(source)
    value: Any = _Distance.apply(student, source, weights, axis)
    return value


class _Distance(torch.autograd.Function):
    """The value without a difference in memory; its gradient ``v (student - source) / (H W)`` in one pass over both."""

    @staticmethod
    def forward(student: Tensor, source: Tensor, weights: Tensor | None, axis: int) -> Tensor:
        return _energy(*_widened(student, source), weights, axis) / (2 * _area(student, axis))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        student, source, weights, ctx.axis = inputs
        ctx.save_for_backward(student, source, weights)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Any) -> Any:  # type: ignore[override]
        student, source, weights = ctx.saved_tensors
        factor = grad_outputs[0] / (2 * _area(student, ctx.axis))
        if weights is not None:
            factor = (factor * weights).view([-1 if i == ctx.axis else 1 for i in range(student.ndim)])
        a, b = _widened(student, source)
        gradient = torch.empty_like(a)
        torch.ops.aten.mse_loss_backward.grad_input(factor, a, b, SUM, grad_input=gradient)  # 2 (a - b) factor
        return gradient.to(student.dtype), None, None, None


def _widened(student: Tensor, source: Tensor) -> tuple[Tensor, Tensor]:
    wide = torch.promote_types(student.dtype, torch.float32)
    return student.to(wide), source.to(wide)


def _area(maps: Tensor, axis: int) -> int:
    """Positions of a map: ``H W``."""
    return max(1, maps[0].numel() // maps.shape[axis]) if len(maps) else 1


def _energy(student: Tensor, source: Tensor, weights: Tensor | None, axis: int) -> Tensor:
    """``sum_{b,c} v_c ||.||^2`` over rows of what is contiguous in memory: a row is channels, or positions."""
    channels = student.shape[axis]
    last = student.movedim(axis, -1).is_contiguous()
    if last:
        a, b = (t.movedim(axis, -1).reshape(-1, channels) for t in (student, source))
    else:
        a, b = (t.movedim(axis, 1).reshape(len(t) * channels, -1) for t in (student, source))
    rows = max(1, CHUNK // max(1, a.shape[1])) if a.device.type == "cpu" else max(1, len(a))
    kept, found = torch.empty_like(a[:rows]), []
    for x, y in zip(a.split(rows), b.split(rows), strict=True):
        squares = torch.ops.aten.mse_loss.out(x, y, NONE, out=kept[: len(x)])
        found.append(squares @ weights if last and weights is not None else squares.sum(1))
    energies = torch.cat(found)
    return energies.sum() if last or weights is None else energies @ weights.repeat(len(student))
