"""What a stylised picture looks like, in numbers that have a gradient: drawing kept, weave, colours of neither picture.

Pictures are ``(batch, 3, height, width)``, about [0, 1]; each measure gives ``(batch,)``.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from claimkit.style.metrics import LUMA, WINDOW, gram_distance, moments, rms

PERIOD = 8
"""Pixels of the coarsest grid that a weave is looked for on: what one feature of the deepest level covers."""
APART = 4  # bins from a frequency of the grid to those that it is compared with


def style_distance(result: list[Tensor], style: list[Tensor]) -> Float[Tensor, " b"]:
    """Root mean square difference of means and of deviations, over the style's own, averaged over levels of features."""

    def relative(f: Tensor, g: Tensor) -> Tensor:
        (m, d), (mean, deviation) = moments(f), moments(g)
        return (rms(m - mean) + rms(d - deviation)) / (rms(mean) + rms(deviation))

    return torch.stack([relative(f, g) for f, g in zip(result, style, strict=True)]).mean(0)


def style_gram_distance(result: list[Tensor], style: list[Tensor]) -> Float[Tensor, " b"]:
    """Relative distance of Gram matrices, averaged over levels of features."""
    return torch.stack([gram_distance(f, g) for f, g in zip(result, style, strict=True)]).mean(0)


def content_distance(result: Float[Tensor, "b c h w"], content: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
    """Norm of the difference of deep features over that of the content's, each channel at mean 0 and deviation 1.

    So that the contrast which a style has, or has not, does not count: 0 is the same drawing, about 1.4 another one.
    """

    def normalised(x: Tensor) -> Tensor:
        mean, deviation = moments(x)
        return ((x.float() - mean[..., None, None]) / deviation[..., None, None]).flatten(1)

    a, b = normalised(result), normalised(content)
    return rms(a - b) / rms(b)


def edge_similarity(a: Float[Tensor, "b 3 h w"], b: Float[Tensor, "b 3 h w"]) -> Float[Tensor, " b"]:
    """SSIM of Sobel magnitudes of luma as :func:`claimkit.style.metrics.ssim_edge` has it, with a gradient."""
    x, y = _edges(a), _edges(b)

    def mean(v: Tensor) -> Tensor:
        return F.avg_pool2d(v, WINDOW, 1)

    mx, my = mean(x), mean(y)
    sample = WINDOW**2 / (WINDOW**2 - 1)
    vx, vy, both = (sample * (mean(p) - q) for p, q in ((x * x, mx * mx), (y * y, my * my), (x * y, mx * my)))
    similarity = (2 * mx * my + 1e-4) * (2 * both + 9e-4) / ((mx * mx + my * my + 1e-4) * (vx + vy + 9e-4))
    return similarity.mean((1, 2, 3))


def weave(picture: Float[Tensor, "b 3 h w"]) -> Float[Tensor, " b"]:
    """Power at the frequencies of a grid of 8 pixels (and so of 4 and 2) over that beside them: 1 where there is no grid.

    The geometric mean over the grid's frequencies (k/8, l/8); each is a block of 3 x 3 bins, compared with the blocks
    :data:`APART` bins away, along the axes where it lies on one. Height and width from 72 pixels.
    """
    height, width = (n - n % PERIOD for n in picture.shape[-2:])
    y = _luma(picture)[:, 0, :height, :width]
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


def _luma(picture: Tensor) -> Tensor:
    return (picture.float() * torch.tensor(LUMA).to(picture.device)[:, None, None]).sum(1, keepdim=True)


def _edges(picture: Tensor) -> Tensor:
    """Sobel magnitude, scaled as scikit-image scales it."""
    slope = torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]]) / 4
    kernels = torch.stack([slope, slope.T])[:, None].to(picture.device)
    both = F.conv2d(F.pad(_luma(picture), (1, 1, 1, 1), mode="replicate"), kernels)
    return (both.square().mean(1, keepdim=True) + 1e-10).sqrt()
