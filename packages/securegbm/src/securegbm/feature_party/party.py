"""The feature party B: owns columns, answers requests, remembers which of its splits were chosen, and nothing else."""

import secrets
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from securegbm.errors import ForgedError, ProtocolError, SecureGBMError, SessionLostError
from securegbm.feature_party.policy import FeaturePolicy
from securegbm.feature_party.run import SMALL, Answer, FeatureRun
from securegbm.label_party.predict import MOST_SCORED
from securegbm.model.halves import FeatureHalf, FeatureSplit
from securegbm.state.registry import Registry
from securegbm.state.store import TreeStore, dump_json, read_json, write_atomically
from securegbm.tables.binning import BinConfig, ColumnBins
from securegbm.tables.table import Table
from securegbm.wire.channel import LEAVES
from securegbm.wire.messages import Endpoint, Kind, Log, Message, digest_of, peek
from securegbm.wire.schema import REQUESTS, check


class FeatureParty:
    """Answers the label party's messages.

    Args:
        table: This party's columns.
        policy: What it agrees to.
        key: Secret shared with the label party; authenticates messages and hides ids.
        state: Folder for checkpoints and the model half; none keeps them in memory.
        log: Called with every message.
        serving: Rows to answer predictions for; none answers for the training rows.
        parties: What names both parties' keys; runs are bound to it.
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
        parties: str = "",
    ) -> None:
        self.table, self.policy, self.key = table, policy or FeaturePolicy(), key
        if table.categorical and self.policy.min_bin_rows > 1:
            raise SecureGBMError("min_bin_rows merges neighbouring bins, and categories have no neighbours; leave one out")
        self.serve(serving or table)
        self._registry, self._tell, self._parties = Registry(state) if state else None, tell, parties
        self._endpoint = Endpoint(key, log)
        self._lock = threading.Lock()
        self._session: bytes | None = None
        self._run: FeatureRun | None = None
        self._retry: tuple[bytes, bytes] | None = None
        self._stores: dict[bytes, TreeStore] = {}
        self._edges: dict[bytes, list[ColumnBins]] = {}
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
                check(message, REQUESTS)
                reply = self._endpoint.encode(self._answer(message))
                self._retry = (digest_of(data), reply)
            except ForgedError as error:
                self._tell(f"{error} (what this party does goes on)")
                return self._refusal(session, str(error), lost=False)
            except SecureGBMError as error:
                return self._abort(session, str(error), lost=isinstance(error, SessionLostError))
            except (OSError, MemoryError) as error:
                return self._abort(session, f"the feature party's machine failed it ({type(error).__name__})", lost=False)
            except Exception as error:  # whatever arrives must not end the server
                return self._abort(session, f"a message cannot be answered ({type(error).__name__}); it ends", lost=False)
            return reply

    def limit(self) -> int:
        """Bytes of the longest message that is read now: what was agreed at the greeting can need no more."""
        run, session = self._run, self._session
        if run is not None:
            return run.limit
        trees = max([split.tree for split in self.half(session).splits], default=0) + 1 if session is not None else 0
        return SMALL + (16 + 8 * trees) * MOST_SCORED if session is not None else SMALL

    def oversized(self) -> bytes:
        """The answer to a message that is longer; it was not read, so nothing changes."""
        if self._session is None:
            return self._refusal(bytes(16), "the feature party was restarted; greet it again", lost=True)
        reason = "a message is longer than what was agreed needs"
        self._tell(reason)
        return self._refusal(bytes(16), reason, lost=False)

    def in_session(self) -> bool:
        """Whether a run is being trained."""
        return self._run is not None and self._session is not None and self.store(self._session).finished is None

    def farewell(self) -> bytes:
        """The answer to everything once this party is interrupted."""
        return self._refusal(self._session or bytes(16), LEAVES, lost=False)

    def _abort(self, session: bytes, reason: str, lost: bool) -> bytes:
        self.close()
        self._retry = None
        self._tell(reason)
        return self._refusal(session, reason, lost)

    def _refusal(self, session: bytes, reason: str, lost: bool) -> bytes:
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
            return run.begin(message)
        if message.kind == Kind.FINISH:
            return self._finish(message)
        answers = {
            Kind.KEYS: run.keys,
            Kind.SUMS: run.sums,
            Kind.SPLIT: run.split,
            Kind.COMMIT: run.commit,
            Kind.OPEN: run.open,
        }
        return answers[message.kind](message)

    def store(self, run: bytes) -> TreeStore:
        """The committed trees of a run."""
        if run not in self._stores:
            self._stores[run] = TreeStore(self._registry.folder(run) if self._registry else None)
        return self._stores[run]

    def half(self, run: bytes) -> FeatureHalf:
        """This party's half of the model of a run."""
        if run not in self._halves:
            path = self.store(run).file("model.json")
            if path is not None and path.exists():
                self._halves[run] = FeatureHalf.from_dict(read_json(path))
            else:
                self._halves[run] = self._make_half(run, len(self.store(run).records))
        return self._halves[run]

    def _make_half(self, session: bytes, trees: int) -> FeatureHalf:
        store = self.store(session)
        records = store.records[:trees]
        splits = [FeatureSplit(**split) for record in records for split in record["splits"]]
        columns = self._edges.get(session, [])
        if records and not columns:
            columns = self.table.bin(BinConfig(**records[0]["bins"]), store.file("edges.json"))[0]
        used = sorted({split.feature for split in splits})
        return FeatureHalf(self.table.names, {feature: columns[feature] for feature in used}, splits, self.table.rules)

    def _known(self, run: bytes) -> TreeStore | None:
        """The trees of a run that was begun here and is not retired."""
        if self._registry is None:
            return self._stores.get(run)
        folder = self._registry.folder(run)
        return self.store(run) if (folder / "job.json").exists() and not (folder / "retired.json").exists() else None

    def _hello(self, message: Message) -> dict[str, Any]:
        self.close()
        nonce = {"nonce": secrets.token_hex(16)}
        if message.fields.get("purpose") == "predict":
            store = self._known(message.session)
            if store is None or store.finished is None:
                raise SecureGBMError(
                    "the feature party serves no finished model of that run: the halves belong to different runs, or it is "
                    "open or retired; compare `securegbm models list` of both sides"
                )
            half = self.half(message.session)
            self._session = message.session
            return nonce | {"splits": [split.tree for split in half.splits], "last": store.last(store.finished)}
        if message.fields.get("label") in self.table.names:
            self._tell(
                f"the label party's label is called {message.fields['label']!r}, like one of your columns; labels belong to "
                "the label party alone, check that it is not the same"
            )
        parameters = self.policy.check(message.fields, self.table, self.key)
        named = message.fields.get("continues")
        continued = self._known(bytes.fromhex(named["run"])) if named else None
        if named and continued is None:
            raise SecureGBMError("the feature party holds no run of that id to continue; compare both `models list`")
        store = self.store(message.session)
        self._run = FeatureRun(
            self.table, self.policy, message.fields, parameters, store, message.session, self._parties, continued
        )
        self._session, self._edges[message.session] = message.session, self._run.edges
        return nonce | self._run.greeting()

    def _finish(self, message: Message) -> Answer:
        run, kept = message.session, int(message.fields["trees"])
        store = self.store(run)
        if not 0 <= kept <= len(store.records) or store.finished not in (None, kept):
            raise ProtocolError("a run was finished with another number of trees than it has; the session ends")
        self._halves[run] = self._make_half(run, kept)
        if (path := store.file("model.json")) is not None:
            write_atomically(path, dump_json(self._halves[run].to_dict()))
        store.finish(kept)
        return {}, []

    def _evaluate(self, message: Message) -> Answer:
        tokens = message.parts[0]
        if len(tokens) % 16 or len(tokens) > 16 * MOST_SCORED:
            raise ProtocolError(f"a prediction asks for more than {MOST_SCORED} rows, or for half a row; the session ends")
        rows = [self._row_of.get(tokens[at : at + 16], -1) for at in range(0, len(tokens), 16)]
        known = np.array(rows, dtype=np.int64) >= 0
        if self.policy.unknown == "refuse" and not known.all():
            raise SecureGBMError("the feature party answers no batch with rows that not both parties know")
        half = self.half(message.session)
        half.check(self.serving)
        values = self.serving.values[np.array(rows, dtype=np.int64)]
        values[~known] = np.nan
        flags = [np.packbits(known).tobytes()] if self.policy.unknown == "flag" else []
        if message.fields.get("path_only"):
            pairs = np.frombuffer(message.parts[1], dtype="<u4").reshape(-1, 2)
            if pairs.size and (pairs[:, 0].max() >= len(rows) or pairs[:, 1].max() >= len(half.splits)):
                raise ProtocolError("a prediction asks for a row or a split that does not exist; the session ends")
            return {}, [np.packbits(half.decide_pairs(values, pairs)).tobytes(), *flags]
        return {}, [np.packbits(half.decide(values)).tobytes(), *flags]
