"""WCT as the official code of PhotoNAS computes it: double precision throughout, by singular value decomposition.

The yardstick of speed and of exactness; the transform in use is :func:`claimkit.style.transforms.wct_map`.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from claimkit.style.transforms import Regularization

DROPPED = 1e-6  # singular values below are left out


def wct_svd64(
    x: Float[Tensor, "b c h w"], s: Float[Tensor, "b c H W"], regularization: Regularization = "relative"
) -> Float[Tensor, "b c h w"]:
    """Whiten ``x``, then colour it like ``s``: two products with all positions, covariances over N - 1.

    ``regularization`` is what is added to the content's covariance: none, identity, or relative (1.5 Σ + diag Σ).
    """
    return torch.stack([_one(a, b, regularization) for a, b in zip(x, s.expand(len(x), -1, -1, -1), strict=True)])


def _one(x: Tensor, s: Tensor, regularization: Regularization) -> Tensor:
    content, style = x.double().flatten(1), s.double().flatten(1)
    mean, style_mean = content.mean(1, keepdim=True), style.mean(1, keepdim=True)
    content, style = content - mean, style - style_mean
    covariance = content @ content.mT / (content.shape[1] - 1)
    if regularization == "identity":
        covariance = covariance + torch.eye(len(covariance)).to(covariance)
    elif regularization == "relative":
        covariance = 1.5 * covariance + covariance.diag().diag()
    whitened = _power(covariance, -0.5) @ content
    coloured = _power(style @ style.mT / (style.shape[1] - 1), 0.5) @ whitened
    return (coloured + style_mean).view_as(x).to(x.dtype)


def _power(covariance: Tensor, power: float) -> Tensor:
    u, d, _ = torch.linalg.svd(covariance)
    u, d = u[:, d >= DROPPED], d[d >= DROPPED]
    return u @ torch.diag(d**power) @ u.mT
