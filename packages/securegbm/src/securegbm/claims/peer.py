"""S11: an encrypted tree against what a Paillier protocol's arithmetic alone costs, with SecretFlow's own kernels.

Gradients and hessians share a plaintext, as SecretFlow packs them; sums per bin are its `feature_wise_bucket_sum`. Left out
are its search, network and scheduling, and its compression of replies, which saves decryptions.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from claimkit.claims import Claim, Values, Verdict
from claimkit.experiment import Experiment, Job, Settings
from claimkit.figures import figure, save
from claimkit.statistics import power
from securegbm.claims.cost import make_table, settings, train
from securegbm.claims.quality import ends, interval
from securegbm.feature_party.party import FeatureParty
from securegbm.feature_party.policy import FeaturePolicy
from securegbm.label_party.party import LabelParty
from securegbm.tables.table import Table
from securegbm.wire.channel import LocalChannel
from securegbm.wire.messages import Endpoint, Kind, peek

BAR = 20.0
"""The peer's CPU seconds over ours, both at 128-bit security."""
SCHEMES = ("ZPaillier", "OU")
"""Paillier's in SecretFlow's fastest form, and Okamoto and Uchiyama's (EUROCRYPT 1998), which it offers beside it."""
STRONG, WEAK = 3072, 2048
"""Bits of a modulus to factor for 128-bit and 112-bit security (NIST SP 800-57)."""
LEAST_GAP = 1.5
"""The control: a stronger key must cost Paillier at least this much more, or the clock does not see the arithmetic."""


@dataclass(frozen=True)
class Peer(Settings):
    """Rows and columns of each party, bins, trees of ours, and rows on which the peer's kernels are timed."""

    seeds: int = 6
    timed: bool = True
    threads: int | None = 1
    rows: int = 32_768
    columns: int = 16
    bins: int = 32
    trees: int = 4
    peer_rows: int = 256


class Counting(LocalChannel):
    """Counts requests for sums, and the rows they are over."""

    requests = summed = 0

    def call(self, data: bytes) -> bytes:
        """Hand the message over."""
        if peek(data)[0] == Kind.SUMS:
            endpoint = Endpoint()
            endpoint.stand(*endpoint.head_of(data))
            self.requests += 1
            self.summed += int.from_bytes(endpoint.decode(data).part(0)).bit_count()
        return super().call(data)


