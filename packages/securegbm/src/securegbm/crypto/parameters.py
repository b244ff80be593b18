"""BFV parameters, checked by code: security level, overflow guard, what a reply's noise can still betray.

The estimate of `log2_distance` is a heuristic (see the README: no cryptographer has reviewed it).
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from securegbm.errors import SecureGBMError

Strength = Literal["standard", "strong", "toy"]

MARGIN_BITS = 12
"""The prime that is kept must exceed t by this many bits, so that three bits of noise budget remain before `FLOOD`."""
FLOOD = 3 / 16
"""A sum leaves with a uniform error of up to this share of its unit (kept prime / t). Honest errors are below 1/16, so it
decrypts rightly; who uploads numbers below the unit reads at most log2(8/3) = 1.4 bits more than t has."""
WORST_DISTANCE = -28.0
"""Least sanitising accepted outside tests: log2 of the statistical distance of one reply ciphertext."""
MAX_BITS_128 = {4096: 109, 8192: 218, 16384: 438}
"""Largest modulus for 128-bit security (homomorphicencryption.org standard, classical); SEAL enforces the same."""

_STRENGTHS: dict[Strength, tuple[int, tuple[int, ...]]] = {
    "standard": (8192, (60, 60, 17)),
    "strong": (8192, (60, 40, 40, 17)),
    "toy": (4096, (54, 38, 17)),
}


@dataclass(frozen=True)
class BFVParameters:
    """Parameters of the encryption, the same at both parties.

    Args:
        degree: N, the ring's degree.
        coeff_bits: Bits of the primes: first the one kept in replies, then those dropped, last SEAL's special prime.
        plain_bits: t = 2^plain_bits, or 2^plain_bits + 1 when replies are merged (t must be odd then).
        merge: Replies are merged by Galois automorphisms (fewer bytes, more work).
        toy: Accept a reply noise that does not hide: for tests and demonstrations.
    """

    degree: int
    coeff_bits: tuple[int, ...]
    plain_bits: int
    merge: bool = False
    toy: bool = False

    def __post_init__(self) -> None:
        if self.degree not in MAX_BITS_128 or sum(self.coeff_bits) > MAX_BITS_128[self.degree]:
            raise SecureGBMError(
                f"degree {self.degree} with {sum(self.coeff_bits)} modulus bits is below 128-bit security; "
                f"allowed are {MAX_BITS_128}"
            )
        if len(self.coeff_bits) < 3:
            raise SecureGBMError("at least three primes are needed: one kept, one dropped to sanitise, one special")
        if self.merge and self.coeff_bits[-1] < 54:
            raise SecureGBMError("merged replies need a special prime of at least 54 bits; use `choose(merge=True)`")
        if not 2 <= self.plain_bits <= self.coeff_bits[0] - MARGIN_BITS:
            raise SecureGBMError(
                f"sums need {self.plain_bits} bits, the parameters carry {self.coeff_bits[0] - MARGIN_BITS}; "
                "lower privacy_bits or train on fewer rows"
            )

    @classmethod
    def choose(cls, n_rows: int, bits: int, strength: Strength = "standard", merge: bool = False) -> "BFVParameters":
        """The smallest parameters whose sums over `n_rows` numbers of `bits` fractional bits cannot overflow.

        Args:
            n_rows: Rows of the training table.
            bits: Fractional bits of gradients; |g| <= 1.
            strength: `standard` (see `log2_distance`), `strong` (a switch more) or `toy`.
            merge: Replies are merged.
        """
        if strength not in _STRENGTHS:
            raise SecureGBMError(f"strength {strength!r} is unknown; use one of {', '.join(_STRENGTHS)}")
        degree, coeff_bits = _STRENGTHS[strength]
        if merge:
            if strength == "toy":
                raise SecureGBMError("merged replies need the standard or the strong parameters")
            coeff_bits = (*coeff_bits[:-1], 60 if strength == "standard" else 54)
        plain_bits = 1 + bits + int(n_rows).bit_length()
        return cls(degree, coeff_bits, plain_bits, merge, strength == "toy")

    @property
    def plain_modulus(self) -> int:
        """T."""
        return (1 << self.plain_bits) + int(self.merge)

    @property
    def dropped_bits(self) -> int:
        """Bits of the primes that are switched away from a reply."""
        return sum(self.coeff_bits[1:-1])

    def log2_distance(self, n_rows: int, n_features: int) -> float:
        """log2 of the estimated statistical distance between replies of two bin assignments with equal sums.

        2 N |v| / q_dropped, |v| = 6 sigma sqrt(terms): a coefficient of the noise sums one fresh error (sigma 3.2) per
        row and feature of the reply.
        """
        noise = 6.0 * 3.2 * np.sqrt(max(n_rows, 1) * max(n_features, 1))
        return float(np.log2(2.0 * self.degree * noise) - self.dropped_bits)

    def check(self, n_rows: int, n_features: int, bits: int) -> None:
        """Refuse parameters that could overflow or that do not sanitise replies.

        Args:
            n_rows: Rows in the training table.
            n_features: Features of the feature party.
            bits: Fractional bits of gradients.

        Raises:
            SecureGBMError: With the bound that is broken.
        """
        if n_rows << (bits + 1) >= self.plain_modulus:
            raise SecureGBMError(
                f"sums of {n_rows} numbers with {bits} fractional bits can exceed t = 2^{self.plain_bits}; "
                "lower privacy_bits or choose larger parameters"
            )
        distance = self.log2_distance(n_rows, n_features)
        if not self.toy and distance > WORST_DISTANCE:
            raise SecureGBMError(
                f"replies would be distinguishable with about 2^{distance:.0f}; use strength strong for so many rows"
            )

    def to_dict(self) -> dict[str, Any]:
        """For the greeting message."""
        return vars(self) | {"coeff_bits": list(self.coeff_bits)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "BFVParameters":
        """The inverse of `to_dict`, with every check."""
        try:
            return cls(
                int(data["degree"]),
                tuple(int(bits) for bits in data["coeff_bits"]),
                int(data["plain_bits"]),
                bool(data["merge"]),
                bool(data["toy"]),
            )
        except (KeyError, TypeError) as error:
            raise SecureGBMError("the encryption parameters of the other party are malformed; refuse it") from error
