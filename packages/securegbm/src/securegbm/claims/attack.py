"""A self-test: the attack of a curious label party on a reply, which divides its noise by the noise of the upload.

The label party knows its secret key, so it knows the phase c0 + c1 s of every ciphertext it sent or received, and the
integers inside. What is left of a reply, w = t phase - q m, is the upload's own w times the mask, plus whatever the
feature party added. A division (in the Fourier domain of the negacyclic ring) estimates the mask, which holds the bins.
Run it against the reply path of any version before trusting it: without sanitising it reads every row's bin.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import tenseal.sealapi as sealapi

from securegbm.crypto.label_cipher import LabelCipher

Floats = npt.NDArray[np.float64]


class Attacker:
    """A label party that looks at noise.

    Args:
        cipher: Its own half of the encryption, with the secret key.
    """

    def __init__(self, cipher: LabelCipher) -> None:
        self.cipher, self.ring = cipher, cipher.ring
        parameters = self.ring.parameters
        self.degree, self.t = parameters.degree, parameters.plain_modulus
        secret = self.ring.load(sealapi.SecretKey(), cipher.secret_key())
        key = secret.data()
        primes = sealapi.CoeffModulus.Create(self.degree, list(parameters.coeff_bits))
        self.moduli = [prime.value() for prime in primes]
        self._key = [key.data(i) for i in range((len(self.moduli) - 1) * self.degree)]

    def excess(self, data: bytes) -> Floats:
        """The excess w / t of a ciphertext, `(degree,)`: what its phase holds beside the plaintext."""
        item = self.ring.load(sealapi.Ciphertext(), data)
        parms_id, count = item.parms_id(), item.coeff_modulus_size()
        message = self.cipher.polynomial(data).astype(object)
        moduli, size = self.moduli[:count], count * self.degree
        self.ring.evaluator.transform_to_ntt_inplace(item)
        array = item.dyn_array()
        c0, c1 = (np.array([array.at(part * size + i) for i in range(size)], dtype=object) for part in (0, 1))
        s = np.array(self._key[:size], dtype=object)
        each = np.repeat(np.array(moduli, dtype=object), self.degree)
        residues = self._coefficients((c0 + c1 * s) % each, parms_id, count)
        q = int(np.prod(np.array(moduli, dtype=object)))
        phase = sum(residues[k] * (q // p) * pow(q // p, -1, p) for k, p in enumerate(moduli)) % q
        w = (phase * self.t - message * q) % (q * self.t)
        return np.array([float(x if x < q * self.t // 2 else x - q * self.t) for x in w]) / self.t

    def _coefficients(self, values: Any, parms_id: list[int], count: int) -> Any:
        """Inverse NTT by SEAL itself: a ciphertext with `values` as both of its parts."""
        item = self.ring.ciphertext(parms_id, np.stack([values, values]).astype(np.uint64), transformed=True)
        self.ring.evaluator.transform_from_ntt_inplace(item)
        array = item.dyn_array()
        read = [array.at(i) for i in range(count * self.degree)]
        return np.array(read, dtype=object).reshape(count, self.degree)

    def mask(self, upload: bytes, reply: bytes) -> Floats:
        """The estimated mask polynomial, `(degree,)`."""
        twist = np.exp(1j * np.pi * np.arange(self.degree) / self.degree)
        above, below = (np.fft.fft(self.excess(data) * twist) for data in (reply, upload))
        return (np.fft.ifft(above / below) / twist).real

    def bins(self, upload: bytes, reply: bytes, n_rows: int, stride: int) -> npt.NDArray[np.int64]:
        """The most likely entry of every row, `(rows,)`, of the N / stride entries of the reply."""
        estimate, row = self.mask(upload, reply), np.arange(n_rows)
        scores = []
        for place in range(self.degree // stride):
            at = place * stride - row
            scores.append(np.where(at >= 0, estimate[at % self.degree], -estimate[at % self.degree]))
        return np.argmax(scores, axis=0)
