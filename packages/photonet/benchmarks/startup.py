"""What a user waits for, ``--help`` and ``demo``: python benchmarks/startup.py [RESULTS]."""

import sys
from pathlib import Path

from claimkit.bench import startup

if __name__ == "__main__":
    startup("photonet", Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "results/benchmarks")
