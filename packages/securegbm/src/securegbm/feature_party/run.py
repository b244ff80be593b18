"""A training run at the feature party after its greeting: keys, row sets, sums, and the splits of the open tree."""

import hashlib
import math
import secrets
from typing import Any

import numpy as np
import numpy.typing as npt

from securegbm.crypto.commitment import Commitment
from securegbm.crypto.parameters import BFVParameters
from securegbm.crypto.sums import FeatureSums, PlainFeatureSums
from securegbm.errors import ProtocolError, SecureGBMError
from securegbm.feature_party.ledger import Ledger
from securegbm.feature_party.nodes import Nodes
from securegbm.feature_party.policy import FeaturePolicy
from securegbm.model.halves import FeatureSplit
from securegbm.ring.choice import Agreed, answer, feature_sums
from securegbm.state.registry import now
from securegbm.state.store import NO_TREE, TreeStore, binding_of, dump_json, read_json, write_atomically
from securegbm.tables.binning import BinConfig, EntryIndex
from securegbm.tables.blanking import merge_small_bins
from securegbm.tables.table import Table, unpack_bits
from securegbm.wire.messages import Kind, Message

Answer = tuple[dict[str, Any], list[bytes]]
"""Fields and parts of a reply."""


SMALL = 1 << 20
"""Bytes that any message may have."""


