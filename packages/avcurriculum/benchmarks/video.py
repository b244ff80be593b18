"""Seconds that a user waits: for --help, for the demo, and for the heat map of ten seconds of 640 x 360 video."""

import tempfile
from pathlib import Path

import numpy as np

from avcurriculum.audio import RATE
from avcurriculum.video import media
from claimkit import bench

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"


def main():
    rng = np.random.default_rng(0)
    still = rng.integers(0, 255, (45, 80, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.mp4"
        pictures = (np.roll(still, 2 * i, 1) for i in range(250))
        media.write_clip(clip, pictures, 25, (0.1 * rng.standard_normal(10 * RATE)).astype(np.float32))
        localize = bench.command("avcurriculum", "localize", str(clip), "--out", str(Path(folder) / "heat.mp4"))
        title = "avcurriculum localize, 10 s of 640 x 360 at 25 frames a second"
        bench.save(bench.alternate(title, {"whole command": localize}, rounds=5, warmup=1), RESULTS / "localize.json")
    bench.startup("avcurriculum", RESULTS)


if __name__ == "__main__":
    main()
