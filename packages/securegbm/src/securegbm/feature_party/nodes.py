"""The feature party's view of the open tree: whose sums may be asked for, and what may be split."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from securegbm.errors import ProtocolError

Flags = npt.NDArray[np.bool_]


def _set(rows: Flags) -> int:
    """A set of rows as the bits of a number."""
    return int.from_bytes(np.packbits(rows).tobytes())


@dataclass(eq=False)
class _Leaf:
    rows: int
    bound: int
    asked: bool
    known: bool
    sibling: "_Leaf | None" = None


class Nodes:
    """Row sets of a tree whose nodes are shown.

    Every set that is named must be a node: the root's first; then a child that one of this party's splits made, or a
    part of a leaf whose sums are known (the other part is then its sibling). So sums over two sets that overlap without
    one containing the other, whose differences isolate rows, are refused; and so are splits of sets without sums.

    Args:
        fewest: Fewest rows of a node, and of its sibling, for which sums are given.
    """

    def __init__(self, fewest: int = 0) -> None:
        self._fewest = fewest
        self._leaves: list[_Leaf] = []
        self._sample = 0

    def sums(self, rows: Flags) -> None:
        """Sums over `rows` are asked for.

        Raises:
            ProtocolError: If `rows` is no node of the tree, or was asked for before.
        """
        named = _set(rows)
        if not self._leaves:
            self._sample = named
            self._leaves = [_Leaf(named, _set(np.ones_like(rows)), True, True)]
            self._check_size(named)
            return
        for leaf in self._leaves:
            if leaf.rows == named:
                if leaf.asked:
                    raise ProtocolError("sums of a node were asked for twice; the session ends")
                leaf.asked = leaf.known = True
                self._check_size(named)
                if leaf.sibling is not None:
                    self._check_size(leaf.sibling.rows)
                    leaf.sibling.known = True
                return
        for leaf in self._leaves:
            if leaf.known and leaf.rows & named == named:
                one, other = (_Leaf(part, leaf.bound, False, True) for part in (named, leaf.rows & ~named))
                one.asked, one.sibling, other.sibling = True, other, one
                self._check_size(one.rows)
                self._check_size(other.rows)
                self._leaves.remove(leaf)
                self._leaves += [one, other]
                return
        raise ProtocolError("sums were asked for over rows that are no part of a node; the session ends")

    def split(self, rows: Flags, goes_left: Flags) -> None:
        """`rows`, with those outside of the sample, are split by a column of this party.

        Raises:
            ProtocolError: If they are no leaf whose sums are known.
        """
        named, left = _set(rows), _set(goes_left)
        for leaf in self._leaves:
            if leaf.known and leaf.rows == named & self._sample:
                if named & leaf.bound != named:
                    break
                one, other = (_Leaf(part & self._sample, part, False, False) for part in (named & left, named & ~left))
                one.sibling, other.sibling = other, one
                self._leaves.remove(leaf)
                self._leaves += [one, other]
                return
        raise ProtocolError("a split was asked for of rows that are no node with sums; the session ends")

    def _check_size(self, rows: int) -> None:
        if rows.bit_count() < self._fewest:
            raise ProtocolError("sums were asked for over fewer rows than the feature party allows; the session ends")
