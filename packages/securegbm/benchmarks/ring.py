"""Trees of all parties in one process: the compiled ring against SEAL, the clear against LightGBM, three parties, sizes."""

import argparse
import datetime
import json
import resource
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
from stepped import Stepped

from claimkit import bench
from claimkit import run as environment
from claimkit.files import write_atomic
from securegbm.claims.cost import make_table, settings
from securegbm.crypto.packing import adaptive_stride
from securegbm.crypto.parameters import BFVParameters
from securegbm.crypto.sums import EncryptedFeatureSums, EncryptedLabelSums, PlainFeatureSums
from securegbm.model.parity import lightgbm_settings
from securegbm.ring.sums import ResidueFeatureSums, ResidueLabelSums

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"
ROWS, COLUMNS, BINS = 32_768, 16, 32
BOTH = (COLUMNS, COLUMNS)


def tree(rounds: int) -> dict[str, float]:
    """A tree at 32,768 rows: SEAL, the compiled ring, and in the clear."""
    runs: dict[str, Stepped] = {
        "SEAL": Stepped(ROWS, BOTH, "seal"),
        "compiled": Stepped(ROWS, BOTH, "numba"),
        "in the clear": Stepped(ROWS, BOTH, None),
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


def clear(rounds: int) -> None:
    """The protocol without encryption against LightGBM on the joined columns, a tree a turn, one thread."""
    import lightgbm

    values, labels = make_table(ROWS, 0, *BOTH)
    options = lightgbm_settings(settings(1)) | {"objective": "binary"}
    booster = lightgbm.Booster(options, lightgbm.Dataset(values, labels))
    runs = {"LightGBM": booster.update, "in the clear": Stepped(ROWS, BOTH, None)}
    title = f"a tree in the clear, {ROWS:,} rows, {COLUMNS} + {COLUMNS} columns of {BINS} bins, both parties, CPU time"
    bench.save(bench.alternate(title, runs, rounds, warmup=2, cpu=True), RESULTS / "clear.json")


def parties(rounds: int) -> dict[str, float]:
    """Three parties against two with as many columns in all."""
    runs = {"16 + 16": Stepped(ROWS, (16, 16), "numba"), "16 + 8 + 8": Stepped(ROWS, (16, 8, 8), "numba")}
    title = f"a tree of all parties, {ROWS:,} rows, 32 columns of {BINS} bins, 31 leaves, CPU time"
    bench.save(bench.alternate(title, runs, rounds, warmup=1, cpu=True), RESULTS / "parties.json")
    return {f"megabytes a tree, {name}": run.megabytes for name, run in runs.items()}


def larger(rounds: int, rows: int, file: str) -> dict[str, float]:
    """A tree on a larger table; a million rows are measured in one round, so without quartiles."""
    run, columns, taken, walls = Stepped(rows, (20, 20), "numba"), "20 + 20", [], []
    for _ in range(rounds + 1):
        begun, wall = time.process_time(), time.perf_counter()
        run()
        taken.append(time.process_time() - begun)
        walls.append(time.perf_counter() - wall)
    name, middle = f"{rows:,} rows, {columns} columns", tuple(np.quantile(taken[1:], [0.5, 0.25, 0.75]).tolist())
    timing = bench.Timing(middle, (1.0, 1.0, 1.0))
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    machine = environment.machine(environment.environment("claimkit", "cpu"))
    title = f"a tree of 31 leaves, {BINS} bins, both parties in one process, CPU time"
    record = bench.Benchmark(title, {name: timing}, rounds, machine, environment.commit(Path.cwd()), today)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    more = {"wall seconds": float(np.median(walls[1:])), "megabytes a tree": run.megabytes, "peak megabytes of memory": peak}
    write_atomic(RESULTS / file, json.dumps(asdict(record) | {"also": more}, indent=1) + "\n")
    return {f"CPU seconds a tree, {name}": middle[0]} | more


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["root", "tree", "clear", "parties", "larger", "million"])
    arguments = parser.parse_args()
    rounds, only, found = arguments.rounds, arguments.only, dict[str, float]()
    if only in (None, "root"):
        root(rounds)
    if only in (None, "tree"):
        found |= tree(rounds)
    if only in (None, "clear"):
        clear(max(rounds, 15))
    if only in (None, "parties"):
        found |= parties(rounds)
    if only in (None, "larger"):
        found |= larger(rounds, 50_000, "larger.json")
    if only == "million":
        found |= larger(1, 1_000_000, "million.json")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
