"""LightGBM's own draws of rows and columns, number for number (its `random.h`, `bagging.hpp`, `col_sampler.hpp`).

Its generator is x <- 214013 x + 2531011 mod 2^32; a fraction is bits 16 to 30 of x over 2^15. Every draw depends on the
seed and on how many were made before, so a resumed run draws what an uninterrupted one would.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from securegbm.errors import SecureGBMError

Flags = npt.NDArray[np.bool_]
FACTOR, SUMMAND, MODULUS = 214013, 2531011, 1 << 32
BLOCK = 1024
"""Rows that share one generator."""


@dataclass(frozen=True)
class Draws:
    """What LightGBM draws, under LightGBM's names (`bagging_freq` is 1 here unless given, not 0).

    Args:
        bagging_fraction: Share of the rows that trees are grown from, (0, 1]; leaf values come from these rows alone.
        bagging_freq: Iterations for which the drawn rows are kept, at least 1.
        bagging_seed: Of the rows.
        feature_fraction: Share of the columns of both parties that a tree may split, (0, 1].
        feature_fraction_seed: Of the columns.
    """

    bagging_fraction: float = 1.0
    bagging_freq: int = 1
    bagging_seed: int = 3
    feature_fraction: float = 1.0
    feature_fraction_seed: int = 2

    def __post_init__(self) -> None:
        for name in ("bagging_fraction", "feature_fraction"):
            if not 0.0 < getattr(self, name) <= 1.0:
                raise SecureGBMError(f"{name} is {getattr(self, name)}; give a number above 0, at most 1")
        if self.bagging_freq < 1:
            raise SecureGBMError(f"bagging_freq is {self.bagging_freq}; give at least 1 (1: new rows in every iteration)")

    def rows(self, count: int, iteration: int) -> Flags:
        """`(count,)` which rows are drawn for an iteration: those whose fraction is below `bagging_fraction`."""
        if self.bagging_fraction == 1.0:
            return np.ones(count, dtype=bool)
        blocks = -(-count // BLOCK)
        sizes = np.minimum(BLOCK, count - BLOCK * np.arange(blocks))
        before = iteration // self.bagging_freq
        state = np.empty(blocks, dtype=np.uint64)
        for size in np.unique(sizes):
            factor, summand = _jump(int(size) * before)
            seeds = (self.bagging_seed + np.flatnonzero(sizes == size)).astype(np.uint64)
            state[sizes == size] = (seeds * np.uint64(factor) + np.uint64(summand)) % np.uint64(MODULUS)
        drawn = np.empty((blocks, BLOCK), dtype=bool)
        for place in range(min(BLOCK, count)):
            state = (state * np.uint64(FACTOR) + np.uint64(SUMMAND)) % np.uint64(MODULUS)
            fraction = ((state >> np.uint64(16)) & np.uint64(0x7FFF)).astype(np.float32) / np.float32(32768)
            drawn[:, place] = fraction.astype(np.float64) < self.bagging_fraction
        return drawn.reshape(-1)[:count]


def _jump(steps: int) -> tuple[int, int]:
    """Factor and summand of `steps` steps of the generator at once."""
    factor, summand = 1, 0
    one, other = FACTOR, SUMMAND
    while steps:
        if steps & 1:
            factor, summand = factor * one % MODULUS, (summand * one + other) % MODULUS
        one, other, steps = one * one % MODULUS, (other * one + other) % MODULUS, steps >> 1
    return factor, summand


class ColumnDraws:
    """The columns of one tree after the other.

    Args:
        draws: What is drawn.
        usable: `(columns,)` which columns have more than one bin; only these are counted and drawn.
    """

    def __init__(self, draws: Draws, usable: Flags) -> None:
        self._draws, self._usable = draws, np.flatnonzero(usable)
        self._count = len(usable)
        self._state, self._next = draws.feature_fraction_seed % MODULUS, 0
        self._sample()  # LightGBM draws once before its first tree

    def of(self, tree: int) -> Flags:
        """`(columns,)` which columns tree `tree` may split."""
        if tree < self._next:
            self.__init__(self._draws, _flags(self._usable, self._count))
        chosen = self._usable
        while self._next <= tree:
            chosen = self._sample()
            self._next += 1
        return _flags(chosen, self._count)

    def _sample(self) -> npt.NDArray[np.int64]:
        total = len(self._usable)
        wanted = max(min(1, total), int(total * self._draws.feature_fraction + 0.5))
        if self._draws.feature_fraction == 1.0 or wanted == total:
            return self._usable
        if wanted > 1 and wanted > total / math.log2(wanted):
            chosen: list[int] = []
            for place in range(total):
                self._step()
                fraction = (self._state >> 16 & 0x7FFF) / 32768
                if fraction < (wanted - len(chosen)) / (total - place):
                    chosen.append(place)
            return self._usable[chosen]
        found: set[int] = set()
        for last in range(total - wanted, total):
            self._step()
            place = (self._state & 0x7FFFFFFF) % (last + 1)
            found.add(last if place in found else place)
        return self._usable[sorted(found)]

    def _step(self) -> None:
        self._state = (self._state * FACTOR + SUMMAND) % MODULUS


def _flags(places: npt.NDArray[np.int64], count: int) -> Flags:
    out = np.zeros(count, dtype=bool)
    out[places] = True
    return out
