"""The label party's half of the encryption: fresh seeded ciphertexts out, sums of the sanitised replies in."""

from typing import Any

import numpy as np
import numpy.typing as npt
import tenseal.sealapi as sealapi

from securegbm.crypto.packing import target_positions
from securegbm.crypto.parameters import BFVParameters
from securegbm.crypto.seal import Ring
from securegbm.errors import ProtocolError

Ints = npt.NDArray[np.int64]

LEAST_BUDGET = 1
"""Bits of noise budget a reply must have left: its errors, `FLOOD` included, are below a quarter of a unit."""


class LabelCipher:
    """Encrypts gradients and decrypts sums.

    Args:
        parameters: Agreed parameters.
        secret_key: A saved secret key; none makes a fresh one, which lives in memory only.
    """

    def __init__(self, parameters: BFVParameters, secret_key: bytes | None = None) -> None:
        self.ring = Ring(parameters)
        context = self.ring.context
        if secret_key is None:
            generator = sealapi.KeyGenerator(context)
            self._secret = generator.secret_key()
            public = sealapi.PublicKey()
            generator.create_public_key(public)
            self.public_key = self.ring.scratch.dump(public)
            self.galois_keys = b""
            if parameters.merge:
                elements = [1 + (1 << power) for power in range(1, parameters.degree.bit_length())]
                self.galois_keys = self.ring.scratch.dump(generator.create_galois_keys(elements))
        else:
            self._secret = self.ring.load(sealapi.SecretKey(), secret_key)
        self._encryptor = sealapi.Encryptor(context, self._secret)
        self._decryptor = sealapi.Decryptor(context, self._secret)

    def secret_key(self) -> bytes:
        """The saved secret key, for this party's own worker processes."""
        return self.ring.scratch.dump(self._secret)

    def encrypt(self, blocks: list[Ints]) -> list[bytes]:
        """One seeded symmetric ciphertext per block of integers (negative ones stand for t - |g|)."""
        modulus = self.ring.parameters.plain_modulus
        out = []
        for block in blocks:
            plain = self.ring.plaintext(np.where(block < 0, block + modulus, block).astype(np.uint64))
            out.append(self.ring.scratch.dump(self._encryptor.encrypt_symmetric(plain)))
        return out

    def polynomial(self, reply: bytes) -> Ints:
        """All N coefficients of a reply, centred around 0."""
        cipher = self.ring.load(sealapi.Ciphertext(), reply)
        plain = self._decrypt(cipher)
        found = [plain.data(i) for i in range(plain.coeff_count())]
        values = np.array(found + [0] * (self.ring.parameters.degree - len(found)), dtype=np.int64)
        return self._centre(values)

    def decrypt(self, replies: list[bytes], first: int, n_entries: int, stride: int, merge: int) -> Ints:
        """The sums in some reply ciphertexts.

        Args:
            replies: Consecutive reply ciphertexts of one vector.
            first: Index of the first of them.
            n_entries: Entries of the whole vector.
            stride: M of the request.
            merge: Reply polynomials per ciphertext.

        Returns:
            `(entries in these ciphertexts,)`, in order of (ciphertext, entry).

        Raises:
            ProtocolError: If a reply has no noise budget left.
        """
        degree, modulus = self.ring.parameters.degree, self.ring.parameters.plain_modulus
        which, where = target_positions(n_entries, stride, degree, merge)
        back = pow(merge, -1, modulus) if merge > 1 else 1
        out = []
        for offset, reply in enumerate(replies):
            cipher = self.ring.load(sealapi.Ciphertext(), reply)
            if self._decryptor.invariant_noise_budget(cipher) < LEAST_BUDGET:
                raise ProtocolError("a reply has no noise budget left; both parties must use the same parameters")
            plain = self._decrypt(cipher)
            count = plain.coeff_count()
            positions = where[which == first + offset]
            out += [int(plain.data(int(at))) * back % modulus if at < count else 0 for at in positions]
        return self._centre(np.array(out, dtype=np.int64))

    def _decrypt(self, cipher: Any) -> Any:
        plain = sealapi.Plaintext()
        self._decryptor.decrypt(cipher, plain)
        return plain

    def _centre(self, values: Ints) -> Ints:
        modulus = self.ring.parameters.plain_modulus
        return np.where(values > modulus // 2, values - modulus, values)