def counts(s: Peer, values: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Requests for sums a tree, and the rows they are over, of the same trees grown in the clear (S5)."""
    channel = Counting(FeatureParty(Table.of(values[:, s.columns :]), FeaturePolicy(allow_plain=True)))
    config = replace(settings(s.trees), encryption="none")
    LabelParty(Table.of(values[:, : s.columns]), labels, config, channel).train()
    return channel.requests / s.trees, channel.summed / s.trees


def spent(work: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds of this process, and the result."""
    begun = time.process_time()
    found = work()
    return time.process_time() - begun, found


def peer_tree(scheme: str, bits: int, s: Peer, requests: float, summed: float) -> float:
    """CPU seconds a tree of the peer's kernels; its sums are held against numpy's.

    Args:
        scheme: Name of the scheme.
        bits: Of its key.
        s: The sizes.
        requests: Nodes whose sums are decrypted.
        summed: Rows that are summed up over all nodes.
    """
    from heu import numpy as hnp  # pyright: ignore[reportMissingImports]
    from heu import phe  # pyright: ignore[reportMissingImports]

    kit, rows, bins = hnp.setup(getattr(phe.SchemaType, scheme), bits), s.peer_rows, s.bins
    rng = np.random.default_rng(0)
    pairs = np.column_stack([rng.integers(-(1 << 23), 1 << 23, rows), rng.integers(1, 1 << 21, rows)])
    plain = kit.array(pairs, phe.BatchIntegerEncoderParams())
    encrypt, hidden = spent(lambda: kit.encryptor().encrypt(plain))
    order = rng.integers(0, bins, (rows, s.columns)).astype(np.int8)
    inside = np.ones((1, rows), dtype=np.int8)
    add, sums = spent(lambda: kit.evaluator().feature_wise_bucket_sum(hidden, inside, order, bins, False))
    decrypt, found = spent(lambda: kit.decryptor().decrypt(sums))
    told = found.to_numpy(kit.batch_integer_encoder())
    expected = np.stack([np.bincount(order[:, c], pairs[:, v], bins) for c in range(s.columns) for v in (0, 1)])
    if not np.array_equal(np.sort(told.ravel()), np.sort(expected.ravel().astype(told.dtype))):
        raise RuntimeError(f"the peer's sums under {scheme} are not the sums; its version has another interface")
    return encrypt * s.rows / rows + add * summed / rows + decrypt * requests


def measure(s: Peer, job: Job) -> Values:
    """CPU seconds a tree: ours with everything of both parties (median after the first), then the peer's arithmetic."""
    if find_spec("heu") is None:
        return {"missing": True}
    values, labels = make_table(s.rows, job.seed, s.columns, s.columns)
    requests, summed = counts(s, values, labels)
    marks = [time.process_time()]
    train(values, labels, settings(s.trees), s.columns, on_tree=lambda report: marks.append(time.process_time()))
    keys = [(scheme, bits) for scheme in SCHEMES for bits in (WEAK, STRONG)]
    found = {f"{scheme} {bits}": peer_tree(scheme, bits, s, requests, summed) for scheme, bits in keys}
    ours = float(np.median(np.diff(marks)[1:]))
    return {"cpu_seconds": {"securegbm": ours} | found, "requests": requests, "rows_summed": summed}


def judge(values: Sequence[Values]) -> Verdict:
    """The interval of either scheme's ratio at 128 bits of security begins at the bar or above."""
    if any("missing" in v for v in values):
        return Verdict("not run", "SecretFlow's kernels are not installed; `pip install sf-heu` brings them.")
    seconds = [v["cpu_seconds"] for v in values]
    ratios = {
        scheme: interval([t[f"{scheme} {STRONG}"] / t["securegbm"] for t in seconds], f"{scheme} {STRONG} over securegbm")
        for scheme in SCHEMES
    }
    gap = min(t[f"{SCHEMES[0]} {STRONG}"] / t[f"{SCHEMES[0]} {WEAK}"] for t in seconds)
    means = {name: float(np.mean([t[name] for t in seconds])) for name in seconds[0]}
    said = "CPU seconds a tree: " + ", ".join(f"{name} {mean:.2g}" for name, mean in means.items())
    least = min(ratios.values(), key=lambda ratio: ratio.value)
    if gap < LEAST_GAP:
        return Verdict("not run", f"A stronger key does not cost the peer more. {said}.", least)
    met = {scheme: ends(ratio)[0] >= BAR for scheme, ratio in ratios.items()}
    kind = "reproduced" if all(met.values()) else "direction reproduced" if any(met.values()) else "not reproduced"
    return Verdict(kind, f"{said}; {', '.join(f'{n} {r.value:.1f}x' for n, r in ratios.items())} ours.", least)


def draw(values: Sequence[Values], path: Path) -> None:
    """CPU seconds a tree, one dot a table; the line is twenty times ours."""
    names = list(values[0]["cpu_seconds"])
    canvas, axis = figure(size=(6.4, 2.6))
    for place, name in enumerate(names):
        axis.semilogx(
            [v["cpu_seconds"][name] for v in values], [place] * len(values), "o", color="#0072b2" if place else "#c1272d"
        )
    ours = float(np.mean([v["cpu_seconds"]["securegbm"] for v in values]))
    axis.axvline(BAR * ours, color="#000000", lw=1, ls="--")
    axis.set_yticks(range(len(names)), ["securegbm, all of it", *(f"{name} bits, arithmetic alone" for name in names[1:])])
    axis.invert_yaxis()
    axis.set(xlabel="CPU seconds a tree (dashed: twenty times ours)")
    save(canvas, path)


EXPERIMENTS = [
    Experiment(
        Claim(
            id="S11",
            title="A tree against a Paillier protocol's arithmetic",
            paper="1911.11997",
            where="ours",
            statement="At 128-bit security on both sides, a tree of 32,768 rows, 16 + 16 columns of 32 bins and 31 leaves "
            "takes at most a twentieth of the CPU seconds that the arithmetic alone takes with SecretFlow's kernels "
            "(sf-heu), under Paillier and under Okamoto-Uchiyama with 3072-bit keys.",
            criterion="Six tables, in turn ours and the peer: the 95 % interval of the peer's CPU seconds over ours begins "
            "at 20 or above with 3072-bit keys under both schemes; under one of them alone the direction is reproduced. "
            "Ours is all of both parties, the peer's encryption, sums and decryption at the counts of the same tree, "
            "timed on 256 rows and scaled. Control: 3072 bits cost Paillier at least 1.5 times what 2048 bits (112-bit "
            "security) do in every pair, or nothing is decided.",
            tolerance="Twenty was the goal set before anything was measured, and stays although the pilot shows that "
            "Okamoto-Uchiyama will not be twenty times slower. Both schemes count, because a user of the peer may take the "
            "faster one; its search, network and scheduling are left out in its favour.",
            reported="not available",
            power=power(
                3.0,
                0.6,
                {"full": 6},
                "three tables that are not among those of the claim: 14.2, 15.3 and 15.2 times under Okamoto-Uchiyama, 214 "
                "to 231 under Paillier",
                "times",
            ),
        ),
        {
            "smoke": Peer(seeds=1, rows=300, columns=2, bins=4, trees=2, peer_rows=8),
            "full": Peer(),
        },
        measure,
        judge,
        draw,
    )
]
