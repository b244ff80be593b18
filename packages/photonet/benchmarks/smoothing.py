"""The smoothings of PhotoWCT: conjugate gradients against the factorisation of the public code, and the guided filter."""

from pathlib import Path

import torch

from paperkit import bench
from photonet.baselines.guided_filter import guided_filter
from photonet.baselines.matting import affinity, matting_smoothing
from photonet.claims.speed import pictures

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"


def main():
    content, style = (x[0] for x in pictures(256, 384))
    stylised = (0.5 * content + 0.5 * style).clamp(0, 1)
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
