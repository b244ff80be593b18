"""A thin, byte-based face of `tenseal.sealapi` (Microsoft SEAL): contexts, and objects to and from bytes.

SEAL's Python face saves to files only; we give it an anonymous memory file, so that nothing secret touches a disk.
Plaintexts are written in SEAL's own binary format, which is two hundred times faster than through its strings.
"""

import os
import struct
from typing import Any

import numpy as np
import numpy.typing as npt
import tenseal.sealapi as sealapi

from securegbm.crypto.parameters import BFVParameters
from securegbm.errors import SecureGBMError

Words = npt.NDArray[np.uint64]


class Scratch:
    """One anonymous memory file through which SEAL's objects become bytes and back."""

    def __init__(self) -> None:
        self._descriptor = os.memfd_create("seal", os.MFD_CLOEXEC)
        self._path = f"/proc/{os.getpid()}/fd/{self._descriptor}"

    def dump(self, item: Any) -> bytes:
        """`item` as SEAL saves it."""
        os.ftruncate(self._descriptor, 0)
        item.save(self._path)
        return os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0)

    def load(self, item: Any, context: Any, data: bytes) -> Any:
        """Fill `item` from `data`, which SEAL checks against `context`; the file ends where `data` does."""
        os.pwrite(self._descriptor, data, 0)
        os.ftruncate(self._descriptor, len(data))
        item.load(context, self._path)
        return item

    def __del__(self) -> None:
        os.close(self._descriptor)


class Ring:
    """A SEAL context made from checked parameters, and plaintexts in it.

    Args:
        parameters: The parameters.

    Raises:
        SecureGBMError: If SEAL refuses them.
    """

    def __init__(self, parameters: BFVParameters) -> None:
        self.parameters = parameters
        parms = sealapi.EncryptionParameters(sealapi.SCHEME_TYPE.BFV)
        parms.set_poly_modulus_degree(parameters.degree)
        parms.set_coeff_modulus(sealapi.CoeffModulus.Create(parameters.degree, list(parameters.coeff_bits)))
        parms.set_plain_modulus(parameters.plain_modulus)
        self.context = sealapi.SEALContext(parms, True, sealapi.SEC_LEVEL_TYPE.TC128)
        if not self.context.parameters_set():
            raise SecureGBMError(f"SEAL refuses the parameters: {self.context.parameters_error_message()}")
        self.evaluator = sealapi.Evaluator(self.context)
        self.scratch, self._received, self._plain = Scratch(), Scratch(), Scratch()
        self._version = struct.unpack_from("<HBBB", self.scratch.dump(sealapi.Plaintext("1")))
        count = parameters.degree
        inner = self.head(16 + 8 + 8 * count) + struct.pack("<Q", count)
        body = bytes(32) + struct.pack("<Qd", count, 1.0) + inner
        self._before_coefficients = self.head(16 + len(body) + 8 * count) + body

    def head(self, size: int) -> bytes:
        """SEAL's header of an uncompressed item of `size` bytes, header included, in the installed version's form."""
        return struct.pack("<HBBBBHQ", *self._version, 0, 0, size)

    def plaintext(self, coefficients: Words) -> Any:
        """The polynomial with these coefficients, at most N, each below t."""
        missing = bytes(8 * (self.parameters.degree - len(coefficients)))
        data = b"".join([self._before_coefficients, coefficients.astype("<u8", copy=False).data, missing])
        return self._plain.load(sealapi.Plaintext(), self.context, data)

    def ciphertext(self, parms_id: list[int], parts: Words, transformed: bool = False) -> Any:
        """The ciphertext with these residues, `(2, primes N)`, at a level."""
        degree, numbers = self.parameters.degree, parts.astype("<u8").tobytes()
        inner = self.head(16 + 8 + len(numbers)) + struct.pack("<Q", parts.size) + numbers
        shape = struct.pack("<4QBQQQdQ", *parms_id, transformed, 2, degree, parts.shape[1] // degree, 1.0, 1)
        data = self.head(16 + len(shape) + len(inner)) + shape + inner
        return self._plain.load(sealapi.Ciphertext(), self.context, data)

    def load(self, item: Any, data: bytes) -> Any:
        """`load` of a scratch file, with the peer's mistakes told in one sentence."""
        try:
            return self._received.load(item, self.context, data)
        except (RuntimeError, ValueError, IndexError) as error:
            raise SecureGBMError(
                f"a ciphertext or key of the other party does not fit the agreed parameters ({error}); "
                "compare both parties' configuration"
            ) from error
