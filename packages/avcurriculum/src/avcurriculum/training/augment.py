"""What keeps a network from learning few scenes by heart: flips and crops of pictures, gain and masks of spectrograms."""

import math

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from avcurriculum.audio import MelSpec

SMALLEST_CROP = 0.7
GAIN_DB = 6.0
MASKED = 0.2
"""Largest share of the frames, and of the bands, that is masked."""


def augment_pictures(images: UInt8[Tensor, "batch s s 3"], rng: np.random.Generator) -> UInt8[Tensor, "batch s s 3"]:
    """Each picture flipped or not, and cropped to 0.7 to 1 of its side somewhere."""
    n = len(images)
    side = rng.uniform(SMALLEST_CROP, 1, n)
    x, y = (rng.uniform(-1, 1, n) * (1 - side) for _ in range(2))
    theta = np.zeros((n, 2, 3), np.float32)
    theta[:, 0, 0], theta[:, 1, 1] = side * rng.choice([-1, 1], n), side
    theta[:, 0, 2], theta[:, 1, 2] = x, y
    batch = images.permute(0, 3, 1, 2).float()
    grid = affine_grid(torch.from_numpy(theta).to(batch.device), list(batch.shape), align_corners=False)
    cropped = grid_sample(batch, grid, padding_mode="border", align_corners=False)
    return cropped.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


def augment_sounds(
    mel: Float[Tensor, "batch frames bands"], spec: MelSpec, rng: np.random.Generator
) -> Float[Tensor, "batch frames bands"]:
    """Each log-mel with a gain within 6 dB, one stretch of frames and one of bands at its mean (SpecAugment)."""
    out = mel.clone()
    db = rng.uniform(-GAIN_DB, GAIN_DB, len(mel))
    shift = db if isinstance(spec.log, str) else db * math.log(10) * spec.power / 20
    out += torch.from_numpy(shift).to(out)[:, None, None]
    for one, mean in zip(out, out.mean((1, 2)), strict=True):
        for axis in (0, 1):
            width = int(rng.integers(0, int(one.shape[axis] * MASKED) + 1))
            start = int(rng.integers(0, one.shape[axis] - width + 1))
            one.narrow(axis, start, width).fill_(mean)
    return out
