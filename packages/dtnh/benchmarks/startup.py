"""What a user waits for: the help of the command line, and the demo."""

import subprocess
import sys
import tempfile
from pathlib import Path

from paperkit import bench

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"


def command(*argv):
    def run():
        with tempfile.TemporaryDirectory() as folder:
            code = "from dtnh.cli import main; main()"
            subprocess.run([sys.executable, "-c", code, *argv], cwd=folder, check=True, capture_output=True)

    return run


def main():
    bench.save(bench.alternate("dtnh --help", {"dtnh --help": command("--help")}, rounds=9), RESULTS / "help.json")
    bench.save(bench.alternate("dtnh demo", {"dtnh demo": command("demo")}, rounds=3, warmup=1), RESULTS / "demo.json")


if __name__ == "__main__":
    main()
