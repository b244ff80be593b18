"""Residues in and out of SEAL's own objects, so that SEAL can be held against the compiled ring (tests only)."""

import numpy as np
import pyarrow as pa
import tenseal.sealapi as sealapi


class SealForm:
    """Reads and writes SEAL ciphertexts of one label cipher."""

    def __init__(self, cipher):
        self.cipher, self.seal = cipher, cipher.ring
        self.degree = self.seal.parameters.degree
        created = sealapi.CoeffModulus.Create(self.degree, list(self.seal.parameters.coeff_bits))
        self.primes = [int(modulus.value()) for modulus in created][:-1]
        loaded = self.seal.load(sealapi.Ciphertext(), cipher.encrypt([np.arange(3)])[0])
        raw = self._inflated(self.seal.scratch.dump(loaded))
        self._head = raw[: len(raw) - 16 * self.degree * len(self.primes)]

    @staticmethod
    def _inflated(saved):
        return pa.CompressedInputStream(pa.BufferReader(saved[16:]), "zstd").read()

    def residues(self, saved, primes):
        """`(2, primes, N)` of a saved ciphertext, seeded or not."""
        loaded = self.seal.load(sealapi.Ciphertext(), saved)
        raw = self._inflated(self.seal.scratch.dump(loaded))
        return np.frombuffer(raw[-16 * self.degree * primes :], dtype="<u8").reshape(2, primes, self.degree).copy()

    def saved(self, residues):
        """A fresh ciphertext as SEAL saves it, uncompressed."""
        body = self._head + np.ascontiguousarray(residues).astype("<u8").tobytes()
        return self.seal.head(16 + len(body)) + body

    def secret(self):
        """SEAL's secret key `(N,)`: (0, Delta) decrypts to it."""
        residues = np.zeros((2, len(self.primes), self.degree), dtype=np.uint64)
        delta = int(np.prod(np.array(self.primes, dtype=object))) // self.seal.parameters.plain_modulus
        residues[1, :, 0] = [delta % prime for prime in self.primes]
        return self.cipher.polynomial(self.saved(residues))
