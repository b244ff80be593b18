"""The feature party B: owns columns, answers requests, remembers which of its splits were chosen, and nothing else."""

import secrets
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from securegbm.binning import BinConfig, ColumnBins
from securegbm.errors import ProtocolError, SecureGBMError, SessionLostError
from securegbm.feature_policy import FeaturePolicy
from securegbm.feature_run import Answer, FeatureRun
from securegbm.messages import Endpoint, Kind, Log, Message, digest_of, peek
from securegbm.model import FeatureHalf, FeatureSplit
from securegbm.store import TreeStore, dump_json, read_json, write_atomically
from securegbm.table import Table


class FeatureParty:
    """Answers the label party's messages.

    Args:
        table: This party's columns.
        policy: What it agrees to.
        key: Secret shared with the label party; authenticates messages and hides ids.
        state: Folder for checkpoints and the model half; none keeps them in memory.
        log: Called with every message.
        serving: Rows to answer predictions for; none answers for the training rows.
        tell: Called with one sentence whenever a session ends early, at this party's or the other's wish.
    """

    def __init__(
        self,
        table: Table,
        policy: FeaturePolicy | None = None,
        key: bytes = b"",
        state: Path | None = None,
        log: Log | None = None,
        serving: Table | None = None,
        tell: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        self.table, self.policy, self.key = table, policy or FeaturePolicy(), key
        self.serve(serving or table)
        self._folder, self._tell = state, tell
        self._endpoint = Endpoint(key, log)
        self._lock = threading.Lock()
        self._session: bytes | None = None
        self._run: FeatureRun | None = None
        self._retry: tuple[bytes, bytes] | None = None
        self._stores: dict[bytes, TreeStore] = {}
        self._edges: dict[bytes, list[ColumnBins]] = {}
        self._finished: dict[bytes, int] = {}
        self._halves: dict[bytes, FeatureHalf] = {}

    def serve(self, table: Table) -> None:
        """Answer predictions for the rows of `table` from now on.

        Raises:
            SecureGBMError: If its columns are not those of the training table.
        """
        if table.names != self.table.names:
            raise SecureGBMError("the serving table has other columns than the training table; give the same, in order")
        self.serving = table
        self._row_of = {token: row for row, token in enumerate(table.id_tokens(self.key))}

    def close(self) -> None:
        """End the session and its worker processes."""
        if self._run is not None:
            self._run.close()
        self._session = self._run = None

    def handle(self, data: bytes) -> bytes:
        """Answer one encoded message with one encoded message; a fault becomes an abort with one clear sentence."""
        with self._lock:
            if self._retry is not None and digest_of(data) == self._retry[0]:
                return self._retry[1]
            session = bytes(16)
            try:
                if self._session is None and peek(data)[0] not in (Kind.HELLO, Kind.ABORT):
                    raise SessionLostError("the feature party was restarted; greet it again")
                message = self._endpoint.decode(data)
                session = message.session
                reply = self._endpoint.encode(self._answer(message))
                self._retry = (digest_of(data), reply)
            except SecureGBMError as error:
                return self._abort(session, str(error), lost=isinstance(error, SessionLostError))
            except (KeyError, TypeError, ValueError, IndexError, struct.error):
                return self._abort(session, "a message lacks a field or has a wrong one; the session ends", lost=False)
            except (OSError, MemoryError) as error:
                return self._abort(session, f"the feature party's machine failed it ({type(error).__name__})", lost=False)
            return reply

    def _abort(self, session: bytes, reason: str, lost: bool) -> bytes:
        self.close()
        self._retry = None
        self._tell(reason)
        return self._endpoint.encode(Message(Kind.ABORT, session, fields={"reason": reason, "lost": lost}))

    def _answer(self, message: Message) -> Message:
        if message.kind == Kind.ABORT:
            self.close()
            self._tell(f"the label party ended the session: {message.fields.get('reason')}")
            return Message(Kind.ABORT, message.session, fields={"reason": "as the label party wished", "lost": False})
        if message.kind == Kind.HELLO:
            fields, parts = self._hello(message), []
        elif message.session != self._session:
            raise SessionLostError("the feature party was restarted or serves another job; greet it again")
        else:
            fields, parts = self._answer_within(message)
        return Message(message.kind, message.session, message.tree, message.node, fields, parts)

    def _answer_within(self, message: Message) -> Answer:
        if message.kind == Kind.EVALUATE:
            return self._evaluate(message)
        run = self._run
        if run is None:
            raise ProtocolError(f"a message of kind {message.kind.name} was not expected; the session ends")
        if message.kind == Kind.TREE:
            answer = run.begin(message)
            self._forget_half(message.session)
            return answer
        if message.kind == Kind.FINISH:
            return self._finish(message)
        answers = {Kind.KEYS: run.keys, Kind.SUMS: run.sums, Kind.SPLIT: run.split, Kind.COMMIT: run.commit}
        return answers[message.kind](message)

    def store(self, session: bytes) -> TreeStore:
        """The committed trees of a job."""
        if session not in self._stores:
            self._stores[session] = TreeStore(self._folder / session.hex() if self._folder else None)
        return self._stores[session]

    def half(self, session: bytes) -> FeatureHalf:
        """This party's half of the model of a job."""
        if session not in self._halves:
            path = self.store(session).file("model.json")
            if path is not None and path.exists():
                self._halves[session] = FeatureHalf.from_dict(read_json(path))
            else:
                self._halves[session] = self._make_half(session)
        return self._halves[session]

    def _make_half(self, session: bytes) -> FeatureHalf:
        store = self.store(session)
        records = store.records[: self._finished.get(session, len(store.records))]
        splits = [FeatureSplit(**split) for record in records for split in record["splits"]]
        columns = self._edges.get(session, [])
        if records and not columns:
            columns = self.table.bin(BinConfig(**records[0]["bins"]), store.file("edges.json"))[0]
        used = sorted({split.feature for split in splits})
        return FeatureHalf(self.table.names, {feature: columns[feature] for feature in used}, splits)

    def _forget_half(self, session: bytes) -> None:
        self._finished.pop(session, None)
        self._halves.pop(session, None)
        if (path := self.store(session).file("model.json")) is not None:
            path.unlink(missing_ok=True)

    def _hello(self, message: Message) -> dict[str, Any]:
        self.close()
        nonce = {"nonce": secrets.token_hex(16)}
        if message.fields.get("purpose") == "predict":
            if not self.store(message.session).records:
                raise SecureGBMError("this party holds no model of that job; train it first or check the job's name")
            half = self.half(message.session)
            self._session = message.session
            return nonce | {"splits": [[s.tree, s.node] for s in half.splits]}
        parameters = self.policy.check(message.fields, self.table, self.key)
        self._run = FeatureRun(self.table, self.policy, message.fields, parameters, self.store(message.session))
        self._session, self._edges[message.session] = message.session, self._run.edges
        return nonce | self._run.greeting()

    def _finish(self, message: Message) -> Answer:
        session = message.session
        self._forget_half(session)
        self._finished[session] = int(message.fields["trees"])
        path = self.store(session).file("model.json")
        if path is not None:
            write_atomically(path, dump_json(self.half(session).to_dict()))
        return {}, []

    def _evaluate(self, message: Message) -> Answer:
        tokens = message.parts[0]
        rows = [self._row_of.get(tokens[at : at + 16], -1) for at in range(0, len(tokens), 16)]
        if min(rows, default=0) < 0:
            raise SecureGBMError(
                f"{rows.count(-1)} of {len(rows)} ids are not in the feature party's serving table; send known ids"
            )
        values = self.serving.values[np.array(rows, dtype=np.int64)]
        half = self.half(message.session)
        if message.fields.get("path_only"):
            pairs = np.frombuffer(message.parts[1], dtype="<u4").reshape(-1, 2)
            if pairs.size and (pairs[:, 0].max() >= len(rows) or pairs[:, 1].max() >= len(half.splits)):
                raise ProtocolError("a prediction asks for a row or a split that does not exist; the session ends")
            return {}, [np.packbits(half.decide_pairs(values, pairs)).tobytes()]
        return {}, [np.packbits(half.decide(values)).tobytes()]
