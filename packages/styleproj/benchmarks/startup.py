"""Seconds that a user waits: for --help, for one picture from a cold start, and for the demo."""

import subprocess
import sys
import tempfile
from pathlib import Path

from paperkit import bench
from paperkit.style.images import write_image
from styleproj.samples import photograph

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"


def command(*arguments):
    def run():
        with tempfile.TemporaryDirectory() as folder:
            for name in ("astronaut", "ihc"):
                write_image(Path(folder) / f"{name}.jpg", photograph(name))
            code = "from styleproj.cli import main; main()"
            subprocess.run([sys.executable, "-c", code, *arguments], cwd=folder, check=True, capture_output=True)

    return run


def main():
    candidates = {
        "styleproj --help": command("--help"),
        "styleproj stylize, 512 x 512": command("stylize", "astronaut.jpg", "ihc.jpg"),
        "styleproj demo": command("demo"),
    }
    bench.save(bench.alternate("a command, from a cold start", candidates, rounds=5, warmup=1), RESULTS / "startup.json")


if __name__ == "__main__":
    main()
