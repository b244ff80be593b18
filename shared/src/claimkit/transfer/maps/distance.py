"""The distance of two feature maps, with its gradient in closed form."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from claimkit.errors import InputError
from claimkit.transfer.maps.axes import channel_axis


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
    if weights is not None:
        weights = weights.to(student.device, torch.promote_types(student.dtype, torch.float32))
    value: Any = _Distance.apply(student, source.detach(), weights, axis)
    return value[0]


class _Distance(torch.autograd.Function):
    """Value and difference; the gradient is ``v (student - source) / (H W)``, one pass over what is kept."""

    @staticmethod
    def forward(student: Tensor, source: Tensor, weights: Tensor | None, axis: int) -> tuple[Tensor, Tensor]:
        wide = torch.promote_types(student.dtype, torch.float32)
        difference = student.to(wide) - source.to(wide)
        return _energy(difference, weights, axis) / (2 * _area(difference, axis)), difference

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        student, _, weights, ctx.axis = inputs
        ctx.dtype = student.dtype
        ctx.set_materialize_grads(False)  # no zeros for the second output
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(output[1], weights)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Any) -> Any:  # type: ignore[override]
        if grad_outputs[0] is None:
            return None, None, None, None
        difference, weights = ctx.saved_tensors
        factor = grad_outputs[0] / _area(difference, ctx.axis)
        if weights is not None:
            factor = (factor * weights).view([-1 if i == ctx.axis else 1 for i in range(difference.ndim)])
        return (difference * factor).to(ctx.dtype), None, None, None


def _area(maps: Tensor, axis: int) -> int:
    """Positions of a map: ``H W``."""
    return max(1, maps[0].numel() // maps.shape[axis]) if len(maps) else 1


def _energy(difference: Tensor, weights: Tensor | None, axis: int) -> Tensor:
    """``sum_{b,c} v_c ||.||^2``, in partial sums along what is contiguous in memory: fast, and right to 1e-7."""
    last = difference.movedim(axis, -1)
    if last.is_contiguous():
        rows = last.flatten(0, -2)
        if weights is not None:
            return (rows.square() @ weights).sum()
        return torch.linalg.vector_norm(rows, dim=1).square().sum()
    each = torch.linalg.vector_norm(difference, dim=[i for i in range(1, difference.ndim) if i != axis]).square()
    return each.sum() if weights is None else (each @ weights).sum()
