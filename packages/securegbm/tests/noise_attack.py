"""The attack of a curious label party on a reply: divide the reply's noise by the noise it put into the upload.

The label party knows its secret key, so it knows the phase c0 + c1 s of every ciphertext it sent or received, and the
integers inside. What is left of a reply, w = t phase - q m, is the upload's own w times the mask, plus whatever the
feature party added. A division (in the Fourier domain of the negacyclic ring) estimates the mask, which holds the bins.
"""

import struct

import numpy as np
import tenseal.sealapi as sealapi


class Attacker:
    """A label party that keeps its secret key at hand."""

    def __init__(self, cipher):
        self.cipher, self.ring = cipher, cipher.ring
        self.degree, self.t = self.ring.parameters.degree, self.ring.parameters.plain_modulus
        self.key = cipher._secret.data()

    def _coefficients(self, values, parms_id, primes):
        """Inverse NTT by SEAL itself: a ciphertext written in SEAL's binary format, with `values` as both parts."""
        count = 2 * primes * self.degree
        data = np.concatenate([values.ravel(), values.ravel()]).astype("<u8").tobytes()
        inner = self.ring._head(16 + 8 + 8 * count) + struct.pack("<Q", count) + data
        ids = struct.pack("<4Q", *parms_id)
        shape = struct.pack("<BQQQdQ", 1, 2, self.degree, primes, 1.0, 1)
        body = ids + shape + inner
        item = sealapi.Ciphertext()
        self.ring.load(item, self.ring._head(16 + len(body)) + body)
        self.ring.evaluator.transform_from_ntt_inplace(item)
        array = item.dyn_array()
        read = [array.at(i) for i in range(primes * self.degree)]
        return np.array(read, dtype=object).reshape(primes, self.degree)

    def excess(self, data):
        """w / t of one ciphertext as floats, with q: what is left after the plaintext is taken out."""
        item = self.ring.load(sealapi.Ciphertext(), data)
        parms_id, primes = item.parms_id(), item.coeff_modulus_size()
        plain = self.cipher._decrypt(item)
        message = [plain.data(i) for i in range(plain.coeff_count())] + [0] * (self.degree - plain.coeff_count())
        moduli = self.moduli[:primes]
        self.ring.evaluator.transform_to_ntt_inplace(item)
        size = primes * self.degree
        array = item.dyn_array()
        c0 = np.array([array.at(i) for i in range(size)], dtype=object).reshape(primes, -1)
        c1 = np.array([array.at(size + i) for i in range(size)], dtype=object).reshape(primes, -1)
        s = np.array([self.key.data(i) for i in range(size)], dtype=object).reshape(primes, -1)
        phase = np.stack([(c0[k] + c1[k] * s[k]) % moduli[k] for k in range(primes)])
        residues = self._coefficients(phase, parms_id, primes)
        q = int(np.prod(np.array(moduli, dtype=object)))
        total = sum(residues[k] * (q // m) * pow(q // m, -1, m) for k, m in enumerate(moduli)) % q
        w = (total * self.t - np.array(message, dtype=object) * q) % (q * self.t)
        return np.array([float(x if x < q * self.t // 2 else x - q * self.t) for x in w]) / self.t

    @property
    def moduli(self):
        return [m.value() for m in sealapi.CoeffModulus.Create(self.degree, list(self.ring.parameters.coeff_bits))]

    def mask(self, upload, reply):
        """The estimated mask polynomial."""
        twist = np.exp(1j * np.pi * np.arange(self.degree) / self.degree)
        above, below = (np.fft.fft(self.excess(data) * twist) for data in (reply, upload))
        return (np.fft.ifft(above / below) / twist).real

    def bins(self, upload, reply, n_rows, stride):
        """The most likely bin of every row."""
        estimate = self.mask(upload, reply)
        per_output = self.degree // stride
        row = np.arange(n_rows)
        scores = []
        for place in range(per_output):
            at = place * stride - row
            scores.append(np.where(at >= 0, estimate[at % self.degree], -estimate[at % self.degree]))
        return np.argmax(scores, axis=0)
