"""Convolutions of put-off features, and of pictures too large to be convolved at once.

A 3x3 convolution after nearest doubling is four 2x2 convolutions before it, one for each place in the 2 x 2 square: 4/9 of
the multiplications, and reflection of the doubled picture is repetition of the small one's border.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from claimkit.style.transforms import Affine

_ROWS = torch.tensor([[[1.0, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]])  # (place, tap of 2, tap of 3)


class Folded:
    """A convolution of concatenated features, given each part's map and doubling beforehand.

    Args:
        layer: 1x1, or 3x3 with reflection.
        parts: Channels, map and doubling of each of the features that it is given.
    """

    def __init__(self, layer: nn.Conv2d, parts: Sequence[tuple[int, Affine | None, bool]]):
        bias = layer.bias if layer.bias is not None else torch.zeros(layer.out_channels)
        self.kernels: list[tuple[Tensor, bool]] = []
        weights = layer.weight.split([channels for channels, _, _ in parts], 1)
        for weight, (_, pending, doubled) in zip(weights, parts, strict=True):
            if pending is not None:
                weight, bias = pending.fold(weight, bias)
            doubled_first = doubled and weight.shape[-1] == 3
            self.kernels.append((_before_doubling(weight) if doubled_first else weight, doubled))
        self.bias = bias

    def __call__(self, values: Sequence[Tensor], rectify: bool = True) -> Tensor:
        """The output on the values of the parts, or on bands of them."""
        total: Tensor | None = None
        for (weight, doubled), x in zip(self.kernels, values, strict=True):
            bias = self.bias if total is None else None
            y = _doubled(x, weight, bias) if doubled else _plain(x, weight, bias)
            total = y if total is None else total.add_(y)
        assert total is not None
        return total.relu_() if rectify else total


def in_bands(
    function: Callable[[list[Tensor]], list[Tensor]], inputs: Sequence[Tensor], units: int, rows: int, halo: int
) -> list[Tensor]:
    """``function(inputs)`` computed in bands of rows, for functions that look at no more than a ``halo`` around a row.

    Args:
        function: Takes and gives tensors ``(1, channel, height, width)`` of any heights.
        inputs: Of heights that are multiples of ``units``.
        units: Bands are cut between so many units of rows; heights of outputs are multiples of it, too.
        rows: Units in a band.
        halo: Units that are computed beyond a band and dropped.
    """
    if rows >= units:
        return function(list(inputs))
    whole: list[Tensor] = []
    for start in range(0, units, rows):
        stop = min(start + rows, units)
        low, high = max(start - halo, 0), min(stop + halo, units)
        parts = function([_cut(x, low, high, x.shape[-2] // units) for x in inputs])
        steps = [part.shape[-2] // (high - low) for part in parts]
        if not whole:
            sizes = [(1, part.shape[1], units * n, part.shape[-1]) for part, n in zip(parts, steps, strict=True)]
            whole = [inputs[0].new_empty(size).contiguous(memory_format=torch.channels_last) for size in sizes]
        for target, part, n in zip(whole, parts, steps, strict=True):
            _cut(target, start, stop, n).copy_(_cut(part, start - low, stop - low, n))
    return whole


def _cut(x: Tensor, start: int, stop: int, step: int) -> Tensor:
    return x[..., start * step : stop * step, :]


def _before_doubling(weight: Tensor) -> Tensor:
    """(O, C, 3, 3) as (4 O, C, 2, 2), place by place."""
    rows = _ROWS.to(weight)
    return torch.einsum("aik,ockl,bjl->abocij", rows, weight, rows).flatten(0, 2).contiguous()


def _plain(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect") if weight.shape[-1] == 3 else x, weight, bias)


def _doubled(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """What the convolution gives on the doubled ``x``."""
    height, width = x.shape[-2:]
    if weight.shape[-1] == 1:
        return F.interpolate(F.conv2d(x, weight, bias), scale_factor=2, mode="nearest")
    places = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), weight, None if bias is None else bias.repeat(4))
    channels = weight.shape[0] // 4
    out = x.new_empty(1, channels, 2 * height, 2 * width).contiguous(memory_format=torch.channels_last)
    for i, square in enumerate(places.split(channels, 1)):
        a, b = divmod(i, 2)
        out[..., a::2, b::2] = square[..., a : a + height, b : b + width]
    return out
