"""The feature party's half of the residue ring: sums over bins of what it cannot read, and replies that say no more.

A reply holds the whole second polynomial but of the first ones only the coefficients at targets: nothing else is decided
by it. Before it leaves, a fresh public-key encryption of zero is added, and both are rounded from q to 2^kept_bits, which
drops the noise of the masks (see `crypto.feature_cipher` for what happens without either); then every sum gets a uniform
error below its unit.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from securegbm.crypto.noise import discrete_gaussian
from securegbm.errors import SecureGBMError
from securegbm.ring.modular import Words, shoup
from securegbm.ring.products import bucket, gather, multiply, spread
from securegbm.ring.residues import Ring, pack
from securegbm.ring.sanitising import sanitise
from securegbm.ring.stream import SEED_BYTES, Stream, errors, ternary
from securegbm.ring.transform import forward

Ints = npt.NDArray[np.int64]
Entries = npt.NDArray[np.int32]


@dataclass
class Masks:
    """Masks of some blocks of rows: where their ones are, and their transforms when they are kept."""

    starts: Ints
    positions: Entries
    number: Ints
    kept: Words
    filled: bool = False


class FeatureRing:
    """Sums hidden vectors over bins.

    Args:
        ring: Constants of the agreed parameters.
        public_key: The label party's.
        vectors: Vectors of an upload.
        noise: Standard deviation of the noise added to every sum, in units of the integers.
    """

    def __init__(self, ring: Ring, public_key: bytes, vectors: int = 2, noise: float = 0.0) -> None:
        self.ring, self._vectors, self._noise, self._stream = ring, vectors, noise, Stream()
        self._primes = np.array(ring.primes, dtype=np.uint64)
        self._roots = np.stack([table.forward for table in ring.tables])
        self._inverses = np.stack([table.inverse for table in ring.tables])
        self._scales = np.stack([table.scale for table in ring.tables])
        self._powers = np.stack([table.powers for table in ring.tables])
        lifts = [np.array([1, (1 << 30) % p, (1 << 60) % p], dtype=np.uint64) for p in ring.primes]
        self._lifts = np.stack([np.concatenate([x, shoup(x, p)]) for x, p in zip(lifts, ring.primes, strict=True)])
        uniform, first = self.load(public_key, ring.degree, ring.degree)
        key = np.concatenate([uniform, first[:, 0].T]).reshape(1 + vectors, len(ring.primes), -1)
        turned = np.empty(ring.degree, dtype=np.uint64)
        for polynomial in key[1:]:
            for x, table in zip(polynomial, ring.tables, strict=True):
                forward(x, table, turned)
        self._key = key
        self._quotients = np.stack(
            [np.stack([shoup(x, p) for x, p in zip(polynomial, ring.primes, strict=True)]) for polynomial in key]
        )

    def load(self, data: bytes, rows: int, stride: int) -> tuple[Words, Words]:
        """The uniform half, transformed, `(primes, N)`, and the others, `(rows, R, lanes)`: vectors times primes.

        Raises:
            SecureGBMError: If the upload does not fit the parameters.
        """
        ring, slots, primes = self.ring, self.ring.degree // stride, len(self._primes)
        size = ring.packed_size(rows * slots)
        if len(data) != SEED_BYTES + self._vectors * size:
            raise SecureGBMError(
                f"a ciphertext or key of the other party does not fit the agreed parameters ({len(data)} bytes instead of "
                f"{SEED_BYTES + self._vectors * size}); compare both parties' configuration"
            )
        firsts = np.empty((rows, slots, self._vectors * primes), dtype=np.uint64)
        for vector in range(self._vectors):
            start = SEED_BYTES + vector * size
            numbers = ring.unpack(data[start : start + size], rows * slots).reshape(primes, rows, slots)
            firsts[:, :, vector * primes : (vector + 1) * primes] = numbers.transpose(1, 2, 0)
        return ring.expand(data[:SEED_BYTES]), firsts

    def masks(self, entries: Entries, outputs: int, stride: int) -> Masks:
        """Where the ones of the masks of some blocks are."""
        blocks = -(-len(entries) // stride)
        starts = np.empty(outputs * blocks + 1, dtype=np.int64)
        positions = np.empty(entries.size, dtype=np.int32)
        bucket(entries, stride, self.ring.degree // stride, outputs, starts, positions)
        number = np.cumsum(np.diff(starts) > 0) - 1
        return Masks(starts, positions, number, np.empty((0, len(self._primes), self.ring.degree), dtype=np.uint64))

    def multiply(self, masks: Masks, uploads: Words, outputs: range, sums: Words, keep: bool) -> None:
        """Add the products of some outputs to `sums`, `(outputs, primes, N)`, transformed."""
        mode = 2 if masks.filled else int(keep)
        multiply(
            masks.positions, masks.starts, uploads, outputs.start, outputs.stop, self._primes, self._roots, self._powers,
            self.ring.tables[0].rows, self._lifts, sums, masks.kept, masks.number, mode,
        )  # fmt: skip

    def gather(self, entries: Entries, firsts: Words, sums: Words) -> None:
        """Add one block's coefficients at targets to `sums`, `(outputs, R, lanes)`."""
        rows, slots, lanes = firsts.shape
        primes = np.tile(self._primes, self._vectors)
        wide = np.empty((rows, 2 * slots, lanes), dtype=np.uint64)
        spread(firsts, primes, wide)
        gather(entries, slots, wide.reshape(rows, -1), np.tile(primes, slots), sums.reshape(len(sums), -1))

    def reply(self, second: Words, firsts: Words, stride: int, count: int) -> bytes:
        """A sanitised reply.

        Args:
            second: `(primes, N)` transformed sum of the second polynomials.
            firsts: `(R, lanes)` sums at targets.
            stride: M.
            count: Targets in use.
        """
        ring, size = self.ring, self._vectors * count
        used, error = self._randomness()
        noise = discrete_gaussian(self._noise, size)
        if ring.joint:
            noise += discrete_gaussian(self._noise, count) << ring.parameters.plain_bits
        added = ring.encode(noise).reshape(-1, self._vectors, count)
        error_at = self._errors(size).reshape(self._vectors, count)
        out = np.empty((len(ring.primes), ring.degree + size), dtype=np.uint64)
        sanitise(
            used, error, error_at, self._key, self._quotients, second, firsts, added, self._primes, self._roots,
            self._inverses, self._scales, ring.tables[0].rows, stride, out,
        )  # fmt: skip
        kept, flood = ring.switch(out), np.uint64(ring.flood)
        kept[ring.degree :] += self._stream.words(size) % (flood + flood + np.uint64(1)) - flood
        return pack(kept & np.uint64((1 << ring.kept_bits) - 1), ring.kept_bits)

    def _randomness(self) -> tuple[Ints, Ints]:
        """What makes an encryption of zero: the ternary polynomial and the second polynomial's error."""
        return ternary(self._stream, self.ring.degree), errors(self._stream, self.ring.degree)

    def _errors(self, count: int) -> Ints:
        return errors(self._stream, count)
