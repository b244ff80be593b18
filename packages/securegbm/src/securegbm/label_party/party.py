"""The label party A: owns labels and the secret key, grows the trees, asks the feature party for sums and decisions."""

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from securegbm.config import TrainConfig
from securegbm.errors import PeerError, SecureGBMError, SessionLostError
from securegbm.label_party.columns import OwnColumns
from securegbm.label_party.partners import AllPartners
from securegbm.label_party.sampling import draw_rows, held_out
from securegbm.label_party.session import Terms
from securegbm.label_party.stopping import Metric, is_dead, stopped, watched
from securegbm.model.halves import LabelHalf
from securegbm.ring.choice import RingName
from securegbm.state.registry import now
from securegbm.state.store import TreeStore, dump_json, write_atomically
from securegbm.tables.binning import ColumnBins
from securegbm.tables.table import Table
from securegbm.trees.draws import ColumnDraws
from securegbm.trees.growth import Grower
from securegbm.trees.objectives import Floats, to_fixed_point
from securegbm.trees.search import Flags, SplitSearch
from securegbm.trees.tree import Tree
from securegbm.wire.channel import Partners, partners_of
from securegbm.wire.messages import Log, new_run

MAX_GREETINGS = 5
"""How often a feature party that lost its session is greeted again for one tree before the run gives up."""


@dataclass(frozen=True)
class TreeReport:
    """What one tree cost: wall seconds, bytes to and from the feature party, leaves."""

    tree: int
    seconds: float
    bytes_sent: int
    bytes_received: int
    leaves: int


