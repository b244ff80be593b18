"""Random numbers of the encryption: AES-256 in counter mode (OpenSSL through `cryptography`), keyed by the system.

Secret numbers come from a stream whose key is 32 bytes of `os.urandom`, drawn anew for every object and after a fork, and
which never leaves the process. The uniform halves of ciphertexts come from a stream whose key is sent along instead of
them (32 bytes for 123 kB, as in FrodoKEM and TFHE-rs): they are public, and only have to look uniform to whoever did not
choose the key. AES runs in constant time on the processor's own instructions, and so do the samplers: no branch or
address depends on a secret number. (Rejection looks at public streams and at drawn numbers that are thrown away.)
"""

import os
import threading
from typing import Any

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from securegbm.compiled import kernel
from securegbm.ring.modular import Words

Ints = npt.NDArray[np.int64]

SEED_BYTES = 32


class Stream:
    """64-bit words of a keyed generator.

    Args:
        seed: 32 bytes; none takes them from the operating system, and again in a forked process.
    """

    def __init__(self, seed: bytes | None = None) -> None:
        self._seed, self._lock = seed, threading.Lock()
        self._begin()

    def _begin(self) -> None:
        key = os.urandom(SEED_BYTES) if self._seed is None else self._seed
        self._process = os.getpid()
        self._cipher = Cipher(algorithms.AES256(key), modes.CTR(bytes(16))).encryptor()

    def words(self, count: int) -> Words:
        """The next `count` words."""
        with self._lock:
            if self._seed is None and self._process != os.getpid():
                self._begin()
            return np.frombuffer(self._cipher.update(bytes(8 * count)), dtype="<u8")


def uniform(stream: Stream, bound: int, count: int) -> Words:
    """`count` numbers uniform in [0, bound), by rejection; the same ones for the same public stream."""
    spare = np.uint64(64 - (bound - 1).bit_length())
    found = stream.words(count) >> spare
    while True:
        found = found[found < np.uint64(bound)] if int(found.max(initial=0)) >= bound else found
        if len(found) >= count:
            return found[:count]
        found = np.concatenate([found, stream.words(count - len(found)) >> spare])


@kernel
def _ternary(words: Any, out: Any) -> None:
    third = np.uint64(0x5555555555555555)
    for i in range(len(words)):
        out[i] = np.int64(words[i] > third) + np.int64(words[i] > third + third) - np.int64(1)


@kernel
def _errors(words: Any, out: Any) -> None:
    """The number of ones among 42 bits, less 21."""
    twos, fours, eights = np.uint64(0x5555555555555555), np.uint64(0x3333333333333333), np.uint64(0x0F0F0F0F0F0F0F0F)
    for i in range(len(words)):
        x = words[i] >> np.uint64(22)
        x = x - ((x >> np.uint64(1)) & twos)
        x = (x & fours) + ((x >> np.uint64(2)) & fours)
        x = (x + (x >> np.uint64(4))) & eights
        out[i] = np.int64((x * np.uint64(0x0101010101010101)) >> np.uint64(56)) - np.int64(21)


def ternary(stream: Stream, count: int) -> Ints:
    """`count` numbers uniform in {-1, 0, 1}, up to 2^-63 (secret keys and the randomness of public-key encryption)."""
    out = np.empty(count, dtype=np.int64)
    _ternary(stream.words(count), out)
    return out


def errors(stream: Stream, count: int) -> Ints:
    """`count` errors from the centred binomial distribution of 42 coins, sigma = 3.24, as SEAL draws them."""
    out = np.empty(count, dtype=np.int64)
    _errors(stream.words(count), out)
    return out
