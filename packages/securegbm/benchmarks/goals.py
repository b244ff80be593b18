"""Time and bytes of one encrypted tree against fixed goals; prints JSON lines, machine and commit first.

Usage: python benchmarks/goals.py [histogram] [tree] [merged] [sampled] [hiding] [depth6] [narrow] [million]

Setting of the goals: 32,768 rows, 16 + 16 columns, 32 bins, 31 leaves, N = 8192, privacy_bits 23, two worker processes
of each party, both parties on this machine with the bytes of the network. CPU seconds are of one process.
"""

import json
import os
import resource
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from paperkit.run import commit, environment, peak_memory_mb
from securegbm.binning import BinConfig
from securegbm.claims.cost import make_table, settings, train
from securegbm.feature_cipher import FeatureCipher
from securegbm.growth import GrowthConfig
from securegbm.label_cipher import LabelCipher
from securegbm.packing import adaptive_stride
from securegbm.parameters import BFVParameters

ROWS = 32_768


def histogram(repeats=3):
    """CPU seconds of the feature party for one root histogram: masks built, and masks cached."""
    rng = np.random.default_rng(0)
    size, n_features = 16 * 31, 16
    parameters = BFVParameters.choose(ROWS, 23)
    stride = adaptive_stride(ROWS, size, parameters.degree, merge=False)
    label = LabelCipher(parameters)
    bins = rng.integers(0, 32, (ROWS, n_features))
    entries = np.where(bins == 31, -1, bins + 31 * np.arange(n_features)).astype(np.int32)
    vectors = [rng.integers(-(2**23), 2**23, ROWS), rng.integers(1, 2**21, ROWS)]
    begun = time.process_time()
    parts = [label.encrypt([v[i : i + stride] for i in range(0, ROWS, stride)]) for v in vectors]
    encrypting = time.process_time() - begun
    outputs = range(-(-size * stride // parameters.degree))
    times = {"built": [], "cached": []}
    for _ in range(repeats):
        feature = FeatureCipher(parameters, label.public_key, cache_bytes=1 << 30)
        for kind in ("built", "cached"):
            begun = time.process_time()
            replies = feature.histogram(parts, entries, size, stride, outputs, b"root")
            times[kind].append(time.process_time() - begun)
    begun = time.process_time()
    for reply in replies:
        label.decrypt(reply, 0, size, stride, 1)
    return {
        "stride": stride,
        "feature party, masks built, CPU s": spread(times["built"]),
        "feature party, masks cached, CPU s": spread(times["cached"]),
        "label party, encrypt, CPU s": round(encrypting, 3),
        "label party, decrypt, CPU s": round(time.process_time() - begun, 3),
        "MB up": round(sum(len(p) for v in parts for p in v) / 1e6, 2),
        "MB down": round(sum(len(p) for v in replies for p in v) / 1e6, 2),
    }


def spread(values):
    """Median, least and largest."""
    return [round(float(f(values)), 3) for f in (np.median, np.min, np.max)]


def cpu_seconds():
    """CPU seconds of this process and of the worker processes that have ended."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(u.ru_utime + u.ru_stime for u in used)


def one(config, rows=ROWS, own=16, other=16, workers=2):
    """Wall seconds and megabytes per tree; the first tree also builds masks and starts processes."""
    values, labels = make_table(rows, 0, own, other)
    begun, before = time.perf_counter(), cpu_seconds()
    reports = train(values, labels, config, own, workers, lambda r: print(r, file=sys.stderr, flush=True))
    return {
        "rows": rows,
        "trees": len(reports),
        "s a tree": spread([r.seconds for r in reports]),
        "MB a tree": round(float(np.mean([(r.bytes_sent + r.bytes_received) / 1e6 for r in reports])), 1),
        "MB up": round(float(np.mean([r.bytes_sent / 1e6 for r in reports])), 1),
        "MB down": round(float(np.mean([r.bytes_received / 1e6 for r in reports])), 1),
        "CPU s a tree, both parties and their processes, start included": round((cpu_seconds() - before) / len(reports), 2),
        "load average": round(os.getloadavg()[0], 1),
        "leaves": [r.leaves for r in reports],
        "s in all, binning and start included": round(time.perf_counter() - begun, 1),
        "peak MB of this process": round(peak_memory_mb()),
    }


CASES = {
    "histogram": histogram,
    "tree": lambda: one(settings(3)),
    "merged": lambda: one(replace(settings(2), merge_replies=True)),
    "sampled": lambda: one(settings(3, 0.1)),
    "hiding": lambda: one(replace(settings(1), hide_instances=True)),
    "depth6": lambda: one(replace(settings(2), growth=GrowthConfig(64, max_depth=6), bins=BinConfig(255)), 32_561, 49, 74),
    "narrow": lambda: one(replace(settings(3), growth=GrowthConfig(32, max_depth=5), bins=BinConfig(10)), 45_211, 8, 8),
    "million": lambda: one(settings(3), 1_000_000, 20, 20),
}

if __name__ == "__main__":
    print(json.dumps({"environment": environment("securegbm"), "commit": commit(Path(__file__).parent)}))
    for name in sys.argv[1:] or list(CASES)[:-1]:
        print(json.dumps({name: CASES[name]()}), flush=True)
