"""What the encryption of a Paillier protocol costs a tree: SecretFlow's kernels (`pip install sf-heu`), our tree's counts.

Gradients and hessians share a plaintext, as SecretFlow packs them; sums per bin are its `feature_wise_bucket_sum`. Left out
are its search, network and scheduling, which cost more, and the compression of replies, which saves decryptions.
"""

import argparse
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np

ROWS, COLUMNS, BINS = 32_768, 16, 32
SUMMED, REQUESTS = 2.8, 31
"""Rows that a tree of 31 leaves sums up, in tables' lengths, and its requests, as counted in our own trees."""


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds of this process, and the result."""
    begun = time.process_time()
    found = work()
    return time.process_time() - begun, found


def tree(scheme: str, bits: int, rows: int) -> str:
    """CPU seconds a tree, from `rows` rows; every count is proportional."""
    from heu import numpy as hnp  # pyright: ignore[reportMissingImports]
    from heu import phe  # pyright: ignore[reportMissingImports]

    kit = hnp.setup(getattr(phe.SchemaType, scheme), bits)
    rng = np.random.default_rng(0)
    pairs = np.column_stack([rng.integers(-(1 << 23), 1 << 23, rows), rng.integers(1, 1 << 21, rows)])
    plain = kit.array(pairs, phe.BatchIntegerEncoderParams())
    encrypt, hidden = seconds(lambda: kit.encryptor().encrypt(plain))
    order = rng.integers(0, BINS, (rows, COLUMNS)).astype(np.int8)
    inside = np.ones((1, rows), dtype=np.int8)
    add, sums = seconds(lambda: kit.evaluator().feature_wise_bucket_sum(hidden, inside, order, BINS, False))
    decrypt, found = seconds(lambda: kit.decryptor().decrypt(sums))
    told = found.to_numpy(kit.batch_integer_encoder())
    expected = np.stack([np.bincount(order[:, c], pairs[:, v], BINS) for c in range(COLUMNS) for v in (0, 1)])
    assert np.array_equal(np.sort(told.ravel()), np.sort(expected.ravel().astype(told.dtype)))
    scaled = (encrypt * ROWS / rows, add * SUMMED * ROWS / rows, decrypt * REQUESTS)
    parts = ", ".join(f"{name} {x:.1f}" for name, x in zip(("encryption", "sums", "decryption"), scaled, strict=True))
    return f"{scheme} of {bits} bits: {sum(scaled):.1f} CPU s a tree ({parts})"


def main() -> None:
    """Print a line a scheme and key size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=512)
    if find_spec("heu") is None:
        print("nothing is measured: `pip install sf-heu` brings the peer's kernels")
        return
    for bits in (2048, 3072):
        for scheme in ("ZPaillier", "OU"):
            print(tree(scheme, bits, parser.parse_args().rows), flush=True)


if __name__ == "__main__":
    main()
