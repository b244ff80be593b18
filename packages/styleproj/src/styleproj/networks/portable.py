"""The stylizer as one graph of plain operators, for onnxruntime, browsers and telephones.

Sorting and scattering are operators of ONNX, eigenvalues are not: roots of covariances are found by the coupled iteration of
Newton and Schulz (Higham, Functions of Matrices, 2008, section 6.7), of matrix products alone, in double precision.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from claimkit.errors import InputError
from styleproj.networks.network import StyleNetwork
from styleproj.pictures.colour import LIMIT, MAX_GAIN, NARROWEST, SOFT_CLIP, bent_ends

ITERATIONS = 34
"""Enough for eigenvalues of 1e-10 of the norm, since each iteration enlarges a small one 2.25 times."""
TINY = 1e-14  # keeps the norm of a matrix of zeros from dividing by zero
EVEN = 1e-5
"""Spread of a channel in shares of the largest mean below which it is constant: runtimes round in orders of their own."""

PortableTransform = Literal["ot-projection", "projection"]


class PortableStylizer(nn.Module):
    """Content and style picture in, stylized picture out, written with operators that every runtime has.

    The same as ``Stylizer(network, transform=transform)`` on pictures of these sizes. Where two values of a channel differ
    by less than a runtime rounds, they may come in another order: a few pixels in a thousand then change by some 1e-4.

    Args:
        network: Encoder and decoder.
        size: Height and width of the content and the result.
        style_size: Height and width of the style picture.
        transform: How features take the style.
    """

    def __init__(
        self, network: StyleNetwork, size: tuple[int, int], style_size: tuple[int, int], transform: PortableTransform
    ) -> None:
        super().__init__()
        for sides in (size, style_size):
            if min(sides) < 2 * network.multiple or any(n % network.multiple for n in sides):
                raise InputError(
                    f"{sides[1]} x {sides[0]} pixels: sides must be multiples of {network.multiple}, at least twice it"
                )
        self.network = network
        self.joint = transform == "ot-projection"
        for level, k in enumerate(network.levels):
            count, own = (h * w // 4 ** (k - 1) for h, w in (size, style_size))
            where = ((torch.arange(count, dtype=torch.float64) + 0.5) * (own / count) - 0.5).clamp(0, own - 1)
            self.register_buffer(f"lower{level}", where.long())
            self.register_buffer(f"share{level}", (where - where.floor()).float())

    def forward(
        self, content: Float[Tensor, "1 3 h w"], style: Float[Tensor, "1 3 H W"], strength: Float[Tensor, "1"]
    ) -> Float[Tensor, "1 3 h w"]:
        """Pictures in [0, 1], strength in [0, 1]."""
        levels = []
        for level, (x, s) in enumerate(zip(self.network.encode(content), self.network.encode(style), strict=True)):
            rows, values = x.flatten(2)[0], s.flatten(2)[0]
            moved = _moved(rows, *_moments(values)) if self.joint else rows
            lower, share = getattr(self, f"lower{level}"), getattr(self, f"share{level}")
            z = _ranked(moved, values.sort(-1).values, lower, share)
            levels.append((strength * z + (1 - strength) * rows).view(x.shape))
        picture = self.network.decode(tuple(levels))
        rows = picture.flatten(2)[0]
        painted = strength * _moved(rows, *_moments(style.flatten(2)[0]), MAX_GAIN) + (1 - strength) * rows
        painted, width = painted.view(picture.shape).clamp(-LIMIT, 1 + LIMIT), strength * SOFT_CLIP
        low, high = painted.amin((-2, -1), keepdim=True), painted.amax((-2, -1), keepdim=True)
        bent = bent_ends(painted, low, high, width.clamp_min(NARROWEST))
        return torch.where(width < NARROWEST, painted.clamp(0, 1), bent)


def _ranked(x: Tensor, ordered: Tensor, lower: Tensor, share: Tensor) -> Tensor:
    """Rows ``x`` (C, N) with the quantiles of ``ordered`` (C, M); equal values get the mean of those that they span."""
    low, high = (ordered.index_select(-1, i.clamp(max=ordered.shape[-1] - 1)) for i in (lower, lower + 1))
    quantiles = torch.minimum(low + share * (high - low), high)
    ranked, order = x.sort(-1)
    begins = (ranked[:, 1:] != ranked[:, :-1]).long()
    group = torch.cat([torch.zeros_like(begins[:, :1]), begins.cumsum(-1)], -1)
    zeros = torch.zeros_like(quantiles, dtype=torch.float64)
    sums, counts = (zeros.scatter_add(-1, group, t) for t in (quantiles.double(), torch.ones_like(zeros)))
    means = (sums / counts.clamp_min(1)).gather(-1, group)
    return torch.zeros_like(x).scatter(-1, order, means.float())


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (C, 1) and covariance (C, C) of rows, in double precision; a row that is constant but for rounding has none."""
    mean = x.double().mean(-1, keepdim=True)
    centred = x - mean.float()
    covariance = (centred @ centred.mT).double() / x.shape[-1]
    least = (EVEN * mean.abs().amax(0, keepdim=True)) ** 2
    varies = (covariance.diagonal()[:, None] > least).double()
    return mean, covariance * varies * varies.mT


def _moved(x: Tensor, mean: Tensor, covariance: Tensor, most: float = 0.0) -> Tensor:
    """Rows by the map of least squared change to a mean and covariance, whose eigenvalues are at most ``most`` unless 0."""
    own_mean, own = _moments(x)
    root, inverse = _roots(own)
    middle, _ = _roots(root @ covariance @ root)
    varies = (own.diagonal()[:, None] > 0).double()
    matrix = (inverse @ middle @ inverse) * varies * varies.mT
    if most:
        above = matrix - most * torch.eye(len(matrix), dtype=matrix.dtype)
        size, _ = _roots(above @ above)
        matrix = matrix - (above + size) / 2
    return (matrix.float() @ x) + (mean - matrix @ own_mean).float()


def _roots(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Square root of a positive semidefinite matrix, and its inverse."""
    identity = torch.eye(len(matrix), dtype=matrix.dtype)
    norm = matrix.square().sum().sqrt().clamp_min(TINY)  # torch's exporter takes the addition of so little for none
    root, inverse = matrix / norm, identity
    for _ in range(ITERATIONS):
        step = (3 * identity - inverse @ root) / 2
        root, inverse = root @ step, step @ inverse
    return root * norm.sqrt(), inverse / norm.sqrt()
