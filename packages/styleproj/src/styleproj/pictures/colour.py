"""Keeping the content's colours: its chroma under the result's luma, or the style repainted in the content's colours."""

from collections.abc import Sequence

import torch
from torch import Tensor

from claimkit.style.transforms import Statistics, ot_map
from styleproj.operator.transforms import bounded

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the brightness of a picture (ITU-R BT.601)."""
MAX_GAIN = 1.15
"""Most that the map of colours enlarges a difference of colours, where nobody says otherwise."""
SOFT_CLIP = 0.2
"""Width of what is bent at either end of the range, where nobody says otherwise."""
LIMIT = 0.02
"""How far outside the range the map of colours lets a value lie before the ends are bent: the farthest decides how much."""
UNCLIPPED, NARROWEST = 1 / 255, 0.01
"""Distance from an end of the range at which a value is not an end in eight bits, and the least width that is bent."""


def luma(image: Tensor) -> Tensor:
    """Brightness ``(1, height, width)`` of a picture ``(3, height, width)`` in [0, 1]."""
    return torch.tensordot(image.new_tensor(LUMA), image, 1)[None]


def keep_chroma(result: Tensor, content: Tensor) -> Tensor:
    """The content with the result's brightness; both ``(3, height, width)`` in [0, 1]."""
    return (content + luma(result) - luma(content)).clamp(0, 1)


def coral(style: Tensor, content: Tensor) -> Tensor:
    """The style picture with the content's mean and covariance of colours (CORAL, arXiv 1511.05547).

    Both are ``(3, height, width)`` in [0, 1], of any sizes. The colours are mapped by the symmetric map between the two
    Gaussian distributions, the one that moves them least; it is damped where the style has no variance to spread.
    """
    (mean_s, cov_s), (mean_c, cov_c) = (_moments(x) for x in (style, content))
    root, inverse = _powers(cov_s + 1e-5 * torch.eye(3, dtype=torch.float64))
    middle, _ = _powers(root @ cov_c @ root)
    matrix = inverse @ middle @ inverse
    flat = style.double().flatten(1)
    return ((matrix @ (flat - mean_s)) + mean_c).view(style.shape).clamp(0, 1).to(style.dtype)


def repaint(
    result: Tensor,
    parts: Sequence[tuple[Tensor | None, Statistics]],
    alpha: float,
    max_gain: float,
    width: float = 0.0,
    limit: float = LIMIT,
) -> Tensor:
    """Give each part of a picture the mean and covariance of its style's colours, as far as strength and gain let it.

    Args:
        result: ``(3, height, width)``.
        parts: Where, ``(height, width)`` or None for everywhere, and the colours' statistics.
        alpha: Strength in [0, 1].
        max_gain: Most that a difference of colours is enlarged.
        width: Of what is bent at either end of the range at full strength, see :func:`soft_clip`.
        limit: How far outside [0, 1] a mapped value may lie before it is bent.
    """
    for where, colours in parts:
        if where is not None and not where.any():
            continue
        here = None if where is None else where.to(result)
        wanted = Statistics(colours.mean.to(result.device), colours.covariance.to(result.device))
        own = Statistics.of(result[None], here)
        painted = bounded(ot_map(own, wanted), own.mean, max_gain).blend(alpha)(result[None])[0].clamp(-limit, 1 + limit)
        if here is None:
            result = soft_clip(painted, alpha * width)
        else:
            inside = painted[:, here > 0]
            ends = inside.amin(1)[:, None, None], inside.amax(1)[:, None, None]
            result = torch.where(here > 0, soft_clip(painted, alpha * width, ends), result)
    return result


def soft_clip(image: Tensor, width: float, ends: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """Values outside [0, 1] brought inside by bending the ends of the range, as film does, instead of cutting them off.

    A channel that reaches beyond an end is compressed within ``width`` of it, by a curve of slope 1 where it begins, so that
    its farthest value is one that eight bits do not call clipped; a channel that stays inside is left as it is.

    Args:
        image: ``(..., height, width)``, each channel of each picture by itself.
        width: Of the bent part, at most 0.5; below :data:`NARROWEST` values are cut off.
        ends: Lowest and highest value of each channel, ``(..., 1, 1)``, where they are not the image's own.
    """
    if width < NARROWEST:
        return image.clamp(0, 1)
    low, high = ends if ends is not None else (image.amin((-2, -1), keepdim=True), image.amax((-2, -1), keepdim=True))
    return bent_ends(image, low, high, width)


def bent_ends(image: Tensor, low: Tensor, high: Tensor, width: float | Tensor) -> Tensor:
    """The curve of :func:`soft_clip` for channels that reach from ``low`` to ``high``."""
    return 1 - _bent(1 - _bent(image, high, width), 1 - low, width).clamp(0, 1)


def _bent(x: Tensor, farthest: Tensor, width: float | Tensor) -> Tensor:
    """The upper end of the range bent."""
    inside, start = width - UNCLIPPED, 1 - width
    over = (x - start).clamp_min(0)
    curve = start + over / (1 + over * (1 / inside - 1 / (farthest - start).clamp_min(inside)))
    return torch.where(over > 0, curve, x)


def _moments(image: Tensor) -> tuple[Tensor, Tensor]:
    flat = image.double().flatten(1)
    return flat.mean(1, keepdim=True), flat.cov(correction=0)


def _powers(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Square root of a positive semidefinite matrix, and its inverse."""
    values, vectors = torch.linalg.eigh(matrix)
    roots = values.clamp(min=1e-12).sqrt()
    return (vectors * roots) @ vectors.T, (vectors / roots) @ vectors.T
