"""Guided filter (He, Sun and Tang, 2010), the fast smoothing after PhotoWCT: r = 35, eps = 1e-3, colour guide.

Within every window ω of (2r+1)² pixels the result is affine in the guide, q = aᵀI + b, by ridge regression on the picture p:
a = (Σ + eps 1)^-1 (mean(I p) - μ mean(p)), b = mean(p) - aᵀμ; a pixel takes the mean of a and b over its windows. Windows
are clipped at the border. Sums over windows are differences of running sums: the cost does not depend on r.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from claimkit.errors import InputError

RADIUS = 35
EPSILON = 1e-3


def guided_filter(
    picture: Float[Tensor, "c h w"], guide: Float[Tensor, "3 h w"], radius: int = RADIUS, epsilon: float = EPSILON
) -> Float[Tensor, "c h w"]:
    """The picture with the edges of the guide, both in [0, 1]; the result is not clamped.

    Args:
        picture: What is smoothed, here the stylised picture.
        guide: Where edges may be, here the content.
        radius: r, in pixels.
        epsilon: Variance of the guide, squared units of [0, 1], below which a window counts as flat.

    Raises:
        InputError: Sizes differ, or ``radius`` or ``epsilon`` is not positive.
    """
    if picture.shape[1:] != guide.shape[1:]:
        raise InputError(f"picture and guide need one size, not {tuple(picture.shape[1:])} and {tuple(guide.shape[1:])}")
    if radius < 1 or epsilon <= 0:
        raise InputError(f"a guided filter needs a radius of at least 1 and a positive epsilon, not {radius} and {epsilon}")
    area = _box(torch.ones_like(guide[:1]), radius)
    mu, mean = _box(guide, radius) / area, _box(picture, radius) / area
    variance = _box(guide[:, None] * guide[None], radius) / area - mu[:, None] * mu[None]
    covariance = _box(guide[:, None] * picture[None], radius) / area - mu[:, None] * mean[None]
    variance[range(3), range(3)] += epsilon
    a = torch.einsum("ijyx,jcyx->icyx", inverse(variance), covariance)
    b = mean - torch.einsum("icyx,iyx->cyx", a, mu)
    return torch.einsum("icyx,iyx->cyx", _box(a, radius) / area, guide) + _box(b, radius) / area


def inverse(matrices: Float[Tensor, "3 3 *at"]) -> Float[Tensor, "3 3 *at"]:
    """Inverses of symmetric 3x3 matrices, one a position, by cross products of rows."""
    first, second, third = matrices
    across = torch.linalg.cross(second, third, dim=0)
    adjugate = torch.stack([across, torch.linalg.cross(third, first, dim=0), torch.linalg.cross(first, second, dim=0)])
    return adjugate / (first * across).sum(0)


def _box(x: Float[Tensor, "*c h w"], radius: int) -> Float[Tensor, "*c h w"]:
    """Sums over the windows, clipped at the border."""
    for axis in (-2, -1):
        size = x.shape[axis]
        at = torch.arange(size, device=x.device)
        total = torch.cat([torch.zeros_like(x.narrow(axis, 0, 1)), x.cumsum(axis)], axis)
        after, before = (at + radius + 1).clamp(max=size), (at - radius).clamp(min=0)
        x = total.index_select(axis, after) - total.index_select(axis, before)
    return x
