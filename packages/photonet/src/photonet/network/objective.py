"""The objective of the search over networks (arXiv 1912.02398, P-step): how near a student is to its teacher, and its cost.

0.8 L_r + 0.1 L_p + 0.1 c: mean squared error of the stylised pictures, of their features averaged over the levels, and the
share of operators. The authors' validator counts the features of the last pair only; here all pairs count.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from claimkit.errors import InputError
from photonet.network.architecture import LENGTH, PRESETS, Architecture
from photonet.network.cost import VGG_CHANNELS, macs

Cost = Literal["operators", "macs"]
WEIGHTS = (0.8, 0.1, 0.1)


@dataclass(frozen=True)
class Objective:
    """What a student has: smaller is better.

    Attributes:
        reconstruction: L_r.
        perceptual: L_p.
        cost: Share in [0, 1].
        weights: Of the three.
    """

    reconstruction: float
    perceptual: float
    cost: float
    weights: tuple[float, float, float] = WEIGHTS

    @property
    def total(self) -> float:
        """The weighted sum."""
        w = self.weights
        return w[0] * self.reconstruction + w[1] * self.perceptual + w[2] * self.cost


def objective(
    architecture: Architecture,
    students: Iterable[Float[Tensor, "b 3 h w"]],
    teachers: Iterable[Float[Tensor, "b 3 h w"]],
    encoder: Callable[[Tensor], Sequence[Tensor]],
    *,
    cost: Cost = "operators",
    channels: Sequence[int] = VGG_CHANNELS,
    weights: tuple[float, float, float] = WEIGHTS,
) -> Objective:
    """Compare a student's stylised pictures with its teacher's, pair by pair.

    Args:
        architecture: The student's.
        students: Its pictures in [0, 1].
        teachers: The teacher's of the same pairs.
        encoder: Gives the levels on which L_p is measured.
        cost: ``operators``: their number over 32; ``macs``: multiply-accumulates over PhotoNet's, style included.
        channels: Of the student's encoder, for ``macs``.
        weights: Of L_r, L_p and the cost.

    Raises:
        InputError: No pairs, more of one than of the other, or sizes that differ.
    """
    pictures, features, count = 0.0, 0.0, 0
    for student, teacher in zip_longest(students, teachers):
        if student is None or teacher is None:
            raise InputError("there are not as many pictures of the student as of the teacher")
        if student.shape != teacher.shape:
            raise InputError(f"pair {count}: the student's picture is {tuple(student.shape)}, not {tuple(teacher.shape)}")
        with torch.no_grad():
            pictures += F.mse_loss(student, teacher).item()
            levels = zip(encoder(student), encoder(teacher), strict=True)
            features += torch.stack([F.mse_loss(a, b) for a, b in levels]).mean().item()
        count += 1
    if not count:
        raise InputError("the objective needs at least one pair")
    return Objective(pictures / count, features / count, cost_of(architecture, cost, channels), weights)


def cost_of(architecture: Architecture, cost: Cost = "operators", channels: Sequence[int] = VGG_CHANNELS) -> float:
    """The cost term: share of operators that change something, or of PhotoNet's multiply-accumulates."""
    if cost == "operators":
        return len(architecture) / LENGTH
    if cost == "macs":
        return macs(architecture, 256, 256, channels) / macs(PRESETS["photonet"], 256, 256, channels)
    raise InputError(f"cost must be operators or macs, not {cost!r}")
