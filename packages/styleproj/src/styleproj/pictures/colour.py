"""Keeping the content's colours: its chroma under the result's luma, or the style repainted in the content's colours."""

from collections.abc import Sequence

import torch
from torch import Tensor

from claimkit.style.transforms import Statistics, ot_map
from styleproj.operator.transforms import bounded

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the brightness of a picture (ITU-R BT.601)."""


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


def repaint(result: Tensor, parts: Sequence[tuple[Tensor | None, Statistics]], alpha: float, max_gain: float) -> Tensor:
    """Give each part of a picture the mean and covariance of its style's colours, as far as strength and gain let it.

    Args:
        result: ``(3, height, width)``.
        parts: Where, ``(height, width)`` or None for everywhere, and the colours' statistics.
        alpha: Strength in [0, 1].
        max_gain: Most that a difference of colours is enlarged.
    """
    for where, colours in parts:
        if where is not None and not where.any():
            continue
        here = None if where is None else where.to(result)
        wanted = Statistics(colours.mean.to(result.device), colours.covariance.to(result.device))
        own = Statistics.of(result[None], here)
        painted = bounded(ot_map(own, wanted), own.mean, max_gain).blend(alpha)(result[None])[0].clamp(0, 1)
        result = painted if here is None else torch.where(here > 0, painted, result)
    return result


def _moments(image: Tensor) -> tuple[Tensor, Tensor]:
    flat = image.double().flatten(1)
    return flat.mean(1, keepdim=True), flat.cov(correction=0)


def _powers(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Square root of a positive semidefinite matrix, and its inverse."""
    values, vectors = torch.linalg.eigh(matrix)
    roots = values.clamp(min=1e-12).sqrt()
    return (vectors * roots) @ vectors.T, (vectors / roots) @ vectors.T
