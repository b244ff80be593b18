"""What the label party can check of the sums and decisions it is told: it knows every gradient and hessian itself."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from securegbm.errors import ProtocolError
from securegbm.tables.binning import BinLayout, EntryIndex
from securegbm.trees.search import Split

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
DEVIATIONS = 8.0
"""Standard deviations of the agreed noise by which a sum may be off (a false alarm once in 10^15 sums)."""


@dataclass(frozen=True)
class SumChecks:
    """Checks on what the feature party says of the rows of a node.

    Args:
        layouts: The feature party's columns.
        noise: Standard deviation of the noise it adds, in units of the integers; 0 for none.
        merges: It merges small bins, so that decisions and sums need not add up.
    """

    layouts: list[BinLayout]
    noise: float = 0.0
    merges: bool = False

    @cached_property
    def _columns(self) -> tuple[Ints, Ints]:
        """First entry and number of entries of every column that has any."""
        index = EntryIndex(self.layouts)
        counts = np.bincount(index.feature, minlength=len(self.layouts))
        return index.starts[counts > 0], counts[counts > 0]

    def sums(self, found: list[Ints], own: list[Ints]) -> None:
        """The sums of every column must be those of the node, and each pair (G, H) must be possible.

        A bin with hessian sum H holds at most H / min(h) rows, so |G| is at most that times max |g|; when all hessians
        are one number, H must be a multiple of it.

        Args:
            found: Sums of g and of h per (column, bin), as told.
            own: g and h of the node's rows.

        Raises:
            ProtocolError: If they cannot be sums over these rows.
        """
        starts, counts = self._columns
        for told, vector in zip(found, own, strict=True):
            slack = DEVIATIONS * self.noise * np.sqrt(counts)
            if (np.abs(np.add.reduceat(told, starts) - vector.sum()) > slack).any():
                raise ProtocolError("the sums of a column of the feature party are not those of the node; the session ends")
        (gradients, hessians), (g, h) = found, own
        if self.noise or not len(h):
            return
        least, most = int(h.min()), int(np.abs(g).max())
        rows = hessians // max(least, 1)
        possible = (hessians >= 0) & (np.abs(gradients) <= rows.astype(np.float64) * most * (1 + 1e-12))
        if least == int(h.max()):
            possible &= hessians % max(least, 1) == 0
        if not possible.all():
            raise ProtocolError("the feature party's sums belong to no rows of the node; the session ends")

    def decision(self, split: Split, column: int, goes_left: Flags, own: list[Ints], step: tuple[float, float]) -> None:
        """The rows that go left must have the sums that the split was chosen for, and no child may be empty (without noise).

        Args:
            split: The split that was asked for.
            column: The feature party's column of it.
            goes_left: `(rows,)` what it answered, for the node's sampled rows.
            own: g and h of these rows.
            step: What one unit of them means.

        Raises:
            ProtocolError: If the answer does not fit the sums.
        """
        if not self.noise and len(goes_left) and (goes_left.all() or not goes_left.any()):
            raise ProtocolError("a split of the feature party leaves a child without rows; the session ends")
        if self.merges:
            return
        slack = DEVIATIONS * self.noise * float(np.sqrt(self.layouts[column].num_bin))
        told = (round(split.left_gradient / step[0]), round(split.left_hessian / step[1]))
        for said, vector in zip(told, own, strict=True):
            if abs(int(vector[goes_left].sum()) - said) > slack:
                raise ProtocolError(
                    "the rows that the feature party sends left do not have the sums it gave for them; the session ends"
                )
