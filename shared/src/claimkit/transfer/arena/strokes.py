"""A transfer task that is drawn, not fetched: characters of three strokes, as a pen and a brush write them.

A class is three Bezier curves; an image of it has their control points displaced, the whole turned, scaled and shifted, and
noise of pixels. The source network learns one alphabet written with a pen; the target is another alphabet written with a
broad brush over a background that is not even, five images a class. Then features that were learnt help, and must change:
a network that starts afresh, and one whose features are frozen, are both behind plain fine-tuning.
"""

import hashlib
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from claimkit.transfer.data import Images, View, from_arrays
from claimkit.transfer.loop import FineTuning, finetune
from claimkit.transfer.networks import SmallCNN, reinitialise
from claimkit.transfer.tasks import Split

SIZE = 16
VIEW = View(SIZE, flip=False, mean=(0.3,), std=(0.3,))
STROKES, POINTS = 3, 10
SOURCE_TRAINING = FineTuning(300, 32, 0.1, head_decay=1e-4, augment=False)


@dataclass(frozen=True)
class Hand:
    """How an alphabet is written.

    Attributes:
        width: Standard deviation of a stroke's profile, as a share of the image.
        jitter: Displacement of every control point.
        turn: Standard deviation of the angle, in radians.
        uneven: Largest slope of the background.
        noise: Standard deviation of every pixel.
    """

    width: float = 0.045
    jitter: float = 0.05
    turn: float = 0.15
    uneven: float = 0.0
    noise: float = 0.1


PEN, BRUSH = Hand(), Hand(width=0.075, jitter=0.06, turn=0.2, uneven=0.8, noise=0.2)


def alphabet(classes: int, each: int, hand: Hand, seed: int) -> Images:
    """``each`` images of every class of the alphabet ``seed``, written by a hand; values about [0, 1]."""
    rng = np.random.default_rng(seed)
    controls = rng.uniform(0.15, 0.85, (classes, 1, STROKES, 3, 2))
    controls = np.repeat(controls, each, 1).reshape(-1, STROKES, 3, 2)
    n = len(controls)
    controls = controls + rng.normal(0, hand.jitter, controls.shape)
    angle, scale = rng.normal(0, hand.turn, n), rng.uniform(0.85, 1.15, (n, 1, 1, 1))
    turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], 1).reshape(n, 1, 1, 2, 2)
    controls = 0.5 + scale * (turn @ (controls - 0.5)[..., None])[..., 0] + rng.normal(0, 0.05, (n, 1, 1, 2))
    t = np.linspace(0, 1, POINTS)[:, None]
    basis = np.concatenate([(1 - t) ** 2, 2 * t * (1 - t), t**2], 1)
    ink = _ink((basis @ controls).reshape(n, -1, 2), hand.width)
    grid = (np.arange(SIZE) + 0.5) / SIZE - 0.5
    slope = hand.uneven * rng.uniform(-1, 1, (n, 2))
    ink += slope[:, 0, None, None] * grid[:, None] + slope[:, 1, None, None] * grid
    ink += rng.normal(0, hand.noise, ink.shape)
    return from_arrays(ink.astype(np.float32), np.repeat(np.arange(classes), each), name="strokes")


def _ink(points: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """The darkest of all points' profiles at every pixel: the profile of the nearest, by its two axes."""
    grid = (np.arange(SIZE) + 0.5) / SIZE
    down, across = ((points[..., i, None] - grid) ** 2 for i in (0, 1))
    nearest = np.stack([(d[..., :, None] + a[..., None, :]).min(0) for d, a in zip(down, across, strict=True)])
    return np.exp(-nearest / (2 * width**2))


@cache
def source() -> nn.Module:
    """A network of 24,000 weights that reads 40 characters written with a pen; the same for every seed."""
    known = alphabet(40, 60, PEN, 0)
    none = known.take(known.y[:0])
    model = reinitialise(SmallCNN(1, (16, 32, 64), 40), 0)
    finetune(model, Split(known, none, none), VIEW, SOURCE_TRAINING)
    return model.eval()


def target(seed: int, classes: int = 10, each: int = 200) -> Images:
    """The alphabet that a seed has to learn, written with the brush: all there is of it."""
    return alphabet(classes, each, BRUSH, 1 + seed)


def digest(images: Images) -> str:
    """sha256 of the pixels in steps of 1/64, which the last digit of a processor does not change, and of the labels."""
    pixels = (images.x * 64).round().to(torch.int16).numpy()
    return hashlib.sha256(pixels.tobytes() + images.y.numpy().tobytes()).hexdigest()
