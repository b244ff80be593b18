"""The label party's spot checks: some rows of a split are opened and held against the table committed to."""

import math
import secrets
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from securegbm.crypto.commitment import SIZE, Opening, depth, is_in
from securegbm.errors import ProtocolError, SecureGBMError
from securegbm.tables.binning import BinLayout
from securegbm.trees.search import Split
from securegbm.wire.channel import Conversation
from securegbm.wire.messages import Kind


def chance_found(rows: int, wrong: int, count: int) -> float:
    """Probability that one split's spot checks find a lie: 1 - C(rows - wrong, count) / C(rows, count).

    It is at least 1 - (1 - wrong / rows)^count. Splits are drawn independently: a lie in several is missed with the product.

    Args:
        rows: Rows of the node.
        wrong: Those that the split sends the other way than the committed table does.
        count: Rows opened, drawn without replacement after the split was answered; `rows` where it is larger.

    Returns:
        0 where no row goes the other way; 1 where more rows are opened than go the right way.

    >>> [round(chance_found(1000, wrong, 4), 3) for wrong in (10, 100, 500)]
    [0.039, 0.344, 0.938]
    """
    return 1.0 - math.prod((rows - wrong - i) / (rows - i) for i in range(min(count, rows - wrong + 1)))


@dataclass(frozen=True)
class SpotChecks:
    """Opens `count` random rows after each split of the feature party; `chance_found` says what they find.

    Args:
        root: The commitment of its greeting.
        count: Rows opened per split; all rows of a node that has fewer.
        n_rows: Rows of the table.
        layouts: Its columns.
    """

    root: str
    count: int
    n_rows: int
    layouts: list[BinLayout]

    def __post_init__(self) -> None:
        if not self.root:
            raise SecureGBMError(
                "the feature party commits to no table, so spot checks are impossible; ask it for `--open-cells`, or drop "
                "them"
            )

    def check(
        self,
        talk: Conversation,
        tree: int,
        split: Split,
        column: int,
        rows: npt.NDArray[np.int64],
        left: npt.NDArray[np.bool_],
    ) -> None:
        """Hold the decision on random rows against the committed bins.

        Raises:
            ProtocolError: If a cell is not the committed one, or the row should have gone the other way.
        """
        chosen = secrets.SystemRandom().sample(range(len(rows)), min(self.count, len(rows)))
        reply = talk.ask(Kind.OPEN, tree, parts=[rows[chosen].astype("<u4").tobytes()])
        sizes = (2, 16, SIZE * len(self.layouts), SIZE * depth(self.n_rows))
        if [len(part) for part in reply.parts] != [size * len(chosen) for size in sizes]:
            raise ProtocolError("opened cells of the feature party have a wrong length; the session ends")
        for number, place in enumerate(chosen):
            value, salt, cells, path = (
                part[size * number : size * (number + 1)] for part, size in zip(reply.parts, sizes, strict=True)
            )
            opening = Opening(int.from_bytes(value, "little"), salt, cells, path)
            side = self.layouts[column].goes_left(
                np.array([opening.value], dtype=np.uint16), split.threshold, split.default_left, split.categories
            )
            if not is_in(self.root, opening, int(rows[place]), column) or bool(side[0]) != bool(left[place]):
                raise ProtocolError(
                    "an opened row of the feature party does not stand in the table it committed to, or goes the other way; "
                    "the session ends"
                )
