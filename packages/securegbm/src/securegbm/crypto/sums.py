"""Sums of hidden integers over bins, in two kinds: under BFV, and in the clear (for tests and as a baseline).

Both kinds have the same two faces. The label party turns two integer vectors into parts of a message and the parts of
the reply into sums; the feature party turns the one into the other.
"""

from collections.abc import Hashable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from securegbm.crypto.noise import discrete_gaussian
from securegbm.crypto.packing import adaptive_stride, check_stride, merge_factor
from securegbm.crypto.parameters import BFVParameters
from securegbm.crypto.workers import Workers, shares
from securegbm.errors import ProtocolError, SecureGBMError

Ints = npt.NDArray[np.int64]
Entries = npt.NDArray[np.int32]

FEW_OUTPUTS = 8
"""Up to so many reply polynomials, processes share the work by vector (each builds all masks), above by output (each
loads all ciphertexts): loading the ciphertexts of a block costs as much as eight masks."""


class LabelSums(Protocol):
    """The label party's face."""

    def keys(self) -> list[bytes]:
        """What the feature party needs, once."""
        ...

    def sharing(self, count: int) -> Hashable:
        """Equal where what `hide` makes of `count` rows may be sent to either feature party."""
        ...

    def hide(self, vectors: list[Ints]) -> tuple[dict[str, Any], list[bytes]]:
        """Header and parts that carry the vectors."""
        ...

    def reveal(self, header: dict[str, Any], parts: list[bytes], n_vectors: int) -> list[Ints]:
        """The sums in a reply, `(entries,)` per vector."""
        ...

    def close(self) -> None:
        """Let go of processes."""
        ...


class FeatureSums(Protocol):
    """The feature party's face."""

    def add(self, header: dict[str, Any], parts: list[bytes], entries: Entries, key: bytes | None) -> list[bytes]:
        """The reply: sums over the rows of each entry; `key` names a row set that may come again."""
        ...

    def close(self) -> None:
        """Let go of processes."""
        ...


class PlainLabelSums:
    """Integers in the clear, summed over `n_entries` entries. Nothing is hidden from the feature party."""

    def __init__(self, n_entries: int) -> None:
        self._size = n_entries

    def keys(self) -> list[bytes]:
        """None are needed."""
        return []

    def sharing(self, count: int) -> Hashable:
        """The same integers for all."""
        return "plain"

    def hide(self, vectors: list[Ints]) -> tuple[dict[str, Any], list[bytes]]:
        """The integers themselves."""
        return {}, [vector.astype("<i8").tobytes() for vector in vectors]

    def reveal(self, header: dict[str, Any], parts: list[bytes], n_vectors: int) -> list[Ints]:
        """The sums themselves."""
        if len(parts) != n_vectors or any(len(part) != 8 * self._size for part in parts):
            raise ProtocolError("a reply does not hold the sums that were asked for; the session ends")
        return [np.frombuffer(part, dtype="<i8").astype(np.int64) for part in parts]

    def close(self) -> None:
        """Nothing to let go of."""


class PlainFeatureSums:
    """Sums in the clear over `n_entries` entries."""

    def __init__(self, n_entries: int, noise: float = 0.0) -> None:
        self._size, self._noise = n_entries, noise

    def add(self, header: dict[str, Any], parts: list[bytes], entries: Entries, key: bytes | None) -> list[bytes]:
        """Sum in one pass over the rows."""
        from securegbm.trees.histograms import sums_of_entries

        vectors = []
        for part in parts:
            if len(part) != 8 * len(entries):
                raise SecureGBMError(f"{len(part)} bytes arrived for {len(entries)} rows; refuse this peer")
            vectors.append(np.frombuffer(part, dtype="<i8"))
            if max(int(vectors[-1].max(initial=0)), -int(vectors[-1].min(initial=0))) > 1 << 23:
                raise SecureGBMError("numbers arrived that are no gradients of at most 23 bits; refuse this peer")
        if len(vectors) != 2:
            raise SecureGBMError(f"{len(vectors)} vectors arrived instead of gradients and hessians; refuse this peer")
        found = sums_of_entries(entries, self._size, (vectors[0], vectors[1]))
        return [(total + discrete_gaussian(self._noise, self._size)).tobytes() for total in found]

    def close(self) -> None:
        """Nothing to let go of."""


