"""Three ways down to the next level and back up: max pooling with its positions, max pooling alone, and Haar wavelets."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

Kept = tuple[Tensor, ...]
"""What the way up needs of the way down."""

PoolingName = Literal["positions", "nearest", "haar"]


@dataclass(frozen=True)
class Pooling:
    """``down(x) -> (half the size, kept)`` and ``up(y, kept) -> twice the size``; x has even height and width."""

    down: Callable[[Tensor], tuple[Tensor, Kept]]
    up: Callable[[Tensor, Kept], Tensor]


def _with_positions(x: Tensor) -> tuple[Tensor, Kept]:
    y, positions = F.max_pool2d(x, 2, return_indices=True)
    return y, (positions,)


def haar(x: Float[Tensor, "b c h w"]) -> tuple[Tensor, Kept]:
    """Mean of each 2x2 square, and the differences across, down and along the diagonal, each (b, c, h/2, w/2).

    Orthogonal but for the factor 1/2: the mean, which goes on through the encoder, keeps the size of the features that the
    encoder was made for, where WCT2's own low pass is twice that (1903.09760, section 3).
    """
    top, bottom = x[..., ::2, :], x[..., 1::2, :]
    a, b, c, d = top[..., ::2], top[..., 1::2], bottom[..., ::2], bottom[..., 1::2]
    return (a + b + c + d) / 4, ((a - b + c - d) / 4, (a + b - c - d) / 4, (a - b - c + d) / 4)


def haar_inverse(mean: Float[Tensor, "b c h w"], differences: Kept) -> Float[Tensor, "b c H W"]:
    """The features again, exactly."""
    across, down, diagonal = differences
    top = torch.stack([mean + across + down + diagonal, mean - across + down - diagonal], -1).flatten(-2)
    bottom = torch.stack([mean + across - down - diagonal, mean - across - down + diagonal], -1).flatten(-2)
    return torch.stack([top, bottom], -2).flatten(-3, -2)


POOLINGS: dict[PoolingName, Pooling] = {
    "positions": Pooling(_with_positions, lambda y, kept: F.max_unpool2d(y, kept[0], [2, 2])),
    "nearest": Pooling(lambda x: (F.max_pool2d(x, 2), ()), lambda y, _: F.interpolate(y, scale_factor=2, mode="nearest")),
    "haar": Pooling(haar, haar_inverse),
}
