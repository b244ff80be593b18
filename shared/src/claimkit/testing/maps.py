"""Whether feature maps of a network are compared rightly: against the formula written out, and central differences."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from claimkit.transfer.maps import FeatureMaps

STEPS = (1e-5, 1e-6, 1e-7, 1e-8)
"""Of the central differences, as shares of the weights' mean size; of 1 where all weights of a tensor are zero.

A large step crosses kinks of the network, a small one loses digits: which is best depends on the network. A gradient that is
wrong disagrees with the differences at all of them.
"""


@dataclass(frozen=True)
class Agreement:
    """Relative errors in float64: of the regulariser's value, and of its slope along one direction of all weights.

    That of the slope is the least over the steps of the central differences.
    """

    value: float
    slope: float


def agreement(source: nn.Module, layers: Sequence[str], axes: Sequence[int], x: Any, seed: int = 0) -> Agreement:
    """Compare :class:`~claimkit.transfer.maps.FeatureMaps` with ``sum 1/2 v_c ||.||^2 / (H W)`` over outputs of hooks.

    The student is a copy a little away from the source, both in eval mode, and every channel has a weight of its own, so
    that a wrong axis shows.

    Args:
        source: The network; not changed.
        layers: Names of layers.
        axes: Where the channels of each are.
        x: Input of the network, a tensor or a list of tensors.
        seed: Of weights, moves and the direction.
    """
    x = [t.double() for t in x] if isinstance(x, list) else x.double()
    source = copy.deepcopy(source).double().eval()
    student = copy.deepcopy(source).requires_grad_(True)
    g = torch.Generator().manual_seed(seed)
    sizes = {p: float(p.detach().abs().mean()) or 1.0 for p in student.parameters()}
    with torch.no_grad():
        for p, size in sizes.items():
            p.add_(0.05 * size * torch.randn(p.shape, generator=g, dtype=p.dtype))
    constant = _outputs(source, layers, x)
    weights = [torch.rand(t.shape[a], generator=g).double() + 0.5 for t, a in zip(constant, axes, strict=True)]

    def by_formula() -> float:
        total = 0.0
        for a, b, v, axis in zip(_outputs(student, layers, x), constant, weights, axes, strict=True):
            squares = (a - b).square().movedim(axis, -1)
            total += float((squares * v).sum()) / (2 * squares[0, ..., 0].numel())
        return total

    regulariser = FeatureMaps(source, layers, weights=weights)
    with regulariser.watch(student):
        student(x)
        value = regulariser.distance(x, student)
    gradient = torch.autograd.grad(value, list(sizes), allow_unused=True)
    direction = [size * torch.randn(p.shape, generator=g, dtype=p.dtype) for p, size in sizes.items()]
    slope = sum(float((d * u).sum()) for d, u in zip(gradient, direction, strict=True) if d is not None)
    expected, at, errors = by_formula(), 0.0, []
    with torch.no_grad():
        for step in STEPS:
            ends = []
            for end in (step, -step):
                for p, u in zip(sizes, direction, strict=True):
                    p.add_((end - at) * u)
                at = end
                ends.append(by_formula())
            errors.append(abs(slope / ((ends[0] - ends[1]) / (2 * step)) - 1))
    return Agreement(abs(value.item() / expected - 1), min(errors))


@torch.no_grad()
def _outputs(model: nn.Module, layers: Sequence[str], x: Any) -> list[Tensor]:
    """What the layers give, copied before anything writes to it."""
    seen: dict[str, Tensor] = {}

    def keep(name: str, output: Any) -> None:
        seen[name] = output.clone()

    handles = [model.get_submodule(n).register_forward_hook(lambda _m, _i, out, n=n: keep(n, out)) for n in layers]
    model(x)
    for h in handles:
        h.remove()
    return [seen[n] for n in layers]
