"""The losses of style projection (2003.07694, section 3.3): L = L_p + lambda L_s + kappa L_KL.

Norms are Euclidean, over the square root of the number of entries, so that crops and levels of any size weigh alike. The
paper does not say what makes a feature map a distribution: here it is a softmax over positions, channel by channel.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from claimkit.style.metrics import moment_distance, rms
from claimkit.style.metrics import moments as moments_of

Moments = list[tuple[Tensor, Tensor]]


def moments(features: Sequence[Float[Tensor, "b _ _ _"]]) -> Moments:
    """Mean and standard deviation over positions, (B, C) each, level by level."""
    return [moments_of(f) for f in features]


def style_loss(result: Moments, style: Moments) -> Float[Tensor, ""]:
    """L_s: distance of means plus distance of standard deviations, summed over levels, averaged over pictures."""
    return torch.stack([moment_distance(a, b) for a, b in zip(result, style, strict=True)]).sum(0).mean()


def content_loss(result: Float[Tensor, "b c h w"], content: Float[Tensor, "b c h w"]) -> Float[Tensor, ""]:
    """L_p: distance of the deepest features from the content's own, averaged over pictures."""
    return rms((result.float() - content.float()).flatten(1)).mean()


def kl_loss(result: Float[Tensor, "b c h w"], content: Float[Tensor, "b c h w"]) -> Float[Tensor, ""]:
    """L_KL: KL(content || result) in nats, averaged over channels and pictures."""
    p = content.float().flatten(2).log_softmax(2)
    q = result.float().flatten(2).log_softmax(2)
    return (p.exp() * (p - q)).sum(2).mean()


@dataclass(frozen=True)
class StyleProjectionLoss:
    """The weighted sum.

    Attributes:
        style_weight: lambda; the paper's value is not known. AdaIN's 10 belongs to squared norms.
        kl_weight: kappa; the paper's value is not known.
    """

    style_weight: float = 2.0
    kl_weight: float = 1.0

    def __call__(self, result: Sequence[Tensor], content: Tensor, style: Moments) -> dict[str, Tensor]:
        """Losses by name, ``total`` among them.

        Args:
            result: Levels of the decoded picture.
            content: The content's deepest level.
            style: Moments of the style's levels.
        """
        parts = {
            "content": content_loss(result[-1], content),
            "style": style_loss(moments(result), style),
            "kl": kl_loss(result[-1], content),
        }
        return {"total": parts["content"] + self.style_weight * parts["style"] + self.kl_weight * parts["kl"], **parts}
