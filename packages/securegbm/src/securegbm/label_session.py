"""The label party's side of a training session: greeting, keys, and what it asks while a tree grows."""

import numpy as np
import numpy.typing as npt

from securegbm.binning import BinLayout, EntryIndex
from securegbm.channel import Conversation
from securegbm.columns import BothColumns, OwnColumns
from securegbm.config import TrainConfig
from securegbm.errors import SecureGBMError
from securegbm.messages import Kind
from securegbm.parameters import BFVParameters
from securegbm.search import Flags
from securegbm.sums import EncryptedLabelSums, LabelSums, PlainLabelSums
from securegbm.table import Table, pack_rows


class LabelSession:
    """Talks to the feature party about one run.

    Args:
        talk: The conversation.
        table: The label party's columns.
        config: The run.
        label_name: Name of the label column; the feature party checks that it does not hold it.
        key: Shared secret.
        workers: Processes for the arithmetic (0: this one).

    Attributes:
        layouts: What the feature party said of its columns.
        merges_bins: It merges small bins, so that sums of a parent and its children do not add up.
    """

    def __init__(
        self, talk: Conversation, table: Table, config: TrainConfig, label_name: str, key: bytes, workers: int
    ) -> None:
        self._talk, self._table, self._config = talk, table, config
        self._label_name, self._key, self._workers = label_name, key, workers
        self.layouts: list[BinLayout] = []
        self.merges_bins = False
        self._sums: LabelSums | None = None

    @property
    def traffic(self) -> tuple[int, int]:
        """Bytes sent and received so far."""
        return self._talk.bytes_sent, self._talk.bytes_received

    def greet(self) -> int:
        """Begin or continue the run; how many trees the feature party has committed.

        Raises:
            SecureGBMError: If it refuses, or if its columns say nothing.
        """
        config, n_rows = self._config, len(self._table.ids)
        parameters = None
        if config.encryption != "none":
            parameters = BFVParameters.choose(n_rows, config.privacy_bits, config.encryption, config.merge_replies)
        reply = self._talk.ask(
            Kind.HELLO,
            fields={
                "purpose": "train",
                "rows": n_rows,
                "ids": self._table.id_digest(self._key),
                "label": self._label_name,
                "trees": config.n_estimators * config.objective.num_class,
                "leaves": config.growth.num_leaves,
                "bins": vars(config.bins),
                "hide_instances": config.hide_instances,
                "privacy_bits": config.privacy_bits,
                "encryption": config.encryption,
                "parameters": parameters.to_dict() if parameters else None,
            },
        )
        self.layouts = [BinLayout(**layout) for layout in reply.field("layouts")]
        self.merges_bins = reply.field("min_bin_rows") > 1
        n_entries = EntryIndex(self.layouts).size
        if n_entries == 0:
            raise SecureGBMError("every column of the feature party is constant; there is nothing to learn from them")
        if parameters is None:
            self._sums = PlainLabelSums()
        else:
            self._sums = EncryptedLabelSums(parameters, n_entries, config.privacy_bits, self._workers, config.stride)
            self._talk.ask(Kind.KEYS, parts=self._sums.keys())
        return int(reply.field("committed"))

    def begin(self, tree: int, sampled: Flags) -> None:
        """Announce a tree (and, when instances are hidden, the rows drawn for it)."""
        naming = [pack_rows(np.flatnonzero(sampled), len(sampled))] if self._config.hide_instances else []
        self._talk.ask(Kind.TREE, tree, parts=naming)

    def columns(self, own: OwnColumns, tree: int, sampled: npt.NDArray[np.int64], n_rows: int) -> BothColumns:
        """Both parties' columns for the tree that was begun."""
        if self._sums is None:
            raise SecureGBMError("a tree cannot grow before the feature party was greeted")
        return BothColumns(own, self._talk, self._sums, tree, sampled, n_rows, self._config.hide_instances)

    def commit(self, tree: int) -> None:
        """Let the feature party store its splits of the tree."""
        self._talk.ask(Kind.COMMIT, tree)

    def finish(self, kept: int) -> None:
        """Say how many trees are kept."""
        self._talk.ask(Kind.FINISH, fields={"trees": kept})

    def abort(self, reason: str) -> None:
        """Tell the feature party why the run ends here, if it can still be told."""
        self._talk.abort(reason)

    def close(self) -> None:
        """End worker processes; a new greeting makes new keys."""
        if self._sums is not None:
            self._sums.close()
            self._sums = None
