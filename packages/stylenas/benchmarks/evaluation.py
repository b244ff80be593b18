"""What a candidate costs: with shared weights, and trained from scratch."""

from pathlib import Path

import torch

from claimkit import bench
from stylenas.style.spaces import StyleSpace, scratch

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"


def main():
    torch.set_num_threads(1)
    shared = StyleSpace(steps=100)
    alone = scratch(shared, 50)
    genome = shared.canonical("01" * 15 + "1")
    candidates = {
        "shared weights": lambda: shared.evaluate(genome),
        "from scratch, 50 steps": lambda: alone.evaluate(genome),
    }
    b = bench.alternate(
        f"a candidate, {shared.pairs} pairs of {shared.size} pixels, one thread", candidates, rounds=5, warmup=1
    )
    bench.save(b, RESULTS / "evaluation.json")


if __name__ == "__main__":
    main()
