"""The feature party's root histogram under encryption, with and without cached masks, against sums in the clear."""

from pathlib import Path

import numpy as np

from claimkit import bench
from securegbm.crypto.feature_cipher import FeatureCipher
from securegbm.crypto.label_cipher import LabelCipher
from securegbm.crypto.packing import adaptive_stride
from securegbm.crypto.parameters import BFVParameters
from securegbm.crypto.sums import PlainFeatureSums

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"
ROWS, FEATURES, BINS = 32_768, 16, 32


def main():
    rng = np.random.default_rng(0)
    size = FEATURES * (BINS - 1)
    parameters = BFVParameters.choose(ROWS, 23)
    stride = adaptive_stride(ROWS, size, parameters.degree, merge=False)
    label = LabelCipher(parameters)
    feature = FeatureCipher(parameters, label.public_key, cache_bytes=1 << 30)
    bins = rng.integers(0, BINS, (ROWS, FEATURES))
    entries = np.where(bins == BINS - 1, -1, bins + (BINS - 1) * np.arange(FEATURES)).astype(np.int32)
    vectors = [rng.integers(-(2**23), 2**23, ROWS), rng.integers(1, 2**21, ROWS)]
    parts = [label.encrypt([v[i : i + stride] for i in range(0, ROWS, stride)]) for v in vectors]
    outputs = range(-(-size * stride // parameters.degree))
    plain, raw = PlainFeatureSums(size), [v.astype("<i8").tobytes() for v in vectors]
    result = bench.alternate(
        f"sums of g and h, {ROWS:,} rows, {FEATURES} columns of {BINS} bins, one process, CPU time",
        {
            "encrypted, masks built": lambda: feature.histogram(parts, entries, size, stride, outputs),
            "encrypted, masks cached": lambda: feature.histogram(parts, entries, size, stride, outputs, b"root"),
            "sums in the clear": lambda: plain.add({}, raw, entries, None),
        },
        rounds=5,
        warmup=1,
        cpu=True,
    )
    bench.save(result, RESULTS / "histogram.json")


if __name__ == "__main__":
    main()
