"""WCT of both sides against the double-precision singular values of the public code, channel counts of VGG-19 and ours."""

from pathlib import Path

import torch

from claimkit import bench
from photonet.baselines.reference import wct_svd64
from photonet.claims.cost.kernel import features, ours

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"


def main():
    generator = torch.Generator().manual_seed(0)
    for channels, side in ((64, 256), (128, 128), (256, 64), (512, 64)):
        x, s = (features(channels, side, 1e4, generator) for _ in range(2))
        work = {"SVD, float64": lambda x=x, s=s: wct_svd64(x, s, "none"), "ours": lambda x=x, s=s: ours(x, s)}
        title = f"WCT, {channels} x {side} x {side}, {torch.get_num_threads()} threads"
        bench.save(bench.alternate(title, work, rounds=9, cpu=True), RESULTS / f"kernel-{channels}.json")


if __name__ == "__main__":
    main()
