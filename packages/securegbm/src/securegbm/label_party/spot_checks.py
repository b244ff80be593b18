"""The label party's spot checks: some rows of a split are opened and held against the table committed to."""

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


@dataclass(frozen=True)
class SpotChecks:
    """Opens `count` random rows after each split of the feature party.

    Args:
        root: The commitment of its greeting.
        count: Rows opened per split.
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
