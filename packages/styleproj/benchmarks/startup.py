"""Seconds that a user waits: for --help, for one picture from a cold start, and for the demo."""

import tempfile
from pathlib import Path

from claimkit import bench
from claimkit.style.images import write_image
from styleproj.samples import photograph

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"


def main():
    bench.startup("styleproj", RESULTS)
    with tempfile.TemporaryDirectory() as folder:
        pictures = {f"{name}.jpg": Path(folder) / f"{name}.jpg" for name in ("astronaut", "ihc")}
        for path in pictures.values():
            write_image(path, photograph(path.stem))
        title = "styleproj stylize, 512 x 512, from a cold start"
        run = bench.command("styleproj", "stylize", *pictures, files=pictures)
        bench.save(bench.alternate(title, {"styleproj stylize": run}, rounds=5, warmup=1), RESULTS / "stylize.json")


if __name__ == "__main__":
    main()
