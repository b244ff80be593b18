"""Hidden sums over bins on the residue ring: the two faces of `crypto.sums`, shared among threads (no lock is held)."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from securegbm.crypto.packing import check_stride
from securegbm.crypto.parameters import BFVParameters
from securegbm.crypto.workers import shares
from securegbm.errors import ProtocolError, SecureGBMError
from securegbm.ring.feature import FeatureRing, Masks
from securegbm.ring.label import LabelRing
from securegbm.ring.residues import MARGIN_BITS, Ring

Ints = npt.NDArray[np.int64]
Entries = npt.NDArray[np.int32]

CHUNK = 64
"""Blocks of rows whose uploads are held in memory at a time (half a megabyte each)."""


Mode = Literal["pair", "joint", "counts"]
"""How gradients and hessians are hidden: two ciphertexts with one uniform half; one plaintext g + h t where the bits of both
fit; or, when all hessians are 1, gradients alone: the feature party counts rows."""


def mode_of(parameters: BFVParameters, constant: bool) -> Mode:
    """The mode that sends fewest bytes."""
    if constant:
        return "counts"
    return "joint" if 2 * parameters.plain_bits <= parameters.coeff_bits[0] - 2 - MARGIN_BITS else "pair"


def best_stride(n_rows: int, n_entries: int, ring: Ring, vectors: int = 2) -> int:
    """The stride that sends fewest bytes: uploads hold R = N / M numbers a row and vector, replies are N / R rows long.

    Args:
        n_rows: Rows in the request.
        n_entries: Sums asked for, per vector.
        ring: Constants of the parameters.
        vectors: Ciphertexts that share a uniform half.
    """
    row = vectors * sum(prime.bit_length() for prime in ring.primes) / 8
    ideal = np.sqrt(n_entries * ring.degree * ring.kept_bits / 8 / (row * max(n_rows, 1)))
    slots = 1 << max(0, round(float(np.log2(ideal))))
    return ring.degree // min(slots, 1 << (n_entries - 1).bit_length(), ring.degree)


class Threads:
    """`map` over so many threads (up to one: this one)."""

    def __init__(self, count: int) -> None:
        self.count = max(count, 1)
        self._pool = ThreadPoolExecutor(count) if count > 1 else None

    def map(self, function: Callable[..., Any], *items: Any) -> list[Any]:
        """Results of `function` over the items, in order."""
        return list((self._pool.map if self._pool else map)(function, *items))

    def close(self) -> None:
        """End the threads."""
        if self._pool:
            self._pool.shutdown()


class ResidueLabelSums:
    """The label party's face.

    Args:
        parameters: Agreed parameters.
        n_entries: Entries of the feature party.
        bits: Fractional bits, for the overflow guard.
        workers: Threads (0: this one).
        stride: Fixed rows per ciphertext; none chooses for the fewest bytes.
        constant: All hessians are 1, and the feature party may know it.
        ciphers: Keys of other feature parties of the run, by mode: the same are used, so that uploads can be shared.
    """

    def __init__(
        self,
        parameters: BFVParameters,
        n_entries: int,
        bits: int,
        workers: int = 0,
        stride: int | None = None,
        constant: bool = False,
        ciphers: dict[str, LabelRing] | None = None,
    ) -> None:
        self._size, self._bits, self._stride = n_entries, bits, stride
        self.mode = mode_of(parameters, constant)
        self._vectors = 2 if self.mode == "pair" else 1
        ciphers = {} if ciphers is None else ciphers
        if self.mode not in ciphers:
            ciphers[self.mode] = LabelRing(Ring(parameters, self.mode == "joint"), self._vectors)
        self.cipher = ciphers[self.mode]
        self.ring = self.cipher.ring
        self._threads = Threads(workers)

    def keys(self) -> list[bytes]:
        """The public key, and how the vectors are hidden."""
        return [self.cipher.public_key(), self.mode.encode()]

    def sharing(self, count: int) -> Hashable:
        """Uploads under one key and with one stride serve every feature party alike."""
        return self.cipher, self._stride or best_stride(count, self._size, self.ring, self._vectors)

    def hide(self, vectors: list[Ints]) -> tuple[dict[str, Any], list[bytes]]:
        """Fresh pairs of ciphertexts of blocks of `stride` rows.

        Raises:
            SecureGBMError: If a sum could overflow t.
        """
        width = self.ring.parameters.plain_bits
        for vector in vectors:
            total = 2 * int(np.abs(vector).sum())
            if total >= 1 << width or np.abs(vector).max() > 1 << self._bits:
                raise SecureGBMError("the sum of the gradients would overflow t; lower privacy_bits")
        count = len(vectors[0])
        if self.mode == "counts":
            if (vectors[1] != 1 << self._bits).any():
                raise SecureGBMError("hessians were said to be 1 and are not; this is a bug, report it")
            vectors = vectors[:1]
        if self.mode == "joint":
            vectors = [vectors[0] + (vectors[1] << width)]
        stride = self._stride or best_stride(count, self._size, self.ring, self._vectors)
        blocks = [[vector[start : start + stride] for vector in vectors] for start in range(0, count, stride)]
        return {"stride": stride}, self._threads.map(lambda block: self.cipher.encrypt(block, stride), blocks)

    def reveal(self, header: dict[str, Any], parts: list[bytes], n_vectors: int) -> list[Ints]:
        """Decrypt the targets of a reply.

        Raises:
            ProtocolError: If the number of ciphertexts is wrong or one has no noise budget.
        """
        stride = header["stride"]
        slots = self.ring.degree // stride
        expected = -(-self._size // slots) + (self.mode == "counts")
        if len(parts) != expected:
            raise ProtocolError(f"a reply has {len(parts)} ciphertexts, {expected} were expected")
        rows = np.frombuffer(b"", dtype="<i8")
        if self.mode == "counts":
            *parts, last = parts
            if len(last) != 8 * self._size:
                raise ProtocolError("a reply does not hold the counts that were asked for; the session ends")
            rows = np.frombuffer(last, dtype="<i8").astype(np.int64)
        counts = [min(slots, self._size - start) for start in range(0, self._size, slots)]
        found = self._threads.map(lambda part, count: self.cipher.decrypt(part, stride, count), parts, counts)
        sums = np.concatenate(found, axis=1)
        if self.mode == "counts":
            return [sums[0], rows << self._bits]
        if self.mode == "joint":
            width = self.ring.parameters.plain_bits
            low = (sums[0] << (64 - width)) >> (64 - width)
            return [low, (sums[0] - low) >> width]
        return list(sums)

    def close(self) -> None:
        """End the threads."""
        self._threads.close()


class ResidueFeatureSums:
    """The feature party's face.

    Args:
        parameters: Agreed parameters.
        keys: What the label party sent.
        n_entries: Entries of this party.
        workers: Threads (0: this one).
        cache_bytes: Memory for masks of row sets that come again.
        noise: Standard deviation of the noise added to every sum, in units of the integers.
    """

    def __init__(
        self,
        parameters: BFVParameters,
        keys: list[bytes],
        n_entries: int,
        workers: int = 0,
        cache_bytes: int = 1 << 30,
        noise: float = 0.0,
    ) -> None:
        self._mode = keys[1].decode("ascii", "replace") if len(keys) == 2 else ""
        if self._mode not in {mode_of(parameters, constant) for constant in (True, False)}:
            raise SecureGBMError("the keys do not fit the agreed parameters; compare both parties' configuration")
        if self._mode == "counts" and noise:
            raise SecureGBMError("counts of rows would get no noise; the label party's software is not ours, refuse it")
        self._vectors = 2 if self._mode == "pair" else 1
        self.ring, self._size = Ring(parameters, self._mode == "joint"), n_entries
        self.cipher = FeatureRing(self.ring, keys[0], self._vectors, noise)
        self._threads = Threads(workers)
        self._room = cache_bytes // (8 * self.ring.degree * len(self.ring.primes))
        self._cache: OrderedDict[tuple[bytes, int], list[Masks]] = OrderedDict()

    def add(self, header: dict[str, Any], parts: list[bytes], entries: Entries, key: bytes | None) -> list[bytes]:
        """Multiply, add, sanitise.

        Raises:
            SecureGBMError: If the request does not fit the row set or the parameters.
        """
        ring, cipher, stride = self.ring, self.cipher, int(header.get("stride", 0))
        check_stride(stride, ring.degree)
        blocks, slots = -(-len(entries) // stride), ring.degree // stride
        if len(parts) != blocks:
            raise SecureGBMError(f"{len(parts)} ciphertexts arrived for {blocks} blocks of rows; refuse this peer")
        outputs = -(-self._size // slots)
        seconds = np.zeros((outputs, len(ring.primes), ring.degree), dtype=np.uint64)
        firsts = np.zeros((outputs, slots, self._vectors * len(ring.primes)), dtype=np.uint64)
        held = self._masks(entries, outputs, stride, key)
        for number, start in enumerate(range(0, blocks, CHUNK)):
            rows = [entries[block * stride : (block + 1) * stride] for block in range(start, min(blocks, start + CHUNK))]
            loads = [(part, len(own), stride) for part, own in zip(parts[start : start + CHUNK], rows, strict=True)]
            loaded = self._threads.map(lambda load: cipher.load(*load), loads)
            for own, (_, first) in zip(rows, loaded, strict=True):
                cipher.gather(own, first, firsts)
            uploads = np.stack([uniform for uniform, _ in loaded])
            masks = held[number] if held else cipher.masks(entries[start * stride :][: CHUNK * stride], outputs, stride)
            runs = [(masks, uploads, run, seconds, held is not None) for run in shares(outputs, self._threads.count)]
            self._threads.map(lambda run: cipher.multiply(*run), runs)
            masks.filled = held is not None
        counts = [min(slots, self._size - start) for start in range(0, self._size, slots)]
        replies = self._threads.map(lambda i: cipher.reply(seconds[i], firsts[i], stride, counts[i]), range(outputs))
        if self._mode == "counts":
            replies.append(np.bincount(entries.ravel() + 1, minlength=self._size + 1)[1:].astype("<i8").tobytes())
        return replies

    def _masks(self, entries: Entries, outputs: int, stride: int, key: bytes | None) -> list[Masks] | None:
        """The masks of a row set that comes again, if there is room for them."""
        if key is None:
            return None
        name = (key, stride)
        if name not in self._cache:
            step = CHUNK * stride
            made = [
                self.cipher.masks(entries[start : start + step], outputs, stride) for start in range(0, len(entries), step)
            ]
            needed = sum(int(masks.number[-1]) + 1 for masks in made)
            if needed > self._room:
                return None
            held = [len(masks.kept) for other in self._cache.values() for masks in other]
            while self._cache and sum(held) + needed > self._room:
                self._cache.popitem(last=False)
                held = [len(masks.kept) for other in self._cache.values() for masks in other]
            for masks in made:
                masks.kept = np.empty((int(masks.number[-1]) + 1, len(self.ring.primes), self.ring.degree), dtype=np.uint64)
            self._cache[name] = made
        self._cache.move_to_end(name)
        return self._cache[name]

    def close(self) -> None:
        """End the threads."""
        self._threads.close()
