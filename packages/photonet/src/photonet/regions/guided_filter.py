"""Guided filter (He, Sun and Tang, 2010), the fast smoothing after PhotoWCT: r = 35, eps = 1e-3, colour guide.

Within every window ω of (2r+1)² pixels the result is affine in the guide, q = aᵀI + b, by ridge regression on the picture p:
a = (Σ + eps 1)^-1 (mean(I p) - μ mean(p)), b = mean(p) - aᵀμ; a pixel takes the mean of a and b over its windows. Windows
are clipped at the border. Sums over windows are differences of running sums: the cost does not depend on r.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from claimkit.errors import InputError

RADIUS = 35
EPSILON = 1e-3
BAND = 1 << 18  # pixels that maps are carried to at once


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
    maps, shifts = local_maps(picture, guide, radius, epsilon)
    return (maps * guide[:, None]).sum(0) + shifts


def local_maps(
    picture: Float[Tensor, "c h w"], guide: Float[Tensor, "3 h w"], radius: int, epsilon: float
) -> tuple[Float[Tensor, "3 c h w"], Float[Tensor, "c h w"]]:
    """The filter's a and b at every pixel, means over its windows: a times the guide's colour plus b is the result."""
    mu, mean = _mean(guide, radius), _mean(picture, radius)
    variance = _mean(guide[:, None] * guide[None], radius) - mu[:, None] * mu[None]
    covariance = _mean(guide[:, None] * picture[None], radius) - mu[:, None] * mean[None]
    variance[range(3), range(3)] += epsilon
    a = (inverse(variance)[:, :, None] * covariance[None]).sum(1)
    b = mean - (a * mu[:, None]).sum(0)
    return _mean(a, radius), _mean(b, radius)


def carried(picture: Float[Tensor, "3 H W"], maps: Float[Tensor, "12 h w"]) -> Float[Tensor, "3 H W"]:
    """The picture and its change by maps that were found on a small copy, interpolated; band by band, to save memory."""
    height, width = picture.shape[1:]
    rows = max(1, BAND // width)
    across = (torch.arange(width) + 0.5) * 2 / width - 1
    result = picture.clone()
    for top in range(0, height, rows):
        part, changed = picture[:, top : top + rows], result[:, top : top + rows]
        down = (torch.arange(top, top + part.shape[1]) + 0.5) * 2 / height - 1
        grid = torch.stack(torch.broadcast_tensors(across[None], down[:, None]), -1)[None]
        here = F.grid_sample(maps[None], grid, mode="bilinear", padding_mode="border", align_corners=False)[0]
        changed += here[9:]
        for i in range(3):
            changed.addcmul_(here[3 * i : 3 * i + 3], part[i])
    return result


def shrunk(picture: Float[Tensor, "1 c h w"], scale: float) -> Float[Tensor, "1 c y x"]:
    """A smaller copy, of 8 pixels a side where the picture has them; the picture itself where the scale is not below 1."""
    if scale >= 1:
        return picture
    size = [max(min(n, 8), round(n * scale)) for n in picture.shape[-2:]]
    return F.interpolate(picture, size=size, mode="bilinear", antialias=True)


def inverse(matrices: Float[Tensor, "3 3 *at"]) -> Float[Tensor, "3 3 *at"]:
    """Inverses of symmetric 3x3 matrices, one a position, by cross products of rows."""
    first, second, third = matrices
    across = torch.linalg.cross(second, third, dim=0)
    adjugate = torch.stack([across, torch.linalg.cross(third, first, dim=0), torch.linalg.cross(first, second, dim=0)])
    return adjugate / (first * across).sum(0)


def _mean(x: Float[Tensor, "*c h w"], radius: int) -> Float[Tensor, "*c h w"]:
    """Means over the windows, clipped at the border."""
    for axis in (-2, -1):
        size, full = x.shape[axis], 2 * radius + 1
        around = (radius + 1, radius) if axis == -1 else (0, 0, radius + 1, radius)
        total = F.pad(x, around).cumsum(axis)
        at = torch.arange(size, device=x.device)
        count = (at + radius + 1).clamp(max=size) - (at - radius).clamp(min=0)
        sums = total.narrow(axis, full, size) - total.narrow(axis, 0, size)
        x = sums / (count if axis == -1 else count[:, None]).to(x.dtype)
    return x
