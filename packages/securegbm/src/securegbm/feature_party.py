"""The feature party B: owns columns, answers requests, remembers which of its splits were chosen, and nothing else."""

import hashlib
import secrets
import struct
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from securegbm.binning import BinConfig, Bins, ColumnBins, EntryIndex
from securegbm.blanking import merge_small_bins
from securegbm.errors import ProtocolError, SecureGBMError, SessionLostError
from securegbm.messages import Endpoint, Kind, Log, Message, digest_of, peek
from securegbm.model import FeatureHalf, FeatureSplit
from securegbm.parameters import BFVParameters
from securegbm.store import TreeStore, dump_json, read_json, write_atomically
from securegbm.sums import EncryptedFeatureSums, FeatureSums, PlainFeatureSums
from securegbm.table import Table, unpack_bits


@dataclass(frozen=True)
class FeaturePolicy:
    """What the feature party agrees to; the label party cannot change it.

    Args:
        min_bin_rows: Sums of bins with fewer rows than this in a request are merged with their neighbours' (0: never;
            then the trees equal LightGBM's).
        require_hiding: Refuse runs that tell this party which rows are in a node, or that skip hiding.
        allow_plain: Answer requests without encryption (tests, baselines).
        allow_toy: Accept parameters that do not sanitise replies (tests, demonstrations).
        max_trees: Refuse to take part in more trees.
        workers: Processes for the arithmetic (0: this one).
        cache_bytes: Memory for masks of row sets that come again.
    """

    min_bin_rows: int = 0
    require_hiding: bool = False
    allow_plain: bool = False
    allow_toy: bool = False
    max_trees: int = 10_000
    workers: int = 0
    cache_bytes: int = 1 << 30


@dataclass
class _Run:
    """A training run after its greeting."""

    session: bytes
    hides: bool
    sums: FeatureSums | None
    parameters: BFVParameters | None
    tree: int = -1
    rows: npt.NDArray[np.int64] | None = None


