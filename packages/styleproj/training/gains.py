"""What the map of colours does: python training/gains.py DATA OUT.json [NETWORK ...], each NETWORK with the defaults beside.

Means of each measure on 24 pairs (contents of images/pairs in the held-out paintings, 512 pixels) for `deep` and `paint` by
the most that a difference of colours may grow and by the width of what is bent at the ends of the range; 0 cuts off.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from claimkit.assets import Assets
from claimkit.experiment import Job
from claimkit.files import write_atomic
from styleproj.claims.common import BENT, CutFirst, held_out
from styleproj.claims.peer import beside
from styleproj.networks.weights import load_network

VARIANTS = [("deep", 1.0, 0.0), ("deep", 1.6, 0.0), ("deep", 1.6, 0.2), ("deep", 1.3, 0.2), ("paint", 1.3, 0.2)]
PAIRS, SIDE = 24, 512

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("networks", type=Path, nargs="*")
    given = parser.parse_args()
    job = Job(seed=0, assets=Assets(given.data))
    folder = job.assets.find("images/photos").parent
    contents, paintings = sorted((folder / "pairs").glob("*_content.jpg")), held_out("paintings", job)
    chosen = [contents[i] for i in np.random.default_rng(5).permutation(len(contents))[:PAIRS]]
    pairs = [(content, folder / paintings[i % len(paintings)]) for i, content in enumerate(chosen)]
    makers = {f"{n}, {g:g}, {w:g}": CutFirst(load_network(Path(n)), max_gain=g, soft_clip=w) for n, g, w in VARIANTS}
    makers |= {file.stem: CutFirst(load_network(file), **BENT) for file in given.networks}
    rows = beside(makers, pairs, SIDE, job)["measures"]
    means = {name: {m: round(float(np.mean(v)), 4) for m, v in row.items()} for name, row in rows.items()}
    write_atomic(given.out, json.dumps(means, indent=1) + "\n")
