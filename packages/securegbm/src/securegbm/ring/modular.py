"""Arithmetic modulo primes of up to 60 bits in loops that a compiler turns into vector instructions.

Products by a known w use Shoup's quotient w' = floor(w 2^64 / p): with q ~ floor(w' y / 2^64) the number w y - q p needs
no division. The high half is taken from three of the four 32-bit products, so q is up to 2 too small and the result lies
in [0, 4p) instead of [0, 2p): 8p < 2^63 leaves room for a butterfly without a reduction. No branch and no address depends
on a residue.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from securegbm.compiled import kernel

Words = npt.NDArray[np.uint64]

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


@kernel
def high(a: Any, b: Any) -> Any:
    """floor(a b / 2^64), at most 2 less."""
    a0, a1, b0, b1 = a & _LOW, a >> _HALF, b & _LOW, b >> _HALF
    return a1 * b1 + ((a1 * b0) >> _HALF) + ((a0 * b1) >> _HALF)


@kernel
def exact_high(a: Any, b: Any) -> Any:
    """floor(a b / 2^64)."""
    a0, a1, b0, b1 = a & _LOW, a >> _HALF, b & _LOW, b >> _HALF
    middle = a1 * b0 + ((a0 * b0) >> _HALF)
    return a1 * b1 + (middle >> _HALF) + ((a0 * b1 + (middle & _LOW)) >> _HALF)


@kernel
def times(y: Any, w: Any, quotient: Any, p: Any) -> Any:
    """Y w mod p in [0, 4p), for any 64-bit y and w < p with its Shoup quotient."""
    return w * y - high(quotient, y) * p


@kernel
def reduced(x: Any, p: Any) -> Any:
    """X mod p in [0, p) for x < 8p: unsigned subtractions wrap around to something larger when they should not be made."""
    x = min(x, x - (p << np.uint64(2)))
    x = min(x, x - (p << np.uint64(1)))
    return min(x, x - p)


def shoup(values: Any, p: int) -> Words:
    """Shoup's quotients floor(w 2^64 / p), as an array like `values`."""
    flat = np.asarray(values, dtype=np.uint64)
    return np.array([(int(w) << 64) // p for w in flat.ravel()], dtype=np.uint64).reshape(flat.shape)
