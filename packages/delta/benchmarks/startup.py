"""Seconds that a user waits: for --help, and for the demo."""

import subprocess
import sys
import tempfile
from pathlib import Path

from paperkit import bench

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"


def command(*arguments):
    def run():
        with tempfile.TemporaryDirectory() as empty:
            code = "from delta.cli import main; main()"
            subprocess.run([sys.executable, "-c", code, *arguments], cwd=empty, check=True, capture_output=True)

    return run


def main():
    bench.save(bench.alternate("delta --help", {"delta --help": command("--help")}, rounds=9), RESULTS / "help.json")
    bench.save(bench.alternate("delta demo", {"delta demo": command("demo")}, rounds=3, warmup=0), RESULTS / "demo.json")


if __name__ == "__main__":
    main()
