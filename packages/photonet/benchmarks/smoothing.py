"""The smoothings of PhotoWCT: conjugate gradients against the factorisation of the public code, and the guided filter."""

from pathlib import Path

import torch

from claimkit import bench
from photonet.baselines.matting import affinity, matting_smoothing
from photonet.baselines.weights import load_baselines
from photonet.claims.cost.speed import pictures
from photonet.regions.guided_filter import guided_filter
from photonet.weights import load_network

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"


def main():
    content, style = pictures(256, 384)
    photowct = load_baselines(load_network("photonet").encoder).photowct
    with torch.inference_mode():
        stylised, content = photowct(content, photowct.prepare(style))[0], content[0]
    work = {
        "factorisation (SuperLU)": lambda: matting_smoothing(stylised, content, solver="direct"),
        "conjugate gradients": lambda: matting_smoothing(stylised, content),
        "assembly of the Laplacian alone": lambda: affinity(content),
        "guided filter": lambda: guided_filter(stylised, content),
    }
    title = f"smoothing of 256 x 384 pixels, {torch.get_num_threads()} threads"
    bench.save(bench.alternate(title, work, rounds=5, warmup=1), RESULTS / "smoothing.json")


if __name__ == "__main__":
    main()
