"""Runs that grow one tree a call, so that several can take turns in one process."""

from collections.abc import Callable
from dataclasses import replace
from itertools import accumulate
from threading import Semaphore, Thread

import numpy as np

from securegbm.claims.cost import make_table, settings
from securegbm.feature_party.party import FeatureParty
from securegbm.feature_party.policy import FeaturePolicy
from securegbm.label_party.party import LabelParty, TreeReport
from securegbm.ring.choice import RingName
from securegbm.tables.table import Table
from securegbm.wire.channel import LocalChannel, Partner


class Stepped:
    """All parties of a run in one process; every call grows one tree of 31 leaves.

    Args:
        rows: Rows of the table.
        columns: Columns of the label party, then of every feature party.
        ring: The arithmetic; none works in the clear.
    """

    def __init__(self, rows: int, columns: tuple[int, ...], ring: RingName | None) -> None:
        values, labels = make_table(rows, 0, columns[0], sum(columns[1:]))
        own, *others = np.split(values, list(accumulate(columns))[:-1], axis=1)
        parties = [FeatureParty(Table.of(other), FeaturePolicy(allow_plain=True), b"key") for other in others]
        partners = [Partner(LocalChannel(party), b"key", f"party {at}") for at, party in enumerate(parties)]
        config = replace(settings(1000), encryption="standard" if ring else "none")
        label = LabelParty(Table.of(own), labels, config, partners, key=b"key", on_tree=self._grown, ring=ring or "auto")
        self.reports: list[TreeReport] = []
        self._go, self._done = Semaphore(0), Semaphore(0)
        self._train: Callable[[], object] = label.train
        Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        self._go.acquire()
        self._train()

    def _grown(self, report: TreeReport) -> None:
        self.reports.append(report)
        self._done.release()
        self._go.acquire()

    def __call__(self) -> None:
        """Grow a tree."""
        self._go.release()
        self._done.acquire()

    @property
    def megabytes(self) -> float:
        """Mean of both directions over the trees so far."""
        return float(np.mean([report.bytes_sent + report.bytes_received for report in self.reports])) / 1e6
