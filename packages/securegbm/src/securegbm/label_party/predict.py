"""Prediction: the feature party is asked once a batch, or once a level with `path_only`."""

from collections.abc import Callable

import numpy as np

from securegbm.errors import SecureGBMError, SessionLostError
from securegbm.model.contributions import contributions
from securegbm.model.halves import Flags, Floats, LabelHalf
from securegbm.tables.table import Table, unpack_bits
from securegbm.wire.channel import Channel, Conversation
from securegbm.wire.messages import Kind, Log, Message

MOST_SCORED = 1 << 16
"""Rows of one request; more are sent in several."""


class Predictor:
    """Scores rows with both halves of a model.

    Args:
        half: The label party's half.
        channel: The way to the feature party.
        key: Secret shared with it.
        log: Called with every message.
        path_only: Ask only for the nodes on a row's path: the feature party then learns the path, the label party
            learns nothing beside it; costs one round trip per level instead of one per batch.

    Attributes:
        known: `(rows,)` which rows of the last call the feature party knows (all, when it does not say); the others
            were scored with its columns missing.
    """

    def __init__(
        self, half: LabelHalf, channel: Channel, key: bytes = b"", log: Log | None = None, path_only: bool = False
    ) -> None:
        self.half, self._key, self._path_only = half, key, path_only
        if not half.run:
            raise SecureGBMError("the model half has no run id; read it from its run's folder, or give the run")
        self._talk = Conversation(channel, half.run, key, log)
        self._greeted = False
        self.known: Flags = np.ones(0, dtype=bool)

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
        return self._with_decisions(table, lambda values, other: self.half.scores(values, other))

    def contributions(self, table: Table) -> Floats:
        """SHAP values of the raw scores, `(num_class, rows, columns + 1)`; see `model.contributions`.

        Raises:
            SecureGBMError: If columns or ids do not fit the model, or only the decisions on the path are asked for.
        """
        if self._path_only:
            raise SecureGBMError("SHAP values need every decision on a row, not those on its path; leave out path_only")
        return self._with_decisions(table, lambda values, other: contributions(self.half, values, other))

    def _with_decisions(self, table: Table, use: Callable[[Floats, Flags], Floats]) -> Floats:
        """What `use` makes of own values and the feature party's decisions, batch by batch, joined over the rows."""
        if table.names != self.half.names:
            raise SecureGBMError(f"the model was trained on columns {', '.join(self.half.names)}; give these, in order")
        try:
            return self._batches(table, use)
        except SessionLostError:
            self._greeted = False
            return self._batches(table, use)

    def _batches(self, table: Table, use: Callable[[Floats, Flags], Floats]) -> Floats:
        self._greet()
        tokens = table.id_tokens(self._key)
        self.known = np.ones(len(tokens), dtype=bool)
        out = []
        for at in range(0, len(tokens), MOST_SCORED):
            values, named = table.values[at : at + MOST_SCORED], tokens[at : at + MOST_SCORED]
            out.append(use(values, (self._on_path if self._path_only else self._everywhere)(values, named, at)))
        return np.concatenate(out, axis=1)

    def _everywhere(self, values: Floats, tokens: list[bytes], at: int) -> Flags:
        count, n_splits = len(tokens), len(self.half.other_nodes)
        reply = self._talk.ask(Kind.EVALUATE, parts=[b"".join(tokens)])
        self._note(reply, count, at)
        return unpack_bits(reply.part(0), count * n_splits).reshape(count, n_splits)

    def _note(self, reply: Message, count: int, at: int) -> None:
        if len(reply.parts) > 1:
            self.known[at : at + count] = unpack_bits(reply.part(1), count)

    def predict(self, table: Table) -> Floats:
        """Probabilities, or predictions of a regression, `(num_class, rows)`."""
        return self.half.objective.transform(self.scores(table))

    def _on_path(self, values: Floats, tokens: list[bytes], at: int) -> Flags:
        half, n_rows = self.half, len(tokens)
        number_of = {node: number for number, node in enumerate(half.other_nodes)}
        known = np.zeros((n_rows, len(number_of)), dtype=bool)
        asked = np.zeros_like(known)
        while True:
            wanted = half.next_on_path(values, known, asked)
            if not wanted.any():
                return known
            pairs = np.argwhere(wanted).astype("<u4")
            parts = [b"".join(tokens), pairs.tobytes()]
            reply = self._talk.ask(Kind.EVALUATE, fields={"path_only": True}, parts=parts)
            self._note(reply, n_rows, at)
            known[wanted] = unpack_bits(reply.part(0), len(pairs))
            asked |= wanted
