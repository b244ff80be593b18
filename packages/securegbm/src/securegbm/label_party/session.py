"""The label party's side of a training session: greeting, keys, and what it asks while a tree grows."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from securegbm.config import TrainConfig
from securegbm.crypto.parameters import BFVParameters
from securegbm.crypto.sums import LabelSums, PlainLabelSums
from securegbm.errors import SecureGBMError
from securegbm.label_party.checks import SumChecks
from securegbm.label_party.columns import OwnColumns, PartnerColumns
from securegbm.label_party.spot_checks import SpotChecks
from securegbm.ring.choice import Agreed, Ciphers, RingName, label_sums, offer, settle
from securegbm.state.store import TreeStore, binding_of, piece
from securegbm.tables.binning import BinLayout, EntryIndex
from securegbm.tables.table import Table, pack_rows
from securegbm.trees.search import Flags
from securegbm.wire.channel import Partner
from securegbm.wire.messages import Kind, Message


@dataclass(frozen=True)
class Terms:
    """What the label party brings to every partner of a run.

    Args:
        table: Its columns.
        config: The run.
        label_name: Name of the label column; a feature party checks that it does not hold it.
        workers: Processes for the arithmetic (0: this one).
        store: The run's committed trees and what it is bound to.
        roll_back: Accept to lose trees that another party does not hold.
        ring: The arithmetic of the encryption that this party wants.
        constant: All hessians are 1: a feature party counts rows instead of adding them up, unless it adds noise.
    """

    table: Table
    config: TrainConfig
    label_name: str
    workers: int
    store: TreeStore
    roll_back: bool = False
    ring: RingName = "auto"
    constant: bool = False


class LabelSession:
    """Talks to one feature party about one run.

    Args:
        partner: The way to it.
        number: Its place among the partners.
        terms: What the label party brings.

    Attributes:
        layouts: What the feature party said of its columns.
        merges_bins: It merges small bins, so that a split's sums are not those of the rows that go left.
        adds_up: Sums of two children are those of their parent: it neither merges bins nor adds noise.
    """

    def __init__(
        self,
        partner: Partner,
        number: int,
        terms: Terms,
    ) -> None:
        self._store, self._number, self._terms, self._config = terms.store, number, terms, terms.config
        self._talk, self._key, self.name = partner.talk(bytes.fromhex(terms.store.bound["run"])), partner.key, partner.name
        self.layouts: list[BinLayout] = []
        self.merges_bins, self.adds_up = False, True
        self._sums: LabelSums | None = None
        self._spot: SpotChecks | None = None
        self._noise = 0.0
        self._ring: Agreed = "seal"

    @property
    def traffic(self) -> tuple[int, int]:
        """Bytes sent and received so far."""
        return self._talk.bytes_sent, self._talk.bytes_received

    def greet(self) -> int:
        """Begin or continue the run; how many trees both parties hold.

        Raises:
            SecureGBMError: If it refuses, if its columns say nothing, or if its trees are not the partners of ours.
        """
        config, n_rows, store = self._config, len(self._terms.table.ids), self._store
        held = len(store.records)
        parameters = self._parameters()
        ring = offer(self._terms.ring, config.merge_replies) if parameters else "seal"
        continued = store.bound["continues"]
        reply = self._talk.ask(
            Kind.HELLO,
            fields={
                "purpose": "train",
                "rows": n_rows,
                "ids": self._terms.table.id_digest(self._key),
                "label": self._terms.label_name,
                "trees": config.n_estimators * config.objective.num_class,
                "leaves": config.growth.num_leaves,
                "bins": vars(config.bins),
                "hide_instances": config.hide_instances,
                "privacy_bits": config.privacy_bits,
                "encryption": config.encryption,
                "parameters": parameters.to_dict() if parameters else None,
                "ring": ring,
                "stride": config.stride,
                "job": store.bound["job"],
                "binding": binding_of(store.bound),
                "committed": held,
                "last": piece(store.last(), self._number),
                "step": config.objective.num_class,
                "roll_back": self._terms.roll_back,
                "continues": continued and continued | {"last": piece(continued["last"], self._number)},
            },
        )
        both = int(reply.field("committed"))
        self._check_partner(reply, both, held)
        self.layouts = [BinLayout(**layout) for layout in reply.field("layouts")]
        self.merges_bins = reply.field("min_bin_rows") > 1
        self.adds_up = not self.merges_bins and reply.field("noise") == 0
        self._noise = float(reply.field("noise"))
        if config.spot_checks:
            self._spot = SpotChecks(str(reply.field("commitment")), config.spot_checks, n_rows, self.layouts)
            store.bind(self._file("commitment"), {"binned table": reply.field("commitment")}, anew=both == 0)
        if EntryIndex(self.layouts).size == 0:
            raise SecureGBMError("every column of the feature party is constant; there is nothing to learn from them")
        if parameters is not None:
            self._ring = settle(ring, reply.fields.get("ring", "seal"), self._terms.ring)
        return both

    def make_keys(self, ciphers: Ciphers) -> None:
        """Make this partner's keys, or take those of another one that can share them."""
        config, n_entries = self._config, EntryIndex(self.layouts).size
        parameters = self._parameters()
        if parameters is None:
            self._sums = PlainLabelSums(n_entries)
            return
        constant = self._terms.constant and self._noise == 0 and not config.hide_instances
        given = (parameters, n_entries, config.privacy_bits, self._terms.workers, config.stride)
        self._sums = label_sums(self._ring, *given, constant=constant, ciphers=ciphers)

    def send_keys(self) -> None:
        """Send the public keys, where there are any."""
        if self._sums is not None and (keys := self._sums.keys()):
            self._talk.ask(Kind.KEYS, parts=keys)

    def _parameters(self) -> BFVParameters | None:
        config = self._config
        if config.encryption == "none":
            return None
        rows = len(self._terms.table.ids)
        return BFVParameters.choose(rows, config.privacy_bits, config.encryption, config.merge_replies)

    def _file(self, name: str) -> str:
        return f"{name}.json" if self._number == 0 else f"{name}-{self._number}.json"

    def _check_partner(self, reply: Message, both: int, held: int) -> None:
        """The feature party's run and trees must be the ones this run was begun with."""
        store = self._store
        run = f"run {store.bound['run'][:8]} (job {store.bound['job']!r})"
        if not 0 <= both <= held or piece(store.last(both), self._number) != reply.field("last"):
            raise SecureGBMError(
                f"the feature party's trees of {run} are not the partners of ours; restore the state folder of that run "
                "at the side that lost it, or begin a new run with --replace"
            )
        if both < held and (store.finished is not None or not self._terms.roll_back):
            what = "is finished and stays as it is" if store.finished is not None else "would lose them"
            raise SecureGBMError(
                f"the feature party holds {both} of the {held} trees of {run}, which {what}; restore its state folder, or "
                "go on from the last common tree with --roll-back, or begin a new run with --replace"
            )
        partner = {"table at the feature party": reply.field("binding")}
        store.bind(self._file("partner"), partner, anew=both == 0)

    def begin(self, tree: int, sampled: Flags) -> None:
        """Announce a tree (and, when instances are hidden, the rows drawn for it)."""
        naming = [pack_rows(np.flatnonzero(sampled), len(sampled))] if self._config.hide_instances else []
        self._talk.ask(Kind.TREE, tree, parts=naming)

    def columns(self, own: OwnColumns, tree: int, sampled: npt.NDArray[np.int64], n_rows: int) -> PartnerColumns:
        """The feature party's columns for the tree that was begun."""
        if self._sums is None:
            raise SecureGBMError("a tree cannot grow before the feature party was greeted")
        checks = SumChecks(self.layouts, self._noise, self.merges_bins)
        hides = self._config.hide_instances
        return PartnerColumns(own, self._talk, self._sums, tree, sampled, n_rows, hides, checks, self._spot)

    def commit(self, tree: int) -> bytes:
        """Let the feature party store its splits of the tree; the transcript that both keep with it."""
        transcript = self._talk.transcript
        self._talk.ask(Kind.COMMIT, tree)
        return transcript

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
