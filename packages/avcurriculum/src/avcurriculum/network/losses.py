"""Losses over the distances between audio and visual centres (arXiv 2001.09414; authors' code Simplified_DMC).

The distance of a sound to a picture is made of ``m_j = min_k |c^v_k - c^a_j|``, each audio centre's nearest visual centre.
All three losses take the minima ``m`` and return a scalar. Rows of ``m`` are the sounds that belong to the pictures.
"""

from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cross_entropy

from claimkit.errors import InputError

LossName = Literal["infonce", "contrastive", "maxmargin"]
LOSSES: tuple[LossName, ...] = get_args(LossName)


def contrastive(m: Float[Tensor, "pairs audio"], matched: Float[Tensor, " pairs"], margin: float = 5.0) -> Float[Tensor, ""]:
    """The reference: ``1/2 [y sum_j m_j^2 + (1-y) relu(margin - sqrt(sum_j m_j^2 + 1e-9))^2]``, mean over pairs.

    Args:
        m: Minima, ``(pairs, K_a)``, >= 0.
        matched: y, 1 where picture and sound are of one clip, else 0.
        margin: How far apart other pairs should be; 5 suits features that are not normalised.

    >>> m = torch.tensor([[1.0, 2.0]])
    >>> [round(float(contrastive(m, torch.tensor([y]))), 4) for y in (1.0, 0.0)]
    [2.5, 3.8197]
    """
    square = m.square().sum(-1)
    apart = (margin - (square + 1e-9).sqrt()).clamp(min=0).square()
    return (matched * square + (1 - matched) * apart).mean() / 2


def maxmargin(m: Float[Tensor, "batch batch audio"], margin: float = 1.0) -> Float[Tensor, ""]:
    """Hinge over a batch: ``relu(margin + D(v_i, a_i) - D(v_i, a_j))``, mean over all j != i.

    Args:
        m: Minima of every picture (rows) with every sound (columns), ``(B, B, K_a)``; D is the mean of ``m^2``.
        margin: Positive.
    """
    d = m.square().mean(-1)
    hinge = (margin + d.diagonal()[:, None] - d).clamp(min=0)
    return (hinge.sum() - hinge.diagonal().sum()) / max(hinge.numel() - len(hinge), 1)


def infonce(m: Float[Tensor, "batch batch audio"], gamma: float = 7.0) -> Float[Tensor, ""]:
    """Symmetric cross-entropy over a batch with logits ``-gamma * mean_j m_j^2``.

    Args:
        m: Minima of every picture (rows) with every sound (columns), ``(B, B, K_a)``.
        gamma: Inverse temperature; 7 suits unit-length features.
    """
    return matching(-gamma * m.square().mean(-1))


def matching(logits: Float[Tensor, "batch batch"]) -> Float[Tensor, ""]:
    """Symmetric cross-entropy of similarities whose diagonal are the true pairs."""
    target = torch.arange(len(logits), device=logits.device)
    return (cross_entropy(logits, target) + cross_entropy(logits.T, target)) / 2


def batch_loss(name: LossName, m: Float[Tensor, "batch batch audio"], scale: float) -> Float[Tensor, ""]:
    """One of the losses on all pairs of a batch; ``scale`` is its gamma or margin.

    ``contrastive`` takes the matched pairs and, as in the reference, one other picture a sound (the next of the batch).
    """
    if name == "infonce":
        return infonce(m, scale)
    if name == "maxmargin":
        return maxmargin(m, scale)
    if name == "contrastive":
        i = torch.arange(len(m), device=m.device)
        pairs = torch.cat([m[i, i], m[i.roll(1), i]])
        return contrastive(pairs, torch.cat([torch.ones(len(m)), torch.zeros(len(m))]).to(m), scale)
    raise InputError(f"loss {name!r} is none of {', '.join(LOSSES)}")


def check_finite(loss: Tensor, step: int) -> None:
    """Stop a training that has diverged before its weights are lost.

    Raises:
        InputError: The loss is not a number.
    """
    if not loss.isfinite():
        raise InputError(f"the loss at step {step} is {loss.item()}: training has diverged, lower the learning rate")
