"""Loops that numba compiles; without numba they run as they stand, slowly and with the same results."""

from collections.abc import Callable
from typing import Any

try:
    from numba import njit
except ImportError:  # the ring needs numba and is then not offered (`ring.choice`)
    njit = None


def kernel(function: Callable[..., Any]) -> Any:
    """Compile without Python's lock; the machine code is kept where numba keeps it, or nowhere if it finds no place.

    Divisions by zero give infinities, as numpy's do; nothing is reordered or contracted, so sums are numpy's bit for bit.
    """
    if njit is None:
        return function
    try:
        return njit(nogil=True, cache=True, error_model="numpy")(function)
    except RuntimeError:
        return njit(nogil=True, error_model="numpy")(function)
