"""Features whose last steps are put off: an affine map, and a doubling of height and width.

What comes next decides what the steps cost: a convolution takes both into its weights, statistics follow from those of the
values by algebra, and doubling changes no statistics at all. All of it is exact.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from claimkit.style.transforms import Affine, Statistics
from photonet.transforms import EPSILON

BLOCK = 1 << 18  # values summed at once: what stays in a core's cache


@dataclass(frozen=True)
class Activation:
    """Features of one picture.

    Attributes:
        values: What was computed.
        pending: Map that is still to be applied.
        doubled: Each position is still to be repeated in a 2 x 2 square.
        measured: Statistics of the values, where somebody asked for them.
    """

    values: Float[Tensor, "1 c h w"]
    pending: Affine | None = None
    doubled: bool = False
    measured: Statistics | None = None

    def then(self, further: Affine) -> "Activation":
        """With one more map to be applied."""
        first = self.pending
        if first is not None:
            bias = (further.matrix @ first.bias[..., None])[..., 0] + further.bias
            further = Affine(further.matrix @ first.matrix, bias)
        return replace(self, pending=further)

    def mapped(self) -> Float[Tensor, "1 c h w"]:
        """The values with the map applied, not doubled."""
        return self.values if self.pending is None else self.pending(self.values)

    def tensor(self) -> Float[Tensor, "1 c H W"]:
        """The features, nothing put off."""
        x = self.mapped()
        return F.interpolate(x, scale_factor=2, mode="nearest") if self.doubled else x

    def seen(self, values: Statistics) -> Statistics:
        """Statistics of the features, given those of the values."""
        if self.pending is None:
            return values
        matrix, bias = self.pending.matrix, self.pending.bias
        mean = (matrix @ values.mean[..., None])[..., 0] + bias
        return Statistics(mean, matrix @ values.covariance @ matrix.mT)

    @property
    def form(self) -> tuple[int, Affine | None, bool]:
        """Channels, map and doubling: what a convolution takes into its weights."""
        return self.values.shape[1], self.pending, self.doubled

    @property
    def monotone(self) -> bool:
        """Whether the map keeps every channel to itself and its order, so that it may wait until after a maximum."""
        if self.pending is None:
            return True
        matrix = self.pending.matrix
        diagonal = matrix.diagonal(dim1=-2, dim2=-1)
        return bool((diagonal > 0).all() and (matrix == torch.diag_embed(diagonal)).all())


def measure(
    x: Float[Tensor, "1 c h w"], weight: Float[Tensor, "h w"] | None = None, positions: int | None = None
) -> Statistics:
    """Mean and covariance over positions in one pass: products in single precision, sums of blocks in double.

    Args:
        x: Features.
        weight: How much each position counts.
        positions: Look at about so many evenly spaced positions only.
    """
    rows = x.flatten(2)[0]
    weights = None if weight is None else weight.flatten().to(rows)
    step = 1 if positions is None else max(1, rows.shape[1] // positions)
    if step > 1:
        rows, weights = rows[:, ::step], None if weights is None else weights[::step]
    channels, count = rows.shape
    shift = rows[:, :: max(1, count // 1024)].mean(1, keepdim=True)  # near the mean: little is lost when it is taken off
    total = count if weights is None else weights.sum(dtype=torch.float64)
    first = rows.new_zeros(channels, dtype=torch.float64)
    second = rows.new_zeros(channels, channels, dtype=torch.float64)
    size = max(256, BLOCK // channels)
    for start in range(0, count, size):
        part = rows[:, start : start + size] - shift
        weighted = part if weights is None else part * weights[start : start + size]
        first += weighted.sum(1)
        second += weighted @ part.mT
    offset = first / total
    covariance = second / total - offset[:, None] * offset
    return Statistics.measured((shift[:, 0] + offset)[None], ((covariance + covariance.mT) / 2)[None], x.dtype)


def whitening(statistics: Statistics) -> Affine:
    """Instance norm as a map: each channel to mean 0 and variance 1."""
    scale = (statistics.covariance.diagonal(dim1=-2, dim2=-1).clamp_min(0) + EPSILON).rsqrt()
    return Affine(torch.diag_embed(scale), -scale * statistics.mean)


def channel_statistics(x: Float[Tensor, "1 c h w"]) -> Statistics:
    """Mean and variance alone, as a diagonal covariance: all that instance norm asks for."""
    variance, mean = torch.var_mean(x, (2, 3), correction=0)
    return Statistics(mean.double(), torch.diag_embed(variance.double()))
