"""The compiled ring against SEAL in one process: CPU seconds of a tree and of the root histogram, and bytes of a tree."""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Semaphore, Thread

import numpy as np

from claimkit import bench
from securegbm.claims.cost import make_table, settings
from securegbm.crypto.packing import adaptive_stride
from securegbm.crypto.parameters import BFVParameters
from securegbm.crypto.sums import EncryptedFeatureSums, EncryptedLabelSums, PlainFeatureSums
from securegbm.feature_party.party import FeatureParty
from securegbm.feature_party.policy import FeaturePolicy
from securegbm.label_party.party import LabelParty, TreeReport
from securegbm.ring.choice import RingName
from securegbm.ring.sums import ResidueFeatureSums, ResidueLabelSums
from securegbm.tables.table import Table
from securegbm.wire.channel import LocalChannel

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"
ROWS, COLUMNS, BINS = 32_768, 16, 32


class Stepped:
    """Both parties of a run in one process; every call grows one tree of 31 leaves.

    Args:
        rows: Rows of the table.
        columns: Columns of each party.
        ring: The arithmetic; none works in the clear.
    """

    def __init__(self, rows: int, columns: int, ring: RingName | None) -> None:
        values, labels = make_table(rows, 0, columns, columns)
        policy = FeaturePolicy(allow_plain=True)
        party = FeatureParty(Table.of(values[:, columns:], [f"b{i}" for i in range(columns)]), policy, b"key")
        config = replace(settings(1000), encryption="standard" if ring else "none")
        label = LabelParty(
            Table.of(values[:, :columns]), labels, config, LocalChannel(party), key=b"key", on_tree=self._grown,
            ring=ring or "auto",
        )  # fmt: skip
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


def tree(rounds: int) -> dict[str, float]:
    """A tree at 32,768 rows: SEAL, the compiled ring, and in the clear."""
    runs: dict[str, Stepped] = {
        "SEAL": Stepped(ROWS, COLUMNS, "seal"),
        "compiled": Stepped(ROWS, COLUMNS, "numba"),
        "in the clear": Stepped(ROWS, COLUMNS, None),
    }
    title = f"a tree, {ROWS:,} rows, {COLUMNS} + {COLUMNS} columns of {BINS} bins, 31 leaves, both parties, CPU time"
    bench.save(bench.alternate(title, runs, rounds, warmup=1, cpu=True), RESULTS / "tree.json")
    return {f"megabytes a tree, {name}": run.megabytes for name, run in runs.items()}


def root(rounds: int) -> None:
    """The feature party's root histogram: masks that are kept (after the first round), SEAL's and the ring's."""
    rng = np.random.default_rng(0)
    size = COLUMNS * BINS
    parameters = BFVParameters.choose(ROWS, 23)
    entries = (rng.integers(0, BINS, (ROWS, COLUMNS)) + BINS * np.arange(COLUMNS)).astype(np.int32)
    vectors = [rng.integers(-(2**23), 2**23, ROWS), rng.integers(1, 2**21, ROWS)]
    stride = adaptive_stride(ROWS, size, parameters.degree, merge=False)
    candidates: dict[str, Callable[[], object]] = {}
    for name, label, make in (
        ("SEAL, masks kept", EncryptedLabelSums(parameters, size, 23, stride=stride), EncryptedFeatureSums),
        ("compiled, masks kept", ResidueLabelSums(parameters, size, 23), ResidueFeatureSums),
    ):
        feature, (header, parts) = make(parameters, label.keys(), size), label.hide(vectors)
        candidates[name] = lambda f=feature, h=header, p=parts: f.add(h, p, entries, b"root")
        if make is ResidueFeatureSums:
            candidates["compiled, masks made"] = lambda f=feature, h=header, p=parts: f.add(h, p, entries, None)
    raw = [vector.astype("<i8").tobytes() for vector in vectors]
    candidates["in the clear"] = lambda: PlainFeatureSums(size).add({}, raw, entries, None)
    title = f"sums of g and h, {ROWS:,} rows, {COLUMNS} columns of {BINS} bins, feature party, CPU time"
    bench.save(bench.alternate(title, candidates, rounds, warmup=1, cpu=True), RESULTS / "root.json")


def larger(rows: int, columns: int, trees: int) -> dict[str, float]:
    """CPU seconds and megabytes of a tree of both parties on another table, compiled."""
    run, taken = Stepped(rows, columns, "numba"), []
    for _ in range(trees + 1):
        begun = time.process_time()
        run()
        taken.append(time.process_time() - begun)
    name = f"{rows:,} x ({columns} + {columns})"
    return {f"CPU seconds a tree, {name}": float(np.median(taken[1:])), f"megabytes a tree, {name}": run.megabytes}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["tree", "root", "larger"])
    arguments = parser.parse_args()
    found: dict[str, float] = {}
    if arguments.only in (None, "root"):
        root(arguments.rounds)
    if arguments.only in (None, "tree"):
        found |= tree(arguments.rounds)
    if arguments.only in (None, "larger"):
        found |= larger(50_000, 20, arguments.rounds)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
