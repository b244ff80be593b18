"""The label party's half of the residue ring: pairs of ciphertexts that share their uniform half, and the sums of replies.

A pair hides gradients under one key and hessians under another: (a, -a s_g + e_g + m_g q/t, -a s_h + e_h + m_h q/t). One a
for several keys is as hard to tell from random as one key alone, by a hybrid over the keys (Peikert, Vaikuntanathan and
Waters, CRYPTO 2008, section 7.2). So the feature party multiplies one uniform half instead of two, and sends one back.
"""

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from securegbm.compiled import kernel
from securegbm.errors import ProtocolError
from securegbm.ring.modular import Words, reduced, shoup, times
from securegbm.ring.residues import Ring, packed_size, unpack
from securegbm.ring.stream import SEED_BYTES, Stream, errors, ternary
from securegbm.ring.transform import Tables, forward, inverse

Ints = npt.NDArray[np.int64]


@kernel
def _hide(product: Any, error: Any, message: Any, p: Any, out: Any) -> None:
    for j in range(len(out)):
        x = np.uint64(np.int64(p) + error[j]) + p - product[j]
        out[j] = reduced(x + message[j], p)


@kernel
def _scaled(x: Any, factor: Any, quotient: Any, p: Any, out: Any) -> None:
    for j in range(len(x)):
        out[j] = times(x[j], factor[j], quotient[j], p)


@kernel
def _decrypt(x: Any, key: Any, out: Any) -> None:
    """Add the product's coefficients at targets; x is `(2R, M)` of the reply, key `(R, M)` in the place of a mask."""
    slots, stride = key.shape
    for r in range(len(out)):
        for b in range(slots):
            place, s, total = x[slots - b + r], key[b], np.uint64(0)
            for i in range(stride):
                total += s[i] * place[i]
            out[r] += total


class LabelRing:
    """Encrypts pairs of vectors and decrypts the sums of their replies.

    Args:
        ring: Constants of the agreed parameters.
        vectors: Vectors that share their uniform half: two (gradients, hessians), or one.
        secrets: A ternary key for each, `(N,)`; drawn when not given.
    """

    def __init__(self, ring: Ring, vectors: int = 2, secrets: list[Ints] | None = None) -> None:
        self.ring, self._vectors, self._stream = ring, vectors, Stream()
        self._secret = secrets or [ternary(self._stream, ring.degree) for _ in range(vectors)]
        self._turned = [
            [self._transformed(secret, prime, table) for prime, table in zip(ring.primes, ring.tables, strict=True)]
            for secret in self._secret
        ]
        self._laid: dict[int, list[Words]] = {}

    @staticmethod
    def _transformed(secret: Ints, prime: int, table: Tables) -> tuple[Words, Words]:
        x = (secret % prime).astype(np.uint64)
        forward(x, table, np.empty_like(x))
        return x, shoup(x, prime)

    def public_key(self) -> bytes:
        """Encryptions of zero under each key that share their uniform half, in the form of an upload of stride N."""
        zero = np.zeros(self.ring.degree, dtype=np.int64)
        return self.encrypt([zero] * self._vectors, self.ring.degree)

    def encrypt(self, blocks: list[Ints], stride: int) -> bytes:
        """Fresh ciphertexts of one block of rows, one per vector.

        Only the coefficients that a sum over these rows can need are written: d M + i for rows i and slots d.

        Args:
            blocks: Per vector `(rows,)` integers, at most `stride`.
            stride: M.
        """
        ring, rows = self.ring, len(blocks[0])
        seed = os.urandom(SEED_BYTES)
        uniform, turned, parts = ring.expand(seed), np.empty(ring.degree, dtype=np.uint64), [seed]
        for block, secret in zip(blocks, self._turned, strict=True):
            message = np.zeros((len(ring.primes), ring.degree), dtype=np.uint64)
            message[:, :rows] = ring.encode(block)
            error = errors(self._stream, ring.degree)
            out = np.empty_like(message)
            for number, (prime, table) in enumerate(zip(ring.primes, ring.tables, strict=True)):
                product = np.empty(ring.degree, dtype=np.uint64)
                _scaled(uniform[number], *secret[number], np.uint64(prime), product)
                inverse(product, table, turned)
                _hide(product, error, message[number], np.uint64(prime), out[number])
            needed = out.reshape(len(out), -1, stride)[:, :, :rows].transpose(0, 2, 1)
            parts.append(ring.pack(np.ascontiguousarray(needed).reshape(len(out), -1)))
        return b"".join(parts)

    def decrypt(self, reply: bytes, stride: int, count: int) -> Ints:
        """The sums in a reply.

        Args:
            reply: The second polynomial, then per vector the first ones at `count` targets.
            stride: M.
            count: Targets in use, at most N / M.

        Returns:
            `(vectors, count)` sums.

        Raises:
            ProtocolError: If the reply is no ciphertext, or a sum's noise could have changed it.
        """
        signed = self.noisy(reply, stride, count)
        step = 1 << self.ring.margin_bits
        found = (signed + step // 2) >> self.ring.margin_bits
        if int(np.abs(signed - found * step).max(initial=0)) > step // 4:
            raise ProtocolError("a reply has no noise budget left; both parties must use the same parameters")
        most = 1 << (self.ring.plain_bits - 1)
        return np.where(found == most, -most, found)

    def noisy(self, reply: bytes, stride: int, count: int) -> Ints:
        """The sums of `decrypt` times 2^margin_bits, with their noise."""
        ring, bits = self.ring, self.ring.kept_bits
        size = ring.degree + self._vectors * count
        if len(reply) != packed_size(size, bits):
            raise ProtocolError("a reply does not fit the agreed parameters; compare both parties' configuration")
        numbers = unpack(reply, bits, size)
        half = numbers[: ring.degree].reshape(-1, stride)
        wide = np.concatenate([np.uint64(0) - half, half])
        sums = numbers[ring.degree :].reshape(self._vectors, count).copy()
        for row, key in zip(sums, self._key(stride), strict=True):
            _decrypt(wide, key, row)
        return (sums << np.uint64(64 - bits)).view(np.int64) >> np.int64(64 - bits)

    def _key(self, stride: int) -> list[Words]:
        """Per key `(R, M)` its coefficients of x^(b M - i)."""
        if stride not in self._laid:
            place = np.arange(0, self.ring.degree, stride)[:, None] - np.arange(stride)
            self._laid[stride] = [np.where(place < 0, -s[place], s[place]).astype(np.uint64) for s in self._secret]
        return self._laid[stride]
