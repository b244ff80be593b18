"""What a user waits for: a new process that imports the package and solves once, beside what Numba alone takes.

Modules are taken from their bytecode, as after any second start: where PYTHONDONTWRITEBYTECODE is set, Python compiles
Numba's and SciPy's sources at every start, which more than doubles all of these times.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from claimkit import bench

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"
SOLVE = "import quasipotential as qp; qp.solve(lambda p: -p, (0, 0), ((-1, 1), (-1, 1)), 129)"
TRIVIAL = "import numba, numpy\n\n\n@numba.njit(cache=True)\ndef first(x):\n    return x[0]\n\n\nfirst(numpy.zeros(1))\n"


def main():
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONDONTWRITEBYTECODE", "NUMBA_CACHE_DIR")}
    with tempfile.TemporaryDirectory() as folder:
        trivial = Path(folder) / "trivial.py"
        trivial.write_text(TRIVIAL)

        def cold():
            with tempfile.TemporaryDirectory() as empty:
                subprocess.run([sys.executable, "-c", SOLVE], check=True, env={**environment, "NUMBA_CACHE_DIR": empty})

        candidates = {
            "warm cache": lambda: subprocess.run([sys.executable, "-c", SOLVE], check=True, env=environment),
            "of it Numba with one trivial cached kernel": lambda: subprocess.run(
                [sys.executable, str(trivial)], check=True, env=environment
            ),
            "cold cache": cold,
        }
        bench.save(bench.alternate("import and first solve", candidates, rounds=5, warmup=1), RESULTS / "first.json")


if __name__ == "__main__":
    main()
