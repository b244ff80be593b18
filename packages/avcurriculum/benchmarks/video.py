"""Seconds that a user waits: for --help, for the demo, and for the heat map of ten seconds of 640 x 360 video."""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from avcurriculum import media
from avcurriculum.audio import RATE
from paperkit import bench

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"


def command(*arguments):
    def run():
        with tempfile.TemporaryDirectory() as empty:
            code = "from avcurriculum.cli import main; main()"
            subprocess.run([sys.executable, "-c", code, *arguments], cwd=empty, check=True, capture_output=True)

    return run


def main():
    rng = np.random.default_rng(0)
    still = rng.integers(0, 255, (45, 80, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.mp4"
        pictures = (np.roll(still, 2 * i, 1) for i in range(250))
        media.write_clip(clip, pictures, 25, (0.1 * rng.standard_normal(10 * RATE)).astype(np.float32))
        localize = command("localize", str(clip), "--out", str(Path(folder) / "heat.mp4"))
        title = "avcurriculum localize, 10 s of 640 x 360 at 25 frames a second"
        bench.save(bench.alternate(title, {"whole command": localize}, rounds=5, warmup=1), RESULTS / "localize.json")
    bench.save(bench.alternate("avcurriculum --help", {"--help": command("--help")}, rounds=9), RESULTS / "help.json")
    demo = {"demo": command("demo")}
    bench.save(bench.alternate("avcurriculum demo", demo, rounds=3, warmup=0), RESULTS / "demo.json")


if __name__ == "__main__":
    main()