class EncryptedLabelSums:
    """Sums under BFV, the label party's face.

    Args:
        parameters: Agreed parameters.
        n_entries: Entries of the feature party.
        bits: Fractional bits, for the overflow guard.
        workers: Processes (0: this one).
        stride: Fixed rows per ciphertext; none chooses for the fewest bytes.
    """

    def __init__(
        self, parameters: BFVParameters, n_entries: int, bits: int, workers: int = 0, stride: int | None = None
    ) -> None:
        from securegbm.crypto.label_cipher import LabelCipher

        self.parameters, self._size, self._bits, self._stride = parameters, n_entries, bits, stride
        cipher = LabelCipher(parameters)
        self._keys = [cipher.public_key, cipher.galois_keys]
        self._workers = Workers(workers, LabelCipher, parameters, cipher.secret_key())

    def keys(self) -> list[bytes]:
        """Public key and, when replies are merged, Galois keys."""
        return self._keys

    def sharing(self, count: int) -> Hashable:
        """Every feature party has a key of its own."""
        return self

    def hide(self, vectors: list[Ints]) -> tuple[dict[str, Any], list[bytes]]:
        """Fresh ciphertexts of blocks of `stride` rows.

        Raises:
            SecureGBMError: If a sum could overflow t.
        """
        parameters = self.parameters
        for vector in vectors:
            if 2 * int(np.abs(vector).sum()) >= parameters.plain_modulus or np.abs(vector).max() > 1 << self._bits:
                raise SecureGBMError("the sum of the gradients would overflow t; lower privacy_bits")
        count = len(vectors[0])
        stride = self._stride or adaptive_stride(count, self._size, parameters.degree, parameters.merge)
        blocks = [vector[start : start + stride] for vector in vectors for start in range(0, count, stride)]
        runs = shares(len(blocks), self._workers.count)
        parts = self._workers.map("encrypt", [([blocks[i] for i in run],) for run in runs])
        return {"stride": stride}, [part for run in parts for part in run]

    def reveal(self, header: dict[str, Any], parts: list[bytes], n_vectors: int) -> list[Ints]:
        """Decrypt the targets of a reply.

        Raises:
            ProtocolError: If the number of ciphertexts is wrong or one has no noise budget.
        """
        stride, degree = header["stride"], self.parameters.degree
        merge = merge_factor(self._size, stride, degree) if self.parameters.merge else 1
        per_vector = -(-self._size * stride // (degree * merge))
        if len(parts) != n_vectors * per_vector:
            raise ProtocolError(f"a reply has {len(parts)} ciphertexts, {n_vectors * per_vector} were expected")
        out = []
        for number in range(n_vectors):
            own = parts[number * per_vector : (number + 1) * per_vector]
            calls = [
                ([own[i] for i in run], run.start, self._size, stride, merge)
                for run in shares(per_vector, self._workers.count)
            ]
            found = self._workers.map("decrypt", calls)
            out.append(np.concatenate(found))
        return out

    def close(self) -> None:
        """End the worker processes."""
        self._workers.close()


class EncryptedFeatureSums:
    """Sums under BFV, the feature party's face.

    Args:
        parameters: Agreed parameters.
        keys: What the label party sent.
        n_entries: Entries of this party.
        workers: Processes (0: this one).
        cache_bytes: Memory for cached masks, over all processes.
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
        from securegbm.crypto.feature_cipher import PREPARED, FeatureCipher

        self._prepared = PREPARED
        if len(keys) != 2 or not keys[0] or bool(keys[1]) != parameters.merge:
            raise SecureGBMError("the keys do not fit the agreed parameters; compare both parties' configuration")
        self.parameters, self._size = parameters, n_entries
        share = cache_bytes // max(workers, 1)
        self._workers = Workers(workers, FeatureCipher, parameters, keys[0], keys[1], share, noise)

    def add(self, header: dict[str, Any], parts: list[bytes], entries: Entries, key: bytes | None) -> list[bytes]:
        """Multiply, add, sanitise.

        Raises:
            SecureGBMError: If the request does not fit the row set or the parameters.
        """
        stride, degree = int(header.get("stride", 0)), self.parameters.degree
        check_stride(stride, degree)
        blocks = -(-len(entries) // stride)
        if len(parts) != 2 * blocks:
            raise SecureGBMError(f"{len(parts)} ciphertexts arrived for {2 * blocks} blocks of rows; refuse this peer")
        merge = merge_factor(self._size, stride, degree) if self.parameters.merge else 1
        outputs = -(-self._size * stride // degree)
        groups = [[parts[:blocks], parts[blocks:]]]
        if self._workers.count > 1 and outputs <= FEW_OUTPUTS:
            groups = [[vector] for vector in groups[0]]
        runs = shares(outputs, self._workers.count // len(groups), merge)
        calls = [(group, entries, self._size, stride, run, key) for group in groups for run in runs]
        found = self._workers.map("histogram", calls)
        self._workers.meanwhile("prepare", self._prepared)
        replies: list[list[bytes]] = [[], []]
        for call, vectors in enumerate(found):
            for number, made in enumerate(vectors, call // len(runs)):
                replies[number] += made
        return replies[0] + replies[1]

    def close(self) -> None:
        """End the worker processes."""
        self._workers.close()
