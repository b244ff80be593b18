"""The feature party's half of the encryption: sums by masks, and replies that betray nothing but the sums (spec 3.3).

Unsanitised, a reply's noise is e * P with e known to the label party: it could divide and read every row's bin. So
every reply gets, in this order: uniform randomness on all coefficients that are not targets, a fresh public-key
encryption of zero, a switch to a smaller modulus that drops the noise of the masks below rounding, and uniform errors
below the unit of a sum, because that modulus is wider than sums need.
"""

import os
from collections import OrderedDict
from typing import Any

import numpy as np
import numpy.typing as npt
import tenseal.sealapi as sealapi

from securegbm.crypto.noise import discrete_gaussian
from securegbm.crypto.packing import mask_positions, target_positions
from securegbm.crypto.parameters import FLOOD, BFVParameters
from securegbm.crypto.seal import Ring
from securegbm.errors import SecureGBMError

Ints = npt.NDArray[np.int64]
Entries = npt.NDArray[np.signedinteger[Any]]
Masks = list[tuple[int, Any]]

PREPARED = 16
"""Most encryptions of zero that are kept ready (a quarter of a megabyte each)."""


class FeatureCipher:
    """Multiplies ciphertexts by masks of bins and sanitises the sums.

    Args:
        parameters: Agreed parameters.
        public_key: The label party's saved public key.
        galois_keys: Its saved Galois keys; needed when replies are merged.
        cache_bytes: Memory for masks of row sets that come again (the root's).
        noise: Standard deviation of the noise added to every sum, in units of the integers.
    """

    def __init__(
        self,
        parameters: BFVParameters,
        public_key: bytes,
        galois_keys: bytes = b"",
        cache_bytes: int = 1 << 29,
        noise: float = 0.0,
    ) -> None:
        self._noise = noise
        self.ring = Ring(parameters)
        self._public = sealapi.Encryptor(self.ring.context, self.ring.load(sealapi.PublicKey(), public_key))
        self._galois = self.ring.load(sealapi.GaloisKeys(), galois_keys) if parameters.merge else None
        self._first = self.ring.context.first_parms_id()
        self._levels = len(parameters.coeff_bits) - 2
        data_primes = len(parameters.coeff_bits) - 1
        self._room = cache_bytes // (parameters.degree * 8 * data_primes)
        self._cache: OrderedDict[tuple[bytes, int, int, int], list[Masks]] = OrderedDict()
        self._zeros: list[Any] = []
        self._kept = int(sealapi.CoeffModulus.Create(parameters.degree, list(parameters.coeff_bits))[0].value())

    def load(self, data: bytes) -> Any:
        """A fresh ciphertext of the label party in NTT form; anything else is refused."""
        cipher = self.ring.load(sealapi.Ciphertext(), data)
        if cipher.size() != 2 or cipher.is_transparent() or cipher.is_ntt_form() or cipher.parms_id() != self._first:
            raise SecureGBMError("a ciphertext is not a fresh encryption under the agreed parameters; refuse this peer")
        self.ring.evaluator.transform_to_ntt_inplace(cipher)
        return cipher

    def histogram(
        self,
        vectors: list[list[bytes]],
        entries: Entries,
        n_entries: int,
        stride: int,
        outputs: range,
        cache_key: bytes | None = None,
        sanitise: bool = True,
    ) -> list[list[bytes]]:
        """Encrypted sums of each vector over the rows of each entry, for some of the output polynomials.

        Args:
            vectors: Per vector (g, h) its ciphertexts of `stride` rows each.
            entries: `(rows, features)` entry of each row's bin per feature.
            n_entries: Entries in all.
            stride: M.
            outputs: Which output polynomials to make; a multiple of the merge factor unless it is the last ones.
            cache_key: Names the row set, when it may come again.
            sanitise: Never switch it off outside the test that shows the attack.

        Returns:
            Per vector the saved replies.
        """
        evaluator = self.ring.evaluator
        sums: list[dict[int, Any]] = [{} for _ in vectors]
        product = sealapi.Ciphertext()
        for masks, *block in zip(self._masks(entries, stride, outputs, cache_key), *vectors, strict=True):
            for data, total in zip(block, sums, strict=True):
                cipher = self.load(data)
                for output, mask in masks:
                    if output in total:
                        evaluator.multiply_plain(cipher, mask, product)
                        evaluator.add_inplace(total[output], product)
                    else:
                        total[output] = sealapi.Ciphertext()
                        evaluator.multiply_plain(cipher, mask, total[output])
        return [self._replies(total, n_entries, stride, outputs, sanitise) for total in sums]

    def _masks(self, entries: Entries, stride: int, outputs: range, key: bytes | None) -> Any:
        name = (key or b"", stride, outputs.start, outputs.stop)
        if key is not None and name in self._cache:
            self._cache.move_to_end(name)
            yield from self._cache[name]
            return
        degree, minus_one = self.ring.parameters.degree, self.ring.parameters.plain_modulus - 1
        kept: list[Masks] | None = [] if key is not None else None
        n_kept = 0
        for start in range(0, len(entries), stride):
            masks: Masks = []
            for output, plus, minus in mask_positions(entries[start : start + stride], stride, degree):
                if output not in outputs:
                    continue
                coefficients = np.zeros(degree, dtype=np.uint64)
                coefficients[plus] = 1
                coefficients[minus] = minus_one
                mask = self.ring.plaintext(coefficients)
                self.ring.evaluator.transform_to_ntt_inplace(mask, self._first)
                masks.append((output, mask))
            yield masks
            n_kept += len(masks)
            if kept is not None:
                kept = [*kept, masks] if n_kept <= self._room else None
        if kept is not None:
            self._cache[name] = kept
            while sum(len(masks) for blocks in self._cache.values() for masks in blocks) > self._room:
                self._cache.popitem(last=False)

    def _replies(self, sums: dict[int, Any], n_entries: int, stride: int, outputs: range, sanitise: bool) -> list[bytes]:
        merge = self.merge(n_entries, stride)
        degree = self.ring.parameters.degree
        which, where = target_positions(n_entries, stride, degree, merge)
        replies = []
        for first in range(outputs.start, outputs.stop, merge):
            parts = [self._plain_form(sums.get(output)) for output in range(first, first + merge)]
            cipher = self._merge(parts, stride) if merge > 1 else parts[0]
            if sanitise:
                cipher = self._sanitise(cipher, where[which == first // merge], merge)
            replies.append(self.ring.scratch.dump(cipher))
        return replies

    def merge(self, n_entries: int, stride: int) -> int:
        """Reply polynomials per ciphertext."""
        from securegbm.crypto.packing import merge_factor

        return merge_factor(n_entries, stride, self.ring.parameters.degree) if self.ring.parameters.merge else 1

    def _plain_form(self, cipher: Any | None) -> Any:
        if cipher is None:
            return self._zero()
        self.ring.evaluator.transform_from_ntt_inplace(cipher)
        return cipher

    def prepare(self) -> None:
        """Make one encryption of zero for a later reply: half of a reply's work can be done while nothing waits."""
        if len(self._zeros) < PREPARED:
            self._zeros.append(self._encrypt_zero())

    def _zero(self) -> Any:
        """An encryption of zero that is used once."""
        return self._zeros.pop() if self._zeros else self._encrypt_zero()

    def _encrypt_zero(self) -> Any:
        cipher = sealapi.Ciphertext()
        self._public.encrypt_zero(cipher)
        return cipher

    def _merge(self, parts: list[Any], stride: int) -> Any:
        """Interleave: u = a + x^s b, v = a - x^s b, u + sigma(v) holds 2a at its targets and 2b at s beside them."""
        evaluator, degree = self.ring.evaluator, self.ring.parameters.degree
        shift = stride // 2
        while len(parts) > 1:
            merged = []
            monomial = np.zeros(shift + 1, dtype=np.uint64)
            monomial[shift] = 1
            shifted_by = self.ring.plaintext(monomial)
            for a, b in zip(parts[::2], parts[1::2], strict=True):
                evaluator.multiply_plain_inplace(b, shifted_by)
                v = sealapi.Ciphertext()
                evaluator.sub(a, b, v)
                evaluator.add_inplace(a, b)
                evaluator.apply_galois_inplace(v, 1 + degree // shift, self._galois)
                evaluator.add_inplace(a, v)
                merged.append(a)
            parts, shift = merged, shift // 2
        return parts[0]

    def _sanitise(self, cipher: Any, targets: Ints, merge: int = 1) -> Any:
        evaluator = self.ring.evaluator
        noise = uniform_below(self.ring.parameters.plain_modulus, self.ring.parameters.degree)
        added = discrete_gaussian(self._noise, len(targets)) * merge
        noise[targets] = (added % self.ring.parameters.plain_modulus).astype(np.uint64)
        evaluator.add_plain_inplace(cipher, self.ring.plaintext(noise))
        evaluator.add_inplace(cipher, self._zero())
        for _ in range(self._levels):
            evaluator.mod_switch_to_next_inplace(cipher)
        evaluator.add_inplace(cipher, self.ring.ciphertext(cipher.parms_id(), self._flood(targets)))
        return cipher

    def _flood(self, targets: Ints) -> npt.NDArray[np.uint64]:
        """Uniform errors below the unit of a sum at the targets, `(2, N)` residues of the kept prime (see FLOOD)."""
        most, kept = int(FLOOD * self._kept) // self.ring.parameters.plain_modulus, np.uint64(self._kept)
        out = np.zeros((2, self.ring.parameters.degree), dtype=np.uint64)
        out[0, targets] = (uniform_below(2 * most + 1, len(targets)) + kept - np.uint64(most)) % kept
        return out


def uniform_below(modulus: int, count: int) -> npt.NDArray[np.uint64]:
    """`count` numbers uniform in [0, modulus) from the operating system's generator, by rejection."""
    mask = np.uint64((1 << (modulus - 1).bit_length()) - 1)
    found = np.empty(0, dtype=np.uint64)
    while len(found) < count:
        drawn = np.frombuffer(os.urandom(8 * (count + 64)), dtype=np.uint64) & mask
        found = np.concatenate([found, drawn[drawn < np.uint64(modulus)]])
    return found[:count].copy()
