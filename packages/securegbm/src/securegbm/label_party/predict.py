"""Prediction: the feature party is asked once a batch, or once a level with `path_only`."""

from collections.abc import Callable
from typing import Any

import numpy as np

from securegbm.errors import SecureGBMError, SessionLostError
from securegbm.model.contributions import contributions
from securegbm.model.halves import Flags, Floats, LabelHalf
from securegbm.state.store import piece
from securegbm.tables.table import Table, unpack_bits
from securegbm.wire.channel import Partners, partners_of
from securegbm.wire.messages import Kind, Log, Message

MOST_SCORED = 1 << 16
"""Rows of one request; more are sent in several."""


class Predictor:
    """Scores rows with both halves of a model.

    Args:
        half: The label party's half.
        channel: The way to the feature party, or to each in the order of training.
        key: Secret shared with it.
        log: Called with every message.
        path_only: Ask only for the nodes on a row's path: the feature party then learns the path, the label party
            learns nothing beside it; costs one round trip per level instead of one per batch.

    Attributes:
        known: `(rows,)` which rows of the last call the feature party knows (all, when it does not say); the others
            were scored with its columns missing.
    """

    def __init__(
        self, half: LabelHalf, channel: Partners, key: bytes = b"", log: Log | None = None, path_only: bool = False
    ) -> None:
        self.half, self._path_only = half, path_only
        if not half.run:
            raise SecureGBMError("the model half has no run id; read it from its run's folder, or give the run")
        if len(half.others) > 1 and not half.last:
            raise SecureGBMError(
                "a model of several feature parties lies outside of its run's folder, so their order cannot be checked; "
                "read it from there (`--model party-a/runs/RUN/model.json`)"
            )
        self._partners = partners_of(channel, key, log)
        if len(self._partners) != len(half.others):
            raise SecureGBMError(f"the model is of {len(half.others)} feature parties; give the way to each, in their order")
        self._talks = [partner.talk(half.run) for partner in self._partners]
        self._greeted = False
        self.known: Flags = np.ones(0, dtype=bool)

    def _ask(
        self, partner: int, kind: Kind, fields: dict[str, Any] | None = None, parts: list[bytes] | None = None
    ) -> Message:
        """Ask one partner, whose name stands in an error when there are several."""
        try:
            return self._talks[partner].ask(kind, fields=fields, parts=parts)
        except SecureGBMError as error:
            if len(self._talks) == 1:
                raise
            raise type(error)(f"{self._partners[partner].name}: {error}") from error

    def _greet(self) -> None:
        if self._greeted:
            return
        trees = np.array([tree for tree, _ in self.half.other_nodes], dtype=np.int64)
        for partner in range(len(self._talks)):
            reply = self._ask(partner, Kind.HELLO, {"purpose": "predict"})
            same = reply.field("splits") == trees[self.half.places(partner)].tolist()
            if not same or (self.half.last and reply.field("last") != piece(self.half.last, partner)):
                name = self._partners[partner].name
                raise SecureGBMError(
                    f"the half of {name} is not the one that the model was trained with; bring the halves of one run, and "
                    "give several feature parties in the order of training"
                )
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
        used = [self.half.names[feature] for feature in self.half.columns]
        if odd := [name for name in used if table.rules.get(name) != self.half.rules.get(name)]:
            raise SecureGBMError(
                f"column {odd[0]!r} became numbers by another rule at training; read it by the half's rules"
            )
        try:
            return self._batches(table, use)
        except SessionLostError:
            self._greeted = False
            return self._batches(table, use)

    def _batches(self, table: Table, use: Callable[[Floats, Flags], Floats]) -> Floats:
        self._greet()
        tokens = [table.id_tokens(partner.key) for partner in self._partners]
        self.known = np.ones(len(table.ids), dtype=bool)
        out, ask = [], self._on_path if self._path_only else self._everywhere
        for at in range(0, len(table.ids), MOST_SCORED):
            values, named = table.values[at : at + MOST_SCORED], [own[at : at + MOST_SCORED] for own in tokens]
            out.append(use(values, ask(values, named, at)))
        return np.concatenate(out, axis=1)

    def _everywhere(self, values: Floats, tokens: list[list[bytes]], at: int) -> Flags:
        found = np.zeros((len(values), len(self.half.other_nodes)), dtype=bool)
        for partner, named in enumerate(tokens):
            places = self.half.places(partner)
            reply = self._ask(partner, Kind.EVALUATE, parts=[b"".join(named)])
            self._note(reply, len(named), at)
            found[:, places] = unpack_bits(reply.part(0), len(named) * len(places)).reshape(len(named), len(places))
        return found

    def _note(self, reply: Message, count: int, at: int) -> None:
        if len(reply.parts) > 1:
            self.known[at : at + count] &= unpack_bits(reply.part(1), count)

    def predict(self, table: Table) -> Floats:
        """Probabilities, or predictions of a regression, `(num_class, rows)`."""
        return self.half.objective.transform(self.scores(table))

    def _on_path(self, values: Floats, tokens: list[list[bytes]], at: int) -> Flags:
        half, n_rows = self.half, len(values)
        known = np.zeros((n_rows, len(half.other_nodes)), dtype=bool)
        asked = np.zeros_like(known)
        while True:
            wanted = half.next_on_path(values, known, asked)
            if not wanted.any():
                return known
            for partner, named in enumerate(tokens):
                places = half.places(partner)
                pairs = np.argwhere(wanted[:, places])
                if len(pairs):
                    parts = [b"".join(named), pairs.astype("<u4").tobytes()]
                    reply = self._ask(partner, Kind.EVALUATE, {"path_only": True}, parts)
                    self._note(reply, n_rows, at)
                    known[pairs[:, 0], places[pairs[:, 1]]] = unpack_bits(reply.part(0), len(pairs))
            asked |= wanted
