"""The rule by which weights that were trained on become the default: python training/rules/beside.py DATA CANDIDATE.

Written before the candidate was looked at. On 32 pairs of contents of images/pairs, which nothing was trained on, and
the 16 held-out paintings (512 pixels, paired 95 % intervals, a painting's mean is one value) against the default before:
style and Gram wholly below 0; content at most +2 %; SSIM of edges above MicroAST's by 0.05; foreign and clipped colours
not more, weave at most 1.2.

``--wide`` is a second rule with the limits of claim P14: style and Gram wholly below 0 against the default before;
content at most +2 % of MicroAST's; edges as above; foreign colours at most 1 %, clipped 3 %, weave 1.2, where the first
rule asked for no more than before. It was written after `paint` had been trained and judged by the first, before the map
of colours was changed.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from claimkit.assets import Assets
from claimkit.experiment import Job
from claimkit.statistics import group_means, mean_interval
from styleproj.claims.common import BENT, CUT, CutFirst, held_out
from styleproj.claims.peer import CLIPPED, EDGES, FOREIGN, MARGIN, PEER, WEAVE, beside
from styleproj.claims.weights import MEASURES, below, table
from styleproj.networks.weights import load_network

CANDIDATE, BEFORE, SIDE = "candidate", "joint", 512


def pairs_of_the_rules(job: Job) -> list[tuple[Path, Path]]:
    """Content and painting of the 32 pairs that the rules judge by."""
    folder = job.assets.find("images/photos").parent
    contents = sorted((folder / "pairs").glob("*_content.jpg"))
    chosen = [contents[i] for i in np.random.default_rng(0).permutation(len(contents))[:32]]
    paintings = held_out("paintings", job)
    return [(content, folder / paintings[i % len(paintings)]) for i, content in enumerate(chosen)]


def main() -> None:
    """Measure, judge and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("candidate", type=Path)
    parser.add_argument("--wide", action="store_true", help="judge by the second rule")
    given = parser.parse_args()
    job = Job(seed=0, assets=Assets(given.data))
    makers = {
        CANDIDATE: CutFirst(load_network(given.candidate), **BENT),
        BEFORE: CutFirst(load_network(Path("joint")), **CUT),
    }
    values = beside(makers, pairs_of_the_rules(job), SIDE, job)
    rows, styles = table([values]), values["styles"]
    now, before = rows[CANDIDATE], rows[BEFORE]
    against = {m: mean_interval(group_means(now[m] / before[m] - 1, styles), m) for m in ("style", "Gram", "content")}
    drawing = mean_interval(group_means(rows[PEER]["edges"] - now["edges"], styles), "edges, peer - candidate")
    if given.wide:
        against["content"] = mean_interval(
            group_means(now["content"] / rows[PEER]["content"] - 1, styles), "content, peer's"
        )
    limits = {m: x if given.wide else before[m].mean() for m, x in (("foreign", FOREIGN), ("clipped", CLIPPED))}
    holds = {m: below(against[m], 0) for m in ("style", "Gram")} | {"content": below(against["content"], MARGIN)}
    holds |= {"edges": drawing.high is not None and drawing.high <= -EDGES}
    holds |= {m: bool(now[m].mean() <= limit) for m, limit in limits.items()}
    holds |= {"weave": bool(now["weave"].mean() <= WEAVE)}
    means = {n: {m: round(float(row[m].mean()), 4) for m in MEASURES} for n, row in rows.items()}
    told = [str(e) for e in (*against.values(), drawing)]
    print(json.dumps({"taken": all(holds.values()), "holds": holds, "intervals": told, "means": means}, indent=1))


if __name__ == "__main__":
    main()
