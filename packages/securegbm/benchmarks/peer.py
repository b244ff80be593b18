"""CPU seconds of a tree of a whole peer, both of its parties in one process: SecretFlow's SGB in its debug mode.

It needs Python 3.10 and an environment of its own: `pip install secretflow-lite`, then `python benchmarks/peer.py`. Same
table, columns, bins and depth as `ring.py`; the first tree warms up. Claim S11 measures the peer's arithmetic alone.
"""

import argparse
import time
from importlib.util import find_spec

import numpy as np

ROWS, COLUMNS, BINS, DEPTH = 32_768, 16, 32, 5


def table() -> tuple[np.ndarray, np.ndarray]:
    """The table of `securegbm.claims.cost.make_table`, which cannot be imported there."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(ROWS, 2 * COLUMNS))
    score = values @ rng.normal(size=2 * COLUMNS) / 2
    return values, (rng.random(ROWS) < 1 / (1 + np.exp(-score))).astype(float)


def tree(scheme: str, bits: int, trees: int) -> float:
    """CPU seconds a tree: a run of 1 + `trees` trees less a run of one."""
    import secretflow  # pyright: ignore[reportMissingImports]
    import spu  # pyright: ignore[reportMissingImports]
    from secretflow.data.ndarray import FedNdarray, PartitionWay  # pyright: ignore[reportMissingImports]
    from secretflow.ml.boost.sgb_v import Sgb, get_classic_XGB_params  # pyright: ignore[reportMissingImports]

    alice, bob = secretflow.PYU("alice"), secretflow.PYU("bob")
    key = {"schema": scheme, "key_pair": {"generate": {"bit_size": bits}}}
    parties = {"sk_keeper": {"party": "alice"}, "evaluators": [{"party": "bob"}]}
    cipher = secretflow.HEU(parties | {"mode": "PHEU", "he_parameters": key}, spu.spu_pb2.FM128)
    values, labels = table()
    halves = {alice: alice(lambda: values[:, :COLUMNS])(), bob: bob(lambda: values[:, COLUMNS:])()}
    columns = FedNdarray(halves, PartitionWay.VERTICAL)
    label = FedNdarray({alice: alice(lambda: labels.reshape(-1, 1))()}, PartitionWay.VERTICAL)
    options = get_classic_XGB_params() | {"max_depth": DEPTH, "sketch_eps": 1 / BINS, "objective": "logistic"}
    options |= {"enable_quantization": True, "quantization_scale": 1 << 23}
    taken = []
    for count in (1, 1 + trees):
        begun = time.process_time()
        Sgb(cipher).train(options | {"num_boost_round": count}, columns, label)
        taken.append(time.process_time() - begun)
    return (taken[1] - taken[0]) / trees


def main() -> None:
    """Print a line a scheme."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trees", type=int, default=2)
    parser.add_argument("--bits", type=int, default=3072)
    parser.add_argument("--schemes", nargs="+", default=["ou"])
    arguments = parser.parse_args()
    if find_spec("secretflow") is None:
        print("nothing is measured: the peer needs Python 3.10 and `pip install secretflow-lite`")
        return
    import secretflow  # pyright: ignore[reportMissingImports]

    secretflow.init(["alice", "bob"], debug_mode=True)
    for scheme in arguments.schemes:
        taken = tree(scheme, arguments.bits, arguments.trees)
        print(f"{scheme} of {arguments.bits} bits: {taken:.1f} CPU s a tree", flush=True)


if __name__ == "__main__":
    main()
