"""What else spoils a stylised picture, in numbers that have a gradient: weave, and colours of neither picture.

Pictures are ``(batch, 3, height, width)``, about [0, 1]; each measure gives ``(batch,)``.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from claimkit.style.looks import luma

PERIOD = 8
"""Pixels of the coarsest grid that a weave is looked for on: what one feature of the deepest level covers."""
APART = 4  # bins from a frequency of the grid to those that it is compared with


def weave(picture: Float[Tensor, "b 3 h w"]) -> Float[Tensor, " b"]:
    """Power at the frequencies of a grid of 8 pixels (and so of 4 and 2) over that beside them: 1 where there is no grid.

    The geometric mean over the grid's frequencies (k/8, l/8); each is a block of 3 x 3 bins, compared with the blocks
    :data:`APART` bins away, along the axes where it lies on one. Height and width from 72 pixels.
    """
    height, width = (n - n % PERIOD for n in picture.shape[-2:])
    y = luma(picture)[:, 0, :height, :width]
    window = torch.hann_window(height).to(y)[:, None] * torch.hann_window(width).to(y)
    power = torch.fft.fft2((y - y.mean((1, 2), keepdim=True)) * window).abs().square() + 1e-12
    blocks = F.avg_pool2d(F.pad(power[:, None], (1, 1, 1, 1), mode="circular"), 3, 1)[:, 0]
    down, across = height // PERIOD, width // PERIOD
    ratios = []
    for k in range(PERIOD):
        for m in range(PERIOD // 2 + 1):
            if k == m == 0:
                continue
            u, v = k * down, m * across
            beside = [(u + APART, v), (u - APART, v)] if k else []
            beside += [(u, v + APART), (u, v - APART)] if m else []
            around = torch.stack([blocks[:, i % height, j % width] for i, j in beside]).mean(0)
            ratios.append((blocks[:, u, v] / around).log())
    return torch.stack(ratios).mean(0).exp()


def foreign_colours(
    picture: Float[Tensor, "b 3 h w"], style: Float[Tensor, "b 3 H W"], allowed: float, generator: torch.Generator
) -> Float[Tensor, " b"]:
    """Mean distance in RGB, beyond ``allowed``, of 500 pixels from the nearest of 2,000 pixels of the style."""

    def some(x: Tensor, count: int) -> Tensor:
        flat = x.flatten(2)
        return flat[..., torch.randint(flat.shape[2], (count,), generator=generator)].mT

    nearest = torch.cdist(some(picture, 500), some(style, 2000)).amin(2)
    return (nearest - allowed).clamp_min(0).mean(1)