class FeatureParty:
    """Answers the label party's messages.

    Args:
        table: This party's columns.
        policy: What it agrees to.
        key: Secret shared with the label party; authenticates messages and hides ids.
        state: Folder for checkpoints and the model half; none keeps them in memory.
        log: Called with every message.
        serving: Rows to answer predictions for; none answers for the training rows.
    """

    def __init__(
        self,
        table: Table,
        policy: FeaturePolicy | None = None,
        key: bytes = b"",
        state: Path | None = None,
        log: Log | None = None,
        serving: Table | None = None,
    ) -> None:
        self.table, self.policy, self.key = table, policy or FeaturePolicy(), key
        self.serve(serving or table)
        self._folder = state
        self._endpoint = Endpoint(key, log)
        self._lock = threading.Lock()
        self._run: _Run | None = None
        self._retry: tuple[bytes, bytes] | None = None
        self._binned: tuple[BinConfig, list[ColumnBins], Bins] | None = None
        self._stores: dict[bytes, TreeStore] = {}
        self._finished: dict[bytes, int] = {}
        self._halves: dict[bytes, FeatureHalf] = {}
        self._pending: list[FeatureSplit] = []

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
        """End worker processes."""
        if self._run is not None and self._run.sums is not None:
            self._run.sums.close()
        self._run = None

    def handle(self, data: bytes) -> bytes:
        """Answer one encoded message with one encoded message; a fault becomes an abort with one clear sentence."""
        with self._lock:
            if self._retry is not None and digest_of(data) == self._retry[0]:
                return self._retry[1]
            session = bytes(16)
            try:
                if self._run is None and peek(data)[0] != Kind.HELLO:
                    raise SessionLostError("the feature party was restarted; greet it again")
                message = self._endpoint.decode(data)
                session = message.session
                reply = self._endpoint.encode(self._answer(message))
                self._retry = (digest_of(data), reply)
            except SessionLostError as error:
                return self._abort(session, str(error), lost=True)
            except SecureGBMError as error:
                return self._abort(session, str(error), lost=False)
            except (KeyError, TypeError, ValueError, IndexError, struct.error):
                return self._abort(session, "a message lacks a field or has a wrong one; the session ends", lost=False)
            return reply

    def _abort(self, session: bytes, reason: str, lost: bool) -> bytes:
        self.close()
        self._retry = None
        return self._endpoint.encode(Message(Kind.ABORT, session, fields={"reason": reason, "lost": lost}))

    def _answer(self, message: Message) -> Message:
        if message.kind == Kind.HELLO:
            fields, parts = self._hello(message), []
        elif self._run is None or message.session != self._run.session:
            raise SessionLostError("the feature party was restarted or serves another job; greet it again")
        else:
            answers = {
                Kind.KEYS: self._keys,
                Kind.TREE: self._tree,
                Kind.SUMS: self._sums,
                Kind.SPLIT: self._split,
                Kind.COMMIT: self._commit,
                Kind.FINISH: self._finish,
                Kind.EVALUATE: self._evaluate,
            }
            if message.kind not in answers:
                raise ProtocolError(f"a message of kind {message.kind.name} was not expected; the session ends")
            fields, parts = answers[message.kind](message, self._run)
        return Message(message.kind, message.session, message.tree, message.node, fields, parts)

    def store(self, session: bytes) -> TreeStore:
        """The committed trees of a job."""
        if session not in self._stores:
            self._stores[session] = TreeStore(self._folder / session.hex() if self._folder else None)
        return self._stores[session]

    def half(self, session: bytes) -> FeatureHalf:
        """This party's half of the model of a job."""
        store = self.store(session)
        path = store.file("model.json")
        if path is not None and path.exists():
            if session not in self._halves:
                self._halves[session] = FeatureHalf.from_dict(read_json(path))
            return self._halves[session]
        records = store.records[: self._finished.get(session, len(store.records))]
        splits = [FeatureSplit(**split) for record in records for split in record["splits"]]
        columns = self._bin(BinConfig(**records[0]["bins"]), store)[0] if records else []
        used = sorted({split.feature for split in splits})
        return FeatureHalf(self.table.names, {feature: columns[feature] for feature in used}, splits)

    def _bin(self, config: BinConfig, store: TreeStore) -> tuple[list[ColumnBins], Bins]:
        if self._binned is None or self._binned[0] != config:
            self._binned = (config, *self.table.bin(config, store.file("edges.json")))
        return self._binned[1], self._binned[2]

    def _hello(self, message: Message) -> dict[str, Any]:
        fields = message.fields
        self.close()
        if fields.get("purpose") == "predict":
            self._run = _Run(message.session, False, None, None)
            half = self.half(message.session)
            if not self.store(message.session).records:
                raise SecureGBMError("this party holds no model of that job; train it first or check the job's name")
            return {"nonce": secrets.token_hex(16), "splits": [[s.tree, s.node] for s in half.splits]}
        if fields["rows"] != len(self.table.ids):
            raise SecureGBMError(
                f"the label party has {fields['rows']} rows, the feature party {len(self.table.ids)}; align the tables"
            )
        if fields["ids"] != self.table.id_digest(self.key):
            raise SecureGBMError(
                "the ids or their order differ between the parties (or the shared secrets do); align the tables by id"
            )
        if fields["label"] in self.table.names:
            raise SecureGBMError(
                f"column {fields['label']!r} is the label and is in the feature party's table; "
                "labels belong to the label party alone, remove it here"
            )
        self._check_policy(fields)
        config = BinConfig(**fields["bins"])
        store = self.store(message.session)
        store.bind(
            "job.json", {"table": self.table.digest(), "bins": fields["bins"], "min_bin_rows": self.policy.min_bin_rows}
        )
        columns, bins = self._bin(config, store)
        parameters = None
        if fields["encryption"] != "none":
            parameters = BFVParameters.from_dict(fields["parameters"])
            if parameters.toy and not self.policy.allow_toy:
                raise SecureGBMError("the label party asks for toy encryption; this party accepts standard and strong")
            parameters.check(len(self.table.ids), len(self.table.names), int(fields["privacy_bits"]))
        self._run = _Run(message.session, bool(fields["hide_instances"]), None, parameters)
        self._index = EntryIndex([column.layout for column in columns])
        self._bins_of_rows = bins
        if parameters is None:
            self._run.sums = PlainFeatureSums(self._index.size)
        return {
            "nonce": secrets.token_hex(16),
            "committed": len(store.records),
            "layouts": [vars(column.layout) for column in columns],
            "min_bin_rows": self.policy.min_bin_rows,
        }

    def _check_policy(self, fields: dict[str, Any]) -> None:
        if self.policy.require_hiding and not fields["hide_instances"]:
            raise SecureGBMError("the feature party requires hide_instances; set it at the label party")
        if fields["encryption"] == "none" and not self.policy.allow_plain:
            raise SecureGBMError("the label party asks to work without encryption; this party refuses that")
        if fields["trees"] > self.policy.max_trees:
            raise SecureGBMError(
                f"{fields['trees']} trees were asked for; this party takes part in at most {self.policy.max_trees}"
            )

    def _keys(self, message: Message, run: _Run) -> tuple[dict[str, Any], list[bytes]]:
        if run.parameters is None or run.sums is not None:
            raise ProtocolError("keys were not expected now; the session ends")
        run.sums = EncryptedFeatureSums(
            run.parameters, message.parts, self._index.size, self.policy.workers, self.policy.cache_bytes
        )
        return {}, []

    def _tree(self, message: Message, run: _Run) -> tuple[dict[str, Any], list[bytes]]:
        store = self.store(run.session)
        if not 0 <= message.tree <= len(store.records):
            raise ProtocolError(f"tree {message.tree} cannot begin after {len(store.records)} trees; the session ends")
        store.truncate(message.tree)
        self._finished.pop(run.session, None)
        self._halves.pop(run.session, None)
        if (path := store.file("model.json")) is not None:
            path.unlink(missing_ok=True)
        self._pending = []
        run.tree, run.rows = message.tree, None
        if run.hides:
            run.rows = np.flatnonzero(unpack_bits(message.parts[0], len(self.table.ids)))
        return {}, []

    def _rows(self, message: Message, run: _Run) -> tuple[npt.NDArray[np.int64], list[bytes]]:
        if message.tree != run.tree:
            raise ProtocolError(f"a message of tree {message.tree} arrived during tree {run.tree}; the session ends")
        if run.hides:
            if not message.fields.get("all_rows"):
                raise ProtocolError("a node's rows arrived in a session that hides them; the session ends")
            everyone = np.arange(len(self.table.ids))
            return (run.rows if run.rows is not None and message.kind == Kind.SUMS else everyone), message.parts
        if not message.parts:
            raise ProtocolError("a request names no rows; the session ends")
        return np.flatnonzero(unpack_bits(message.parts[0], len(self.table.ids))), message.parts[1:]

    def _sums(self, message: Message, run: _Run) -> tuple[dict[str, Any], list[bytes]]:
        rows, parts = self._rows(message, run)
        if run.sums is None:
            raise ProtocolError("sums were asked for before keys were sent; the session ends")
        bins = self._bins_of_rows[rows]
        if self.policy.min_bin_rows > 1:
            layouts = [column.layout for column in self._bin_columns()]
            bins = merge_small_bins(bins, layouts, self.policy.min_bin_rows)
        comes_again = run.hides or len(rows) == len(self.table.ids)
        name = hashlib.sha256(rows.tobytes()).digest() if comes_again else None
        return {}, run.sums.add(message.fields, parts, self._index(bins), name)

    def _bin_columns(self) -> list[ColumnBins]:
        assert self._binned is not None
        return self._binned[1]

    def _split(self, message: Message, run: _Run) -> tuple[dict[str, Any], list[bytes]]:
        rows, _ = self._rows(message, run)
        columns, fields = self._bin_columns(), message.fields
        feature, threshold = int(fields["feature"]), int(fields["threshold"])
        if not 0 <= feature < len(columns) or not 0 <= threshold < columns[feature].layout.num_bin - 1:
            raise ProtocolError("a split names a feature or a bin that does not exist; the session ends")
        if any(split.node == message.node for split in self._pending):
            raise ProtocolError(f"node {message.node} was split twice; the session ends")
        column = columns[feature]
        default_left = bool(fields["default_left"])
        upper = float(column.upper[min(threshold, len(column.upper) - 1)])
        self._pending.append(FeatureSplit(message.tree, message.node, feature, threshold, upper, default_left))
        left = column.layout.goes_left(self._bins_of_rows[rows, feature], threshold, default_left)
        return {}, [np.packbits(left).tobytes()]

    def _commit(self, message: Message, run: _Run) -> tuple[dict[str, Any], list[bytes]]:
        store = self.store(run.session)
        if message.tree != run.tree or message.tree != len(store.records):
            raise ProtocolError(f"tree {message.tree} cannot be committed now; the session ends")
        assert self._binned is not None
        record = {"bins": vars(self._binned[0]), "splits": [vars(split) for split in self._pending]}
        store.append(record)
        self._pending = []
        return {"committed": len(store.records)}, []

    def _finish(self, message: Message, run: _Run) -> tuple[dict[str, Any], list[bytes]]:
        store = self.store(run.session)
        self._finished[run.session] = int(message.fields["trees"])
        self._halves.pop(run.session, None)
        path = store.file("model.json")
        if path is not None:
            path.unlink(missing_ok=True)
            write_atomically(path, dump_json(self.half(run.session).to_dict()))
        return {}, []

    def _evaluate(self, message: Message, run: _Run) -> tuple[dict[str, Any], list[bytes]]:
        tokens = message.parts[0]
        rows = [self._row_of.get(tokens[at : at + 16], -1) for at in range(0, len(tokens), 16)]
        if min(rows, default=0) < 0:
            raise SecureGBMError(
                f"{rows.count(-1)} of {len(rows)} ids are not in the feature party's serving table; send known ids"
            )
        values = self.serving.values[np.array(rows, dtype=np.int64)]
        half = self.half(run.session)
        if message.fields.get("path_only"):
            pairs = np.frombuffer(message.parts[1], dtype="<u4").reshape(-1, 2)
            if pairs.size and (pairs[:, 0].max() >= len(rows) or pairs[:, 1].max() >= len(half.splits)):
                raise ProtocolError("a prediction asks for a row or a split that does not exist; the session ends")
            return {}, [np.packbits(half.decide_pairs(values, pairs)).tobytes()]
        return {}, [np.packbits(half.decide(values)).tobytes()]
