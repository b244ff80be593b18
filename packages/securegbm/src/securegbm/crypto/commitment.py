"""A commitment to a binned table of which single cells can be opened: a hash tree over rows of salted cell hashes.

cell = SHA-256(salt, bin), row = SHA-256(0, cells), inner node = SHA-256(1, left, right). An opened cell shows its own
bin and salt; of the other columns of its row it shows hashes only.
"""

import hashlib
import hmac
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Bins = npt.NDArray[np.uint16]
SIZE = 32


def _sha(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def _cell(salt: bytes, value: int) -> bytes:
    return _sha(b"cell", salt, int(value).to_bytes(2, "little"))


@dataclass(frozen=True)
class Opening:
    """One opened cell: its bin, its salt, the hashes of the row's cells, and the way up the tree."""

    value: int
    salt: bytes
    cells: bytes
    path: bytes


class Commitment:
    """The owner's side.

    Args:
        bins: `(rows, columns)`.
        secret: From which the salts are derived.
    """

    def __init__(self, bins: Bins, secret: bytes) -> None:
        self._bins, self._secret = bins, secret
        leaves = [_sha(b"\0", self._cells(row)) for row in range(len(bins))]
        self._levels = [leaves]
        while len(self._levels[-1]) > 1:
            level = self._levels[-1]
            level = level + level[-1:] if len(level) % 2 else level
            self._levels.append([_sha(b"\1", level[i], level[i + 1]) for i in range(0, len(level), 2)])

    @property
    def root(self) -> str:
        """What is said at the greeting."""
        return self._levels[-1][0].hex()

    def _salt(self, row: int, column: int) -> bytes:
        return hmac.digest(self._secret, row.to_bytes(8, "little") + column.to_bytes(4, "little"), "sha256")[:16]

    def _cells(self, row: int) -> bytes:
        return b"".join(_cell(self._salt(row, column), value) for column, value in enumerate(self._bins[row].tolist()))

    def open(self, row: int, column: int) -> Opening:
        """Open one cell."""
        path, at = [], row
        for level in self._levels[:-1]:
            path.append(level[min(at ^ 1, len(level) - 1)])
            at //= 2
        return Opening(int(self._bins[row, column]), self._salt(row, column), self._cells(row), b"".join(path))


def depth(n_rows: int) -> int:
    """Hashes on the way from a row to the root."""
    return max(0, n_rows - 1).bit_length()


def is_in(root: str, opening: Opening, row: int, column: int) -> bool:
    """Whether the opened cell stands at (row, column) of the table that was committed to."""
    if opening.cells[SIZE * column : SIZE * (column + 1)] != _cell(opening.salt, opening.value):
        return False
    found, at = _sha(b"\0", opening.cells), row
    for start in range(0, len(opening.path), SIZE):
        other = opening.path[start : start + SIZE]
        found = _sha(b"\1", other, found) if at % 2 else _sha(b"\1", found, other)
        at //= 2
    return at == 0 and found.hex() == root