class LabelParty:
    """Trains with a feature party, or alone.

    Args:
        table: This party's columns.
        labels: `(rows,)`.
        config: The run.
        channel: The way to the feature party, or several partners; none trains on the own columns alone.
        weights: `(rows,)` positive sample weights.
        label_name: Name of the label column; the feature party checks that it does not hold it.
        job: Name of the job; several runs may have had it, each with an id of its own.
        key: Secret shared with the feature party.
        state: The run's folder: the first start draws the run id and keeps it there; none keeps everything in memory.
        workers: Processes for the arithmetic (0: this one).
        log: Called with every message.
        on_tree: Called after every committed tree.
        parties: What names both parties' keys; the run is bound to it.
        continues: The finished run whose trees this one begins with (a warm start).
        roll_back: Go on from the last tree that both parties hold, even when one of them lost more than the open one.
        run: The id a new run shall have; drawn when not given.
        metric: What early stopping watches instead of the configured metric: a function of the held-out rows' labels
            `(rows,)`, predictions `(num_class, rows)` and weights `(rows,)`; smaller is better.
        ring: The arithmetic of the encryption: `auto` takes numba where both parties have it.

    Attributes:
        run: The 16 bytes that name this run at both parties.
    """

    def __init__(
        self,
        table: Table,
        labels: npt.ArrayLike,
        config: TrainConfig,
        channel: Partners | None,
        weights: npt.ArrayLike | None = None,
        label_name: str = "label",
        job: str = "securegbm",
        key: bytes = b"",
        state: Path | None = None,
        workers: int = 0,
        log: Log | None = None,
        on_tree: Callable[[TreeReport], None] | None = None,
        parties: str = "",
        continues: TreeStore | None = None,
        roll_back: bool = False,
        run: bytes | None = None,
        metric: Metric | None = None,
        ring: RingName = "auto",
    ) -> None:
        n_rows = len(table.ids)
        self.labels = np.asarray(labels, dtype=np.float64)
        self.weights = np.ones(n_rows) if weights is None else np.asarray(weights, dtype=np.float64)
        if self.labels.shape != (n_rows,) or self.weights.shape != (n_rows,):
            raise SecureGBMError(f"{n_rows} rows need {n_rows} labels and weights; give one each per row")
        if not (np.isfinite(self.weights).all() and (self.weights > 0).all()):
            raise SecureGBMError("sample weights must be positive and finite; drop the rows of weight 0")
        config.objective.check_labels(self.labels)
        config.objective.check_labels(self.labels[~held_out(n_rows, config)])
        config.objective.check_spread(self.labels, self.weights)
        self.table, self.config, self.job, self._on_tree, self._metric = table, config, job, on_tree, metric
        if table.monotone and config.refits:
            raise SecureGBMError("leaf values from all rows may break monotone constraints; set refit_leaves to False")
        self._store = TreeStore(state)
        partners = partners_of(channel, key, log, parties) if channel is not None else []
        bound = {
            "job": job,
            "settings": config.to_dict(),
            "table": table.digest(),
            "labels": _digest(self.labels, self.weights),
            "label_name": label_name,
            "parties": "; ".join(partner.parties for partner in partners) or parties,
        }
        once = {"run": (run or new_run()).hex(), "salt": secrets.token_hex(16), "created": now(), "role": "label"}
        bound = self._store.bind("job.json", bound, once | {"continues": self._continue(continues, bound)})
        self.run = bytes.fromhex(bound["run"])
        self._session: AllPartners | None = None
        self._draws: ColumnDraws | None = None
        if partners:
            unit = config.unit_hessians(self.weights)
            terms = Terms(table, config, label_name, workers, self._store, roll_back, ring, unit)
            self._session = AllPartners(partners, terms)
        self._columns, bins = table.bin(config.bins, self._store.file("edges.json"))
        self._own = OwnColumns([column.layout for column in self._columns], bins)

    def _continue(self, other: TreeStore | None, bound: dict[str, Any]) -> dict[str, Any] | None:
        """What a warm start begins with; its trees are copied once."""
        if other is None or self._store.bound:
            return None
        kept, before = other.finished, other.bound
        if kept is None:
            raise SecureGBMError("only a finished run can be continued with more trees; finish it first (start it again)")
        same = ("bins", "objective", "boost_from_average", "validation_fraction")
        changed = [name for name in same if before["settings"][name] != bound["settings"][name]]
        changed += [name for name in ("table", "parties") if before[name] != bound[name]]
        if changed:
            raise SecureGBMError(f"the continued run was made with another {', '.join(changed)}; give the same")
        if kept >= self.config.n_estimators * self.config.objective.num_class:
            raise SecureGBMError(f"the continued run has {kept} trees already; ask for more in all")
        self._store.begin_with(other, kept)
        return {"run": before["run"], "trees": kept, "last": other.last(kept)}

    def train(self) -> LabelHalf:
        """Grow the trees, continuing after the last one both parties committed.

        Raises:
            SecureGBMError: If the other party refuses, or cannot be reached.
        """
        session = self._session
        if session is None:
            return self._boost()
        greetings, committed, classes = 0, -1, self.config.objective.num_class
        while True:
            try:
                greetings += 1
                self._store.truncate(len(self._store.records) // classes * classes)
                self._store.truncate(session.greet())
                return self._boost()
            except SessionLostError:
                if len(self._store.records) > committed:
                    greetings, committed = 0, len(self._store.records)
                if greetings >= MAX_GREETINGS:
                    raise
            except PeerError:
                session.abort("another party left or cannot be reached; the run goes on when the label party starts again")
                raise  # its name, its address and what it said are not the other partners' business
            except SecureGBMError as error:
                session.abort(str(error))
                raise
            except KeyboardInterrupt:
                session.abort("it was interrupted there; the run goes on when the label party starts it again")
                raise
            finally:
                session.close()

    def _boost(self) -> LabelHalf:
        config, objective = self.config, self.config.objective
        n_rows, classes = len(self.table.ids), objective.num_class
        held = held_out(n_rows, config)
        train = ~held
        initial = np.zeros(classes)
        if config.boost_from_average:
            initial = objective.initial(self.labels[train], self.weights[train])
        scores = np.repeat(initial[:, None], n_rows, axis=1)
        trees: list[Tree] = []
        for record, where in zip(self._store.records, self._store.arrays, strict=True):
            if where is None:
                raise SecureGBMError("the array beside a tree is missing; restore the run's folder, or begin a new run")
            self._add(trees, scores, Tree.from_dict(record["tree"]), where)
        history = [float(record["loss"]) for record in self._store.records[classes - 1 :: classes]] if held.any() else []
        for iteration in range(len(trees) // classes, config.n_estimators):
            if stopped(history, config.early_stopping_rounds) or is_dead(trees, classes, config):
                break
            gradient, hessian = objective.derivatives(scores, self.labels, self.weights)
            sampled, factor = draw_rows(config, iteration, train, gradient, hessian)
            grown = []
            for c in range(classes):
                begun, sent, received = time.perf_counter(), *self._traffic()
                derivatives = (gradient[c] * factor, hessian[c] * factor)
                tree, where = self._grow(iteration * classes + c, *derivatives, sampled, int(train.sum()))
                if config.refits:
                    tree.refit(where[train], gradient[c, train], hessian[c, train], config.rules)
                grown.append((tree, where))
                if c + 1 == classes:
                    for number, (finished, leaves) in enumerate(grown):
                        scores[number] += np.array(finished.value)[leaves]
                loss = 0.0
                if held.any() and c + 1 == classes:
                    loss = watched(config, self._metric, scores[:, held], self.labels[held], self.weights[held])
                    history.append(loss)
                self._commit(tree, where, loss)
                trees.append(tree)
                if self._on_tree is not None:
                    now = self._traffic()
                    report = (time.perf_counter() - begun, now[0] - sent, now[1] - received, tree.num_nodes + 1)
                    self._on_tree(TreeReport(len(trees) - 1, *report))
        return self._finish(trees, initial, history)

    def _traffic(self) -> tuple[int, int]:
        return self._session.traffic if self._session is not None else (0, 0)

    def _add(self, trees: list[Tree], scores: Floats, tree: Tree, where: npt.NDArray[np.int32]) -> None:
        scores[len(trees) % len(scores)] += np.array(tree.value)[where]
        trees.append(tree)

    def _grow(
        self, number: int, gradient: Floats, hessian: Floats, sampled: Flags, trained: int
    ) -> tuple[Tree, npt.NDArray[np.int32]]:
        config, bits = self.config, self.config.privacy_bits
        self._own.load(
            to_fixed_point(np.where(sampled, gradient, 0.0), bits),
            to_fixed_point(np.where(sampled, hessian, 0.0), bits, least=1),
        )
        everyone, session = np.arange(len(sampled)), self._session
        rules = config.rules.for_share(sampled.sum() / trained) if config.refits else config.rules
        if session is not None:
            session.begin(number, sampled)
        if session is None or number < config.first_local_trees * config.objective.num_class:
            alone = SplitSearch(self._own.layouts, rules)
            grower = Grower(alone, config.growth, columns=self._drawn(number, alone))
            return grower.grow(self._own, everyone, sampled, config.learning_rate)
        search = SplitSearch([*self._own.layouts, *session.layouts], rules)
        grower = Grower(search, config.growth, session.adds_up, self._drawn(number, search))
        both = session.columns(self._own, number, np.flatnonzero(sampled), len(sampled))
        return grower.grow(both, everyone, sampled, config.learning_rate)

    def _drawn(self, number: int, search: SplitSearch) -> Flags | None:
        """The columns that tree `number` may split; none stands for all."""
        if self.config.draws.feature_fraction == 1.0:
            return None
        if self._draws is None:
            self._draws = ColumnDraws(self.config.draws, search.num_bin > 1)
        return self._draws.of(number)

    def _commit(self, tree: Tree, where: npt.NDArray[np.int32], loss: float) -> None:
        transcript = bytes(32)
        if self._session is not None:
            transcript = self._session.commit(len(self._store.records))
        self._store.append({"tree": tree.to_dict(), "loss": loss, "transcript": transcript.hex()}, where)

    def _finish(self, trees: list[Tree], initial: Floats, history: list[float]) -> LabelHalf:
        classes = self.config.objective.num_class
        kept = len(trees)
        if self.config.early_stopping_rounds and history:
            kept = (int(np.argmin(history)) + 1) * classes
        if self._session is not None:
            self._session.finish(kept)
        used = {feature for tree in trees[:kept] for feature in tree.feature if feature < len(self._columns)}
        columns: dict[int, ColumnBins] = {feature: self._columns[feature] for feature in sorted(used)}
        half = LabelHalf(
            self.job,
            self.config.objective,
            initial,
            self.table.names,
            columns,
            self._session.widths if self._session is not None else [],
            trees[:kept],
            history,
            self.config.rules.min_gain_to_split,
            self.run,
            self.table.rules,
            self._store.last(kept),
        )
        path = self._store.file("model.json")
        if path is not None:
            write_atomically(path, dump_json(half.to_dict()))
        self._store.finish(kept)
        return half


def _digest(*arrays: Floats) -> str:
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()
