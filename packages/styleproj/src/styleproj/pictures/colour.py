"""Keeping the content's colours: its chroma under the result's luma, or the style repainted in the content's colours."""

import torch
from torch import Tensor

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


def _moments(image: Tensor) -> tuple[Tensor, Tensor]:
    flat = image.double().flatten(1)
    return flat.mean(1, keepdim=True), flat.cov(correction=0)


def _powers(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Square root of a positive semidefinite matrix, and its inverse."""
    values, vectors = torch.linalg.eigh(matrix)
    roots = values.clamp(min=1e-12).sqrt()
    return (vectors * roots) @ vectors.T, (vectors / roots) @ vectors.T