class FeatureRun:
    """Answers the messages of one training run.

    Args:
        table: This party's columns.
        policy: What it agreed to.
        fields: The greeting's, already checked against the policy.
        parameters: Of the encryption; none works in the clear.
        store: The committed trees of the run.
        run: The run id.
        parties: What names both parties' keys.
        continued: The trees of the run that this one continues, when the greeting names one.

    Raises:
        SecureGBMError: If the run was begun with anything else, or the label party's trees are not the partners of ours.
    """

    def __init__(
        self,
        table: Table,
        policy: FeaturePolicy,
        fields: dict[str, Any],
        parameters: BFVParameters | None,
        store: TreeStore,
        run: bytes,
        parties: str = "",
        continued: TreeStore | None = None,
    ) -> None:
        self._policy, self._parameters, self._store = policy, parameters, store
        self._hides = bool(fields["hide_instances"])
        self._n_rows = len(table.ids)
        self.bins_config = BinConfig(**fields["bins"])
        bound = {
            "table": table.digest(), "bins": fields["bins"], "min_bin_rows": policy.min_bin_rows,
            "shuffled": policy.shuffle_columns, "job": fields.get("job", ""), "binding": fields.get("binding", ""),
            "parties": parties, "run": run.hex(),
        }  # fmt: skip
        if continued is not None and not store.bound:
            _continue(store, continued, fields["continues"], bound)
        store.bind("job.json", bound, {"salt": secrets.token_hex(16), "created": now(), "role": "feature"})
        self._agreed = self._agree(fields)
        self.edges, bins = table.bin(self.bins_config, store.file("edges.json"))
        self._column_of = _order(len(self.edges), store) if policy.shuffle_columns else list(range(len(self.edges)))
        self._columns = [self.edges[i] for i in self._column_of]
        self._bins = bins[:, self._column_of]
        self._index = EntryIndex([column.layout for column in self._columns])
        self._noise = round(policy.noise * (1 << int(fields["privacy_bits"])))
        self._sums: FeatureSums | None = PlainFeatureSums(self._index.size, self._noise) if parameters is None else None
        merge = parameters is not None and parameters.merge
        self._ring: Agreed = answer(fields.get("ring", "seal"), policy.ring, merge) if parameters else "seal"
        self._leaves, self._stride = int(fields["leaves"]), int(fields.get("stride") or 0)
        most = policy.max_sums or 2 * self._leaves * (2 * int(fields["trees"]) + 32)
        self._ledger = Ledger(store, most, policy.open_cells, 2 * self._leaves)
        self._commitment: Commitment | None = None
        if policy.open_cells:
            self._commitment = Commitment(self._bins, bytes.fromhex(store.bound["salt"]))
        self._nodes: Nodes | None = None
        self._asked, self._split_rows = 0, np.empty(0, dtype=np.int64)
        self.tree = -1
        self._rows: npt.NDArray[np.int64] | None = None
        self._pending: list[FeatureSplit] = []

    @property
    def limit(self) -> int:
        """Bytes of the longest message that what was agreed at the greeting can need."""
        n, parameters = self._n_rows, self._parameters
        if parameters is None:
            return SMALL + n // 8 + 16 * n
        degree, data_primes = parameters.degree, len(parameters.coeff_bits) - 1
        blocks = n / degree + 2 * math.sqrt(n * self._index.size / degree) + 2  # adaptive strides lie within 2^0.7
        if parameters.merge:
            blocks = max(blocks, n / 512 + 1)
        if self._stride:
            blocks = n / self._stride + 1
        cipher = 8 * degree * data_primes * 1.05 + 1024
        keys = 2 * cipher + (
            degree.bit_length() * 2 * data_primes * (data_primes + 1) * 8 * degree if parameters.merge else 0
        )
        return int(SMALL + n // 8 + max(2 * blocks * (cipher + 8), 2 * keys))

    def close(self) -> None:
        """End worker processes."""
        if self._sums is not None:
            self._sums.close()

    def greeting(self) -> dict[str, Any]:
        """What the label party is told of the columns: how many bins, never where they are."""
        return {
            "committed": self._agreed,
            "last": self._store.last(self._agreed),
            "binding": binding_of(self._store.bound),
            "layouts": [vars(column.layout) for column in self._columns],
            "min_bin_rows": self._policy.min_bin_rows,
            "noise": self._noise,
            "ring": self._ring,
            "commitment": self._commitment.root if self._commitment is not None else "",
        }

    def _agree(self, fields: dict[str, Any]) -> int:
        """How many trees both hold; those the label party does not have are dropped when it begins the next one."""
        held, said, step = len(self._store.records), int(fields.get("committed", 0)), int(fields.get("step", 1))
        both = min(held, said)
        if both == said and self._store.last(both) != fields.get("last", NO_TREE):
            raise SecureGBMError(
                "the trees of this run are not the same at both parties; restore the state folder of the side that lost it, "
                "or begin a new run with --replace"
            )
        if self._store.finished is not None and said < self._store.finished:
            raise SecureGBMError(
                "this run is finished and stays as it is; begin a new run with --replace, or add trees with --continue"
            )
        if held - said > step and not fields.get("roll_back"):
            raise SecureGBMError(
                f"the feature party holds {held} trees of this run and the label party {said}; restore the label party's "
                "state folder, or go on from the last common tree with --roll-back, or begin a new run with --replace"
            )
        return both

    def keys(self, message: Message) -> Answer:
        """Take the label party's keys, once."""
        if self._parameters is None or self._sums is not None:
            raise ProtocolError("keys were not expected now; the session ends")
        policy = self._policy
        self._sums = feature_sums(
            self._ring, self._parameters, message.parts, self._index.size, policy.workers, policy.cache_bytes, self._noise
        )
        return {}, []

    def begin(self, message: Message) -> Answer:
        """Begin a tree; committed trees from this one on are dropped, because the label party does not have them."""
        if self._store.finished is not None:
            raise ProtocolError("this run is finished and stays as it is; begin a new run")
        if not self._agreed <= message.tree <= len(self._store.records):
            raise ProtocolError(f"tree {message.tree} cannot begin after {len(self._store.records)} trees; the session ends")
        rows = np.flatnonzero(unpack_bits(message.parts[0], self._n_rows)) if self._hides else None
        self._store.truncate(message.tree)
        self._ledger.begin(self._n_rows)
        self._pending, self.tree, self._rows, self._asked = [], message.tree, rows, 0
        self._nodes = None if self._hides else Nodes(self._policy.min_node_rows)
        return {}, []

    def _rows_of(self, message: Message) -> tuple[npt.NDArray[np.int64], list[bytes]]:
        if message.tree != self.tree:
            raise ProtocolError(f"a message of tree {message.tree} arrived during tree {self.tree}; the session ends")
        if self._hides:
            if not message.fields.get("all_rows"):
                raise ProtocolError("a node's rows arrived in a session that hides them; the session ends")
            everyone = np.arange(self._n_rows)
            return (self._rows if self._rows is not None and message.kind == Kind.SUMS else everyone), message.parts
        if not message.parts:
            raise ProtocolError("a request names no rows; the session ends")
        return np.flatnonzero(unpack_bits(message.parts[0], self._n_rows)), message.parts[1:]

    def sums(self, message: Message) -> Answer:
        """Encrypted sums over the rows of a node, per bin."""
        rows, parts = self._rows_of(message)
        self._ledger.ask(rows)
        self._asked += 1
        if self._nodes is not None:
            self._nodes.sums(_flags(rows, self._n_rows))
        if message.node != self._asked - 1:
            raise ProtocolError("sums of a tree are not numbered in their order; the session ends")
        if self._sums is None:
            raise ProtocolError("sums were asked for before keys were sent; the session ends")
        bins = self._bins[rows]
        if self._policy.min_bin_rows > 1:
            bins = merge_small_bins(bins, [column.layout for column in self._columns], self._policy.min_bin_rows)
        comes_again = self._hides or len(rows) == self._n_rows
        name = hashlib.sha256(rows.tobytes()).digest() if comes_again else None
        return {}, self._sums.add(message.fields, parts, self._index(bins), name)

    def split(self, message: Message) -> Answer:
        """Remember a split on one of this party's columns; say which rows go left."""
        rows, _ = self._rows_of(message)
        fields = message.fields
        feature, threshold = int(fields["feature"]), int(fields["threshold"])
        if not 0 <= feature < len(self._columns) or not 0 <= threshold < self._columns[feature].layout.num_bin - 1:
            raise ProtocolError("a split names a feature or a bin that does not exist; the session ends")
        categories, layout = list(fields.get("categories", [])), self._columns[feature].layout
        fits = len(set(categories)) == len(categories) and max(categories, default=0) < layout.num_bin
        if not fits or layout.categorical != bool(categories):
            raise ProtocolError("a split names categories that its column does not have; the session ends")
        if message.node != len(self._pending):
            raise ProtocolError("splits of a tree are not numbered in their order; the session ends")
        if len(self._pending) >= self._leaves - 1:
            raise ProtocolError(f"more splits were asked for than a tree of {self._leaves} leaves has; the session ends")
        column, default_left = self._columns[feature], bool(fields["default_left"])
        upper = float(column.upper[min(threshold, len(column.upper) - 1)])
        number = self._column_of[feature]
        if len(self._pending) + 1 >= 2 * self._asked:
            raise ProtocolError("a split was asked for of a node without sums; the session ends")
        split = FeatureSplit(message.tree, message.node, number, threshold, upper, default_left, categories)
        self._pending.append(split)
        left = layout.goes_left(self._bins[rows, feature], threshold, default_left, categories)
        if self._nodes is not None:
            self._nodes.split(_flags(rows, self._n_rows), _flags(rows[left], self._n_rows))
        self._split_rows = rows
        return {}, [np.packbits(left).tobytes()]

    def commit(self, message: Message) -> Answer:
        """Store the splits of the open tree."""
        if message.tree != self.tree or message.tree != len(self._store.records):
            raise ProtocolError(f"tree {message.tree} cannot be committed now; the session ends")
        splits = [vars(split) for split in self._pending]
        self._store.append({"bins": vars(self.bins_config), "splits": splits, "transcript": message.transcript.hex()})
        self._ledger.commit()
        self._pending, self._agreed = [], len(self._store.records)
        account = self._ledger.epsilon(self._policy.noise, len(self._columns))
        told = {"epsilon": f"{account:.4g} at delta 1e-06"} if self._noise else {}
        return {"committed": len(self._store.records)} | told, []

    def open(self, message: Message) -> Answer:
        """Open the split column's cells of some rows of the node that was split last."""
        rows = np.frombuffer(message.parts[0], dtype="<u4").astype(np.int64)
        if self._commitment is None or not self._pending or not len(rows) or not np.isin(rows, self._split_rows).all():
            raise ProtocolError("cells were to be opened that are in no node just split, or none may be; the session ends")
        self._ledger.open(len(rows))
        column = self._column_of.index(self._pending[-1].feature)
        opened = [self._commitment.open(int(row), column) for row in rows]
        values = np.array([cell.value for cell in opened], dtype="<u2").tobytes()
        return {}, [values, *(b"".join(getattr(cell, name) for cell in opened) for name in ("salt", "cells", "path"))]


def _flags(rows: npt.NDArray[np.int64], n_rows: int) -> npt.NDArray[np.bool_]:
    found = np.zeros(n_rows, dtype=bool)
    found[rows] = True
    return found


def _continue(store: TreeStore, other: TreeStore, named: dict[str, Any], bound: dict[str, Any]) -> None:
    """A warm start: copy the edges, the order of the columns and the trees of a finished run."""
    trees = named["trees"]
    if other.finished != trees or other.last(trees) != named["last"]:
        raise SecureGBMError("the run to continue is not finished with these trees at the feature party; compare both lists")
    changed = [name for name in ("table", "bins", "min_bin_rows", "shuffled", "parties") if other.bound[name] != bound[name]]
    if changed:
        raise SecureGBMError(f"the continued run was made with another {', '.join(changed)}; give the same")
    store.order = other.order
    for name in ("edges.json", "columns.json"):
        source, target = other.file(name), store.file(name)
        if source is not None and target is not None and source.exists():
            write_atomically(target, source.read_bytes())
    store.begin_with(other, trees)


def _order(count: int, store: TreeStore) -> list[int]:
    """The job's own order of the columns, drawn once from the operating system's generator."""
    path = store.file("columns.json")
    if path is not None and path.exists():
        return [int(i) for i in read_json(path)]
    if path is None and store.order:
        return store.order
    order = list(range(count))
    secrets.SystemRandom().shuffle(order)
    store.order = order
    if path is not None:
        write_atomically(path, dump_json(order))
    return order
