"""The ring Z_q[x] / (x^N + 1) as arrays of residues: primes, encodings, and the two ways to write numbers as bytes.

Parameters are the agreed ones (`crypto.parameters` holds them against the 128-bit standard, SEAL names the primes), but
for SEAL's last prime, which serves its key switching only: ciphertexts live modulo q = the product of the others.
"""

import math
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt
import tenseal.sealapi as sealapi

from securegbm.compiled import kernel
from securegbm.crypto.parameters import BFVParameters
from securegbm.errors import SecureGBMError
from securegbm.ring.modular import Words, exact_high, reduced, shoup, times
from securegbm.ring.stream import Stream, uniform
from securegbm.ring.transform import Tables, tables

Ints = npt.NDArray[np.int64]

MARGIN_BITS = 12
"""A reply is rounded to this many bits more than t has (fewer where t is so wide that the kept prime ends before)."""
ROUNDING = 256
"""Rounding a reply's N uniform numbers adds an error of standard deviation sqrt(N / 18) = 21 (N = 8192, ternary key); it
stays below 12 of these."""


@dataclass(frozen=True)
class Ring:
    """Constants of the ring that both parties derive from the parameters.

    Args:
        parameters: Agreed parameters, replies not merged.
        joint: One plaintext holds two numbers: t has twice the bits.

    Attributes:
        primes: The one kept in replies, then those dropped.
        tables: The transform's, of each prime.
        plain_bits: Bits of t.
        kept_bits: A reply holds numbers modulo 2^kept_bits.
        margin_bits: What these are more than t has.
    """

    parameters: BFVParameters
    joint: bool = False
    primes: list[int] = field(init=False)
    tables: list[Tables] = field(init=False)
    plain_bits: int = field(init=False)
    kept_bits: int = field(init=False)
    margin_bits: int = field(init=False)
    _share: float = field(init=False)
    _delta: list[Words] = field(init=False)

    def __post_init__(self) -> None:
        if self.parameters.merge:
            raise SecureGBMError("the residue ring does not merge replies; use the ring seal with merge_replies")
        chosen = sealapi.CoeffModulus.Create(self.degree, list(self.parameters.coeff_bits))
        set_once = partial(object.__setattr__, self)
        set_once("primes", [int(modulus.value()) for modulus in chosen][:-1])
        set_once("tables", [tables(prime, self.degree) for prime in self.primes])
        set_once("plain_bits", self.parameters.plain_bits * (1 + self.joint))
        set_once("margin_bits", min(MARGIN_BITS, self.primes[0].bit_length() - 2 - self.plain_bits))
        set_once("kept_bits", self.plain_bits + self.margin_bits)
        delta, rest = divmod(self.modulus, 1 << self.plain_bits)
        set_once("_share", rest / (1 << self.plain_bits))
        set_once("_delta", [_with_quotient(delta % prime, prime) for prime in self.primes])

    @property
    def degree(self) -> int:
        """N."""
        return self.parameters.degree

    @property
    def modulus(self) -> int:
        """Q."""
        return math.prod(self.primes)

    @property
    def flood(self) -> int:
        """Sums are sent with a uniform error of up to this: with the rounding's, a quarter of what one unit is.

        A label party that hides numbers below the unit in its uploads reads little of them (`crypto.parameters.FLOOD`).
        """
        return max(0, (1 << self.margin_bits) // 4 - ROUNDING)

    def expand(self, seed: bytes) -> Words:
        """The uniform polynomial that a seed stands for, `(primes, N)`, in transformed order."""
        stream = Stream(seed)
        return np.stack([uniform(stream, prime, self.degree) for prime in self.primes])

    def encode(self, block: Ints) -> Words:
        """round(q m / t) mod each prime, `(primes, len(block))`, for |m| < 2^48."""
        size = np.abs(block).astype(np.uint64)
        small = np.rint(size * self._share).astype(np.uint64)
        out = np.empty((len(self.primes), len(block)), dtype=np.uint64)
        for row, prime, delta in zip(out, self.primes, self._delta, strict=True):
            _encode(size, small, block < 0, *delta, np.uint64(prime), row)
        return out

    def switch(self, x: Words) -> Words:
        """round(x 2^kept_bits / q), `(count,)` below 2^kept_bits, of residues x `(primes, count)`; overwrites x.

        The primes are dropped one after the other, and every time the rest is divided with rounding.
        """
        for last in range(len(self.primes) - 1, 0, -1):
            dropped = self.primes[last]
            for row, prime in zip(x[:last], self.primes, strict=False):
                _drop(row, x[last], np.uint64(dropped), *_inverse_of(dropped, prime), np.uint64(prime))
        out = np.empty(x.shape[1], dtype=np.uint64)
        _round(x[0], np.uint64((1 << (self.kept_bits + 65)) // self.primes[0]), np.uint64((1 << self.kept_bits) - 1), out)
        return out

    def pack(self, x: Words) -> bytes:
        """Residues `(primes, count)`, each prime with as many bits as it has."""
        return b"".join(pack(row, prime.bit_length()) for row, prime in zip(x, self.primes, strict=True))

    def packed_size(self, count: int) -> int:
        """Bytes of `count` packed numbers modulo q."""
        return sum(packed_size(count, prime.bit_length()) for prime in self.primes)

    def unpack(self, data: bytes, count: int) -> Words:
        """The inverse of `pack`, of so many bytes.

        Raises:
            SecureGBMError: If a number is not below its prime.
        """
        out, start = np.empty((len(self.primes), count), dtype=np.uint64), 0
        for row, prime in zip(out, self.primes, strict=True):
            size = packed_size(count, prime.bit_length())
            row[:] = unpack(data[start : start + size], prime.bit_length(), count)
            start += size
            if int(row.max(initial=0)) >= prime:
                raise SecureGBMError("a ciphertext holds a residue that is not below its prime; refuse this peer")
        return out


@lru_cache
def _inverse_of(dropped: int, prime: int) -> tuple[Words, Words]:
    """1 and 1/d mod the prime, and their Shoup quotients."""
    constants = np.array([1, pow(dropped, -1, prime)], dtype=np.uint64)
    return constants, shoup(constants, prime)


def _with_quotient(w: int, prime: int) -> Words:
    """`(2,)` a factor and its Shoup quotient."""
    return np.array([w, (w << 64) // prime], dtype=np.uint64)


@kernel
def _encode(size: Any, small: Any, negative: Any, delta: Any, quotient: Any, p: Any, out: Any) -> None:
    for j in range(len(size)):
        x = reduced(times(size[j], delta, quotient, p) + small[j], p)
        out[j] = x ^ ((x ^ reduced(p - x, p)) & (np.uint64(0) - np.uint64(negative[j])))  # p - x where it is negative


@kernel
def _drop(x: Any, last: Any, dropped: Any, constants: Any, quotients: Any, p: Any) -> None:
    """X = (X + d/2 - ((X + d/2) mod d)) / d for the dropped prime d, where X mod d is `last`."""
    half, four = dropped >> np.uint64(1), p << np.uint64(2)
    for j in range(len(x)):
        rest = min(last[j] + half, last[j] + half - dropped)
        even = x[j] + half + four - times(rest, constants[0], quotients[0], p)
        x[j] = reduced(times(even, constants[1], quotients[1], p), p)


@kernel
def _round(x: Any, ratio: Any, mask: Any, out: Any) -> None:
    for j in range(len(x)):
        out[j] = ((exact_high(x[j], ratio) + np.uint64(1)) >> np.uint64(1)) & mask


@kernel
def _pack(x: Any, bits: Any, out: Any) -> None:
    word, have, at = np.uint64(0), 0, 0
    for j in range(len(x)):
        word |= x[j] << np.uint64(have)
        have += bits
        if have >= 64:
            out[at] = word
            at += 1
            have -= 64
            word = x[j] >> np.uint64(bits - have) if have else np.uint64(0)
    if have:
        out[at] = word


@kernel
def _unpack(data: Any, bits: Any, out: Any) -> None:
    mask = (np.uint64(1) << np.uint64(bits)) - np.uint64(1)
    for j in range(len(out)):
        at, shift = (j * bits) >> 6, (j * bits) & 63
        word = data[at] >> np.uint64(shift)
        if shift + bits > 64:
            word |= data[at + 1] << np.uint64(64 - shift)
        out[j] = word & mask


def packed_size(count: int, bits: int) -> int:
    """Bytes of `count` packed numbers."""
    return -(-count * bits // 8)


def pack(x: Words, bits: int) -> bytes:
    """Numbers below 2^bits (bits < 64), lowest bit first and nothing between them."""
    out = np.zeros(-(-len(x) * bits // 64), dtype="<u8")
    _pack(x, bits, out)
    return out.tobytes()[: packed_size(len(x), bits)]


def unpack(data: bytes, bits: int, count: int) -> Words:
    """The inverse of `pack`."""
    out = np.empty(count, dtype=np.uint64)
    _unpack(np.frombuffer(data + bytes(-len(data) % 8), dtype="<u8"), bits, out)
    return out
