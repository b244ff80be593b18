"""Grades with a truth: what a photographer does to a picture's colours, drawn at random, so that an error can be measured.

The grades are ours to make: white balance, exposure and contrast curve, saturation, split toning; and light that
changes from the top of a picture to its bottom, as between a sky and the ground, where two grades are blended.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from claimkit.style.metrics import LUMA

STEEPNESS = 12.0  # of the change from above to below, a picture's height being 1


@dataclass(frozen=True)
class Grade:
    """x -> balance, x^gamma, contrast x (1 - x) (x - 1/2), saturation about luma, tones of shadows and lights; in [0, 1]."""

    balance: tuple[float, ...]
    gamma: float
    contrast: float
    saturation: float
    shadows: tuple[float, ...]
    lights: tuple[float, ...]

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Grade":
        """A grade that is seen and is not absurd: half a stop, a tenth of white balance, a third of saturation."""
        gamma, balance = np.exp(rng.normal(0, 0.25)), np.exp(rng.normal(0, 0.12, 3))
        saturation, contrast = np.exp(rng.normal(0, 0.35)), rng.normal(0, 0.8)
        tones = rng.normal(0, 0.06, (2, 3))
        return cls(
            tuple(balance / balance.mean()),
            float(gamma),
            float(contrast),
            float(saturation),
            tuple(tones[0]),
            tuple(tones[1]),
        )

    def __call__(self, picture: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 h w"]:
        """The graded picture."""
        x = (picture.double() * _column(self.balance)).clamp(0, 1) ** self.gamma
        y = x + self.contrast * (x - 0.5) * x * (1 - x)
        luma = (y * _column(LUMA)).sum(0, keepdim=True)
        y = luma + self.saturation * (y - luma)
        y = y + _column(self.shadows) * (1 - luma) ** 2 + _column(self.lights) * luma**2
        return y.clamp(0, 1).to(picture)


def below(height: int, width: int) -> Float[Tensor, "1 h w"]:
    """How much a place belongs to the lower part of a picture, from 0 to 1."""
    at = (torch.arange(height) + 0.5) / height
    return torch.sigmoid(STEEPNESS * (at - 0.5)).view(1, height, 1).expand(1, height, width)


def graded_by_light(picture: Float[Tensor, "3 h w"], above: Grade, under: Grade) -> Float[Tensor, "3 h w"]:
    """One grade above, another below, blended about the middle."""
    share = below(*picture.shape[1:])
    return (1 - share) * above(picture) + share * under(picture)


def _column(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).view(3, 1, 1)
