"""Prediction: the feature party is asked once a batch, or once a level with `path_only`."""

import numpy as np

from securegbm.channel import Channel, Conversation
from securegbm.errors import SecureGBMError, SessionLostError
from securegbm.messages import Kind, Log
from securegbm.model import Flags, Floats, LabelHalf
from securegbm.table import Table, unpack_bits


class Predictor:
    """Scores rows with both halves of a model.

    Args:
        half: The label party's half.
        channel: The way to the feature party.
        key: Secret shared with it.
        log: Called with every message.
        path_only: Ask only for the nodes on a row's path: the feature party then learns the path, the label party
            learns nothing beside it; costs one round trip per level instead of one per batch.
    """

    def __init__(
        self, half: LabelHalf, channel: Channel, key: bytes = b"", log: Log | None = None, path_only: bool = False
    ) -> None:
        self.half, self._key, self._path_only = half, key, path_only
        if not half.run:
            raise SecureGBMError("the model half has no run id; read it from its run's folder, or give the run")
        self._talk = Conversation(channel, half.run, key, log)
        self._greeted = False

    def _greet(self) -> None:
        if self._greeted:
            return
        reply = self._talk.ask(Kind.HELLO, fields={"purpose": "predict"})
        if reply.field("splits") != [tree for tree, _ in self.half.other_nodes]:
            raise SecureGBMError("the two halves of the model belong to different runs; bring the halves of one run")
        self._greeted = True

    def scores(self, table: Table) -> Floats:
        """Raw scores `(num_class, rows)`; the feature party looks its values up by the rows' ids.

        Raises:
            SecureGBMError: If columns or ids do not fit the model.
        """
        if table.names != self.half.names:
            raise SecureGBMError(f"the model was trained on columns {', '.join(self.half.names)}; give these, in order")
        try:
            return self._scores(table)
        except SessionLostError:
            self._greeted = False
            return self._scores(table)

    def _scores(self, table: Table) -> Floats:
        self._greet()
        tokens = b"".join(table.id_tokens(self._key))
        count, n_splits = len(table.ids), len(self.half.other_nodes)
        if self._path_only:
            return self.half.scores(table.values, self._on_path(table, tokens))
        bits = self._talk.ask(Kind.EVALUATE, parts=[tokens]).part(0)
        return self.half.scores(table.values, unpack_bits(bits, count * n_splits).reshape(count, n_splits))

    def predict(self, table: Table) -> Floats:
        """Probabilities, or predictions of a regression, `(num_class, rows)`."""
        return self.half.objective.transform(self.scores(table))

    def _on_path(self, table: Table, tokens: bytes) -> Flags:
        half, n_rows = self.half, len(table.ids)
        number_of = {node: number for number, node in enumerate(half.other_nodes)}
        known = np.zeros((n_rows, len(number_of)), dtype=bool)
        asked = np.zeros_like(known)
        while True:
            wanted = half.next_on_path(table.values, known, asked)
            if not wanted.any():
                return known
            pairs = np.argwhere(wanted).astype("<u4")
            reply = self._talk.ask(Kind.EVALUATE, fields={"path_only": True}, parts=[tokens, pairs.tobytes()])
            known[wanted] = unpack_bits(reply.part(0), len(pairs))
            asked |= wanted
