"""Whole pictures by every method, and the lazy executor against the eager network; one process, two cores."""

from functools import partial
from pathlib import Path

import torch

from claimkit import bench
from claimkit.experiment import Job
from photonet.baselines.matting import matting_smoothing
from photonet.claims.common import baselines, network
from photonet.claims.cost.speed import both_ways, candidates, pictures
from photonet.colour.methods import METHODS
from photonet.regions.guided_filter import guided_filter
from photonet.stylizer import PhotoStylizer

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"
SIZES = {(256, 256): 9, (512, 512): 5, (512, 1024): 3}


def methods(height, width):
    job = Job(0)
    work = candidates(height, width, job)
    others, (content, style) = baselines(network("photonet", job), job), pictures(height, width)

    def smoothed(smoothing):
        return lambda: smoothing(others.photowct(content, others.photowct.prepare(style))[0], content[0])

    stylizers = {n: PhotoStylizer(method=n) for n in (*METHODS, "matched", "regions", "local")}
    classical = {n: partial(m.stylize, content[0], m.prepare(style[0])) for n, m in stylizers.items()}
    whole = {n: f for n, f in work.items() if not n.endswith("convolutions") and n not in ("guided filter", "matting")}
    slow = {"PhotoWCT + guided filter": smoothed(guided_filter), "PhotoWCT + matting": smoothed(matting_smoothing)}
    return {**whole, **slow, **classical}


def main():
    with torch.inference_mode():
        for (height, width), rounds in SIZES.items():
            size = f"{height} x {width}, {torch.get_num_threads()} threads"
            result = bench.alternate(f"a picture of {size}", methods(height, width), rounds, warmup=1)
            bench.save(result, RESULTS / f"methods-{height}x{width}.json")
            for name in ("photonas", "photonet", "stylenas"):
                ways, _ = both_ways(network(name, Job(0)), *pictures(height, width))
                result = bench.alternate(f"{name}, {size}", ways, rounds, warmup=1)
                bench.save(result, RESULTS / f"lazy-{name}-{height}x{width}.json")


if __name__ == "__main__":
    main()
