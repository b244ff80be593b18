"""CPU seconds of what paints with colours, and of the network beside it, with the style kept; one process, in turn."""

from functools import partial
from pathlib import Path

import torch
from torch.nn import functional as F

from claimkit import bench
from photonet.colour.methods import METHODS
from photonet.samples import photograph
from photonet.stylizer import METHOD, PhotoStylizer

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks" / "more"
SIDE = 512


def main():
    content, style = (F.interpolate(photograph(n)[None], (SIDE, SIDE), mode="bilinear")[0] for n in ("china", "coffee"))
    stylizers = {n: PhotoStylizer(method=n) for n in (*METHODS, METHOD, "local", "regions")}
    stylizers["network stylenas"] = PhotoStylizer("stylenas")
    ways = {n: partial(m.stylize, content, m.prepare(style)) for n, m in stylizers.items()}
    title = f"{SIDE} x {SIDE}, style kept, CPU seconds, {torch.get_num_threads()} threads"
    bench.save(bench.alternate(title, ways, rounds=7, cpu=True), RESULTS / f"colours-{SIDE}.json")


if __name__ == "__main__":
    main()
