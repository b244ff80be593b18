"""Discrete Gaussian noise for sums (Canonne, Kamath and Steinke, arXiv 2004.00010, algorithm 3), many at a time."""

import os

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


def _uniform(count: int) -> npt.NDArray[np.float64]:
    """`count` numbers in (0, 1] with 53 bits, from the operating system's generator."""
    words = np.frombuffer(os.urandom(8 * count), dtype=np.uint64) >> np.uint64(11)
    return (words.astype(np.float64) + 1.0) * 2.0**-53


def discrete_gaussian(sigma: float, count: int) -> Ints:
    """`count` integers x with probability proportional to exp(-x^2 / (2 sigma^2)), up to double precision.

    A discrete Laplace number of scale t = floor(sigma) + 1 is accepted with probability
    exp(-(|x| - sigma^2 / t)^2 / (2 sigma^2)).

    Args:
        sigma: Standard deviation, in units of the integers; 0 gives zeros.
        count: How many.
    """
    out = np.zeros(0, dtype=np.int64)
    if sigma <= 0:
        return np.zeros(count, dtype=np.int64)
    scale = float(int(sigma) + 1)
    while len(out) < count:
        size = 2 * (count - len(out)) + 32
        magnitude = np.floor(-np.log(_uniform(size)) * scale)
        negative = _uniform(size) <= 0.5
        accepted = _uniform(size) <= np.exp(-((magnitude - sigma**2 / scale) ** 2) / (2.0 * sigma**2))
        accepted &= ~(negative & (magnitude == 0))
        found = np.where(negative, -magnitude, magnitude)[accepted]
        out = np.concatenate([out, found.astype(np.int64)])
    return out[:count]
