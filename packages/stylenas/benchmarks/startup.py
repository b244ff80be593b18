"""Seconds that a user waits: for --help, and for the demo."""

from pathlib import Path

from claimkit import bench

if __name__ == "__main__":
    bench.startup("stylenas", Path(__file__).parents[1] / "results" / "benchmarks")
