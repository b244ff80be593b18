"""What the third, fourth and sixth rule have in common: how candidates are written, measured and told."""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from claimkit.assets import Assets
from claimkit.claims import Estimate
from claimkit.experiment import Job
from claimkit.files import write_atomic
from claimkit.statistics import mean_interval
from claimkit.style.images import image_files
from styleproj.claims.common import BENT, CutFirst, held_out
from styleproj.claims.peer import CLIPPED, PEER, WEAVE, beside
from styleproj.claims.weights import COLOURS, MEASURES, table
from styleproj.networks.network import StyleNetwork
from styleproj.networks.weights import load_network
from styleproj.pictures.stylizer import Stylizer

SIDE, FOREIGN = 512, 0.009
DISTANCES = ("style", "Gram", "content")
Row = Mapping[str, NDArray[np.float64]]
"""Each measure of what one network made, one a pair."""
Judge = Callable[[Row, Row, Row], tuple[dict[str, bool], list[Estimate], float]]
"""Of a candidate, the default before and MicroAST: what holds, the intervals, and the sum by which the lowest is taken."""


def network(text: str) -> StyleNetwork:
    """The network of a file, or the mean of those that a plus joins."""
    first, *others = (load_network(Path(part)) for part in text.split("+"))
    for i, other in enumerate(others, start=2):
        for p, q in zip(first.parameters(), other.parameters(), strict=True):
            p.lerp_(q, 1 / i)
    return first


def maker(text: str) -> Stylizer:
    """What makes the pictures of a candidate."""
    weights, _, settings = text.partition("@")
    if not settings:
        return CutFirst(network(weights), **BENT)
    gain, limit = map(float, settings.split(","))
    stylizer = Stylizer(network(weights), max_gain=gain)
    stylizer.limit = limit
    return stylizer


def colours(now: Row) -> dict[str, bool]:
    """What the rules ask of the means of foreign colours, clipped pixels and weave."""
    return {m: bool(now[m].mean() <= x) for m, x in (("foreign", FOREIGN), ("clipped", CLIPPED), ("weave", WEAVE))}


def against(now: Row, other: Row, whose: str = "") -> list[Estimate]:
    """Relative differences of the three distances."""
    return [mean_interval(now[m] / other[m] - 1, m + whose) for m in DISTANCES]


def verdicts(rows: Mapping[str, Row], names: Sequence[str], before: str, judge: Judge) -> dict[str, object]:
    """What each candidate misses, its intervals, the means of all, and the one that is taken."""
    found: dict[str, object] = {}
    sums: dict[str, float] = {}
    for name in names:
        holds, intervals, total = judge(rows[name], rows[before], rows[PEER])
        found[name] = {"missed": [m for m, h in holds.items() if not h], "intervals": [str(e) for e in intervals]}
        if all(holds.values()):
            sums[name] = total
    means = {n: {m: round(float(row[m].mean()), 4) for m in MEASURES} for n, row in rows.items() if n != COLOURS}
    return {"taken": min(sums, key=lambda n: sums[n], default=None), "candidates": found, "means": means}


def pairs_kept_apart(folder: Path, job: Job) -> list[tuple[Path, Path]]:
    """A held-out photograph for each painting of the folder."""
    photos = held_out("photos", job)
    order = np.random.default_rng(0).permutation(len(photos))
    root = job.assets.find("images/photos").parent
    return [(root / photos[i], painting) for i, painting in zip(order, image_files(folder), strict=False)]


def judge_kept_apart(about: str | None, before: str, judge: Judge) -> None:
    """The command of a rule that judges by a folder of paintings: DATA FOLDER OUT.json NETWORK [...]."""
    parser = argparse.ArgumentParser(description=about)
    for name in ("data", "folder", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("networks", nargs="+")
    given = parser.parse_args()
    job = Job(seed=0, assets=Assets(given.data))
    makers = {n: maker(n) for n in (before, *given.networks)}
    rows = table([beside(makers, pairs_kept_apart(given.folder, job), SIDE, job)])
    result = verdicts(rows, given.networks, before, judge)
    write_atomic(given.out, json.dumps(result, indent=1) + "\n")
    print(result["taken"])
