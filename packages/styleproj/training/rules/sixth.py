"""The sixth rule, for weights trained at half the size: python training/rules/sixth.py DATA FOLDER OUT.json NETWORK [...].

DATA, FOLDER, NETWORK and the pairs are those of the fourth rule. A candidate may be taken where the relative differences of
style, Gram and content from `easel`'s lie wholly below 0 (paired 95 % intervals), SSIM of edges is lower by 0.01 at the most
(by the interval's end), and means are at most 0.9 % of foreign colours, 3 % clipped, and 1.2 of weave. Of those the one with
the lowest sum of the three relative differences is taken, and is the default. What it is worth is for claim P21 to say, on
pictures that nothing was chosen by.

Committed while the candidates were trained, before any was measured by it: two trainings and their mean. A pilot of
600 steps had been measured on 30 pairs of training pictures (style -1.9 %, Gram -2.8 %, content -1.4 %).
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from fourth import DISTANCES, pairs_kept_apart
from third import FOREIGN, SIDE, maker

from claimkit.assets import Assets
from claimkit.claims import Values
from claimkit.experiment import Job
from claimkit.files import write_atomic
from claimkit.statistics import mean_interval
from styleproj.claims.peer import CLIPPED, PEER, WEAVE, beside
from styleproj.claims.weights import COLOURS, MEASURES, below, table

BEFORE = "easel@1.15,0.02"
LOST = 0.01


def verdicts(values: Values, names: Sequence[str]) -> dict[str, object]:
    """What holds of each, its intervals and means, and the one that is taken."""
    rows = table([values])
    before, found, sums = rows[BEFORE], {}, {}
    for name in names:
        now = rows[name]
        against = [mean_interval(now[m] / before[m] - 1, m) for m in DISTANCES]
        edges = mean_interval(before["edges"] - now["edges"], "edges, before - now")
        holds = {e.name: below(e, 0) for e in against} | {"edges": below(edges, LOST)}
        holds |= {m: bool(now[m].mean() <= x) for m, x in (("foreign", FOREIGN), ("clipped", CLIPPED), ("weave", WEAVE))}
        beside_peer = [mean_interval(now[m] / rows[PEER][m] - 1, f"{m}, MicroAST's") for m in DISTANCES]
        told = [str(e) for e in (*against, edges, *beside_peer)]
        found[name] = {"missed": [m for m, h in holds.items() if not h], "intervals": told}
        if all(holds.values()):
            sums[name] = sum(e.value for e in against)
    means = {n: {m: round(float(row[m].mean()), 4) for m in MEASURES} for n, row in rows.items() if n != COLOURS}
    return {"taken": min(sums, key=lambda n: sums[n], default=None), "candidates": found, "means": means}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("networks", nargs="+")
    given = parser.parse_args()
    job = Job(seed=0, assets=Assets(given.data))
    pairs = pairs_kept_apart(given.folder, job)
    result = verdicts(beside({n: maker(n) for n in (BEFORE, *given.networks)}, pairs, SIDE, job), given.networks)
    write_atomic(given.out, json.dumps(result, indent=1) + "\n")
    print(result["taken"])
