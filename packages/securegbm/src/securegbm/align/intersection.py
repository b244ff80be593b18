"""Which ids two parties have in common, without showing the others: Diffie-Hellman private set intersection on X25519.

H(id) is a point a b H = b a H for both secrets. The label party sends a H(x) of its ids in random order; the feature
party answers b a H(x) in that order and its own b H(y); the label party answers a b H(y). Both then know which of their
own ids are common, and sort them by the double mask, which is the same order at both.

Both learn the number of ids the other sent (rounded up with random points when that is agreed) and the common ids. A
masked id also says whether its hash lies on the curve or on its twist: one bit, which rules out half of all guesses and
confirms none. Who lies about its ids (sends guesses) learns which guesses the other has: sizes should be agreed.
"""

import hashlib
import os
import secrets

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from securegbm.errors import ProtocolError

POINT = 32


def _hash(value: str) -> bytes:
    return hashlib.sha256(b"securegbm intersection\0" + value.encode()).digest()


class Masker:
    """One party's secret, which masks points."""

    def __init__(self) -> None:
        self._secret = X25519PrivateKey.generate()

    def mask(self, points: bytes) -> bytes:
        """Every point of `points` (32 bytes each) times the secret.

        Raises:
            ProtocolError: If that is no list of points, or one of them has a small order.
        """
        if len(points) % POINT:
            raise ProtocolError("a list of masked ids has a wrong length; the alignment ends")
        exchange, load = self._secret.exchange, X25519PublicKey.from_public_bytes
        try:
            return b"".join(exchange(load(points[at : at + POINT])) for at in range(0, len(points), POINT))
        except ValueError as error:
            raise ProtocolError("a masked id is no point of the group; the alignment ends") from error


class OwnIds:
    """One party's ids in the random order in which they are sent.

    Args:
        ids: Distinct ids.
        multiple: The number sent is rounded up to a multiple of this with random points.
    """

    def __init__(self, ids: list[str], multiple: int = 1) -> None:
        self._order = list(range(len(ids)))
        secrets.SystemRandom().shuffle(self._order)
        padding = -len(ids) % max(1, multiple)
        points = [_hash(ids[at]) for at in self._order] + [os.urandom(POINT) for _ in range(padding)]
        places = list(range(len(points)))
        secrets.SystemRandom().shuffle(places)
        self._place = places
        self.points = b"".join(points[at] for at in places)

    def common(self, own: bytes, other: bytes) -> list[int]:
        """Positions of the common ids in the order both parties share.

        Args:
            own: The double masks of this party's points, in the order they were sent.
            other: Those of the other party's.

        Raises:
            ProtocolError: If there are not as many as were sent.
        """
        if len(own) != len(self.points):
            raise ProtocolError("the other party answered with another number of ids; the alignment ends")
        theirs = {other[at : at + POINT] for at in range(0, len(other), POINT)}
        found = []
        for number, place in enumerate(self._place):
            mask = own[number * POINT : (number + 1) * POINT]
            if mask in theirs and place < len(self._order):
                found.append((mask, self._order[place]))
        return [at for _, at in sorted(found)]
