"""The same work by one process and by several, on what clusters run: dask, ray, a shared database, torchrun.

Prints a table in Markdown; exits 1 where one of them fails. Seconds and speed-ups ask for a quiet machine; CPU seconds, of
all processes and with their start, say on a busy one, too, what several cost more than one. What ray starts is not counted,
as its processes are nobody's children. Words choose among the kinds.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CLAIMS = """
import sys, joblib
from pathlib import Path
from claimkit.runner import reproduce

def main(backend, workers):
    if backend == "dask":
        from dask.distributed import Client
        client = Client(n_workers=workers, threads_per_worker=1, dashboard_address=None)
    else:
        import ray
        from ray.util.joblib import register_ray
        for last in (False, False, True):  # ray gives its processes 30 s to start, which a busy machine exceeds
            try:
                ray.init(num_cpus=workers)
                break
            except Exception:
                if last:
                    raise
                ray.shutdown()
        register_ray()
    with joblib.parallel_config(backend=backend, n_jobs=workers):
        done = list(reproduce("quasipotential", ("Q1", "Q7"), "smoke", 4, Path("out"), "cpu"))
    assert all(o.record is not None for o in done), [o.error for o in done]

if __name__ == "__main__":  # workers that are spawned import this file
    main(sys.argv[1], int(sys.argv[2]))
"""
SEARCH = """
import sys, time
from stylenas import Objective, Search, Table, run_search
class Slow(Table):
    def evaluate(self, genome):
        time.sleep(0.05)
        return super().evaluate(genome)
search = Search(space=Slow(), objectives=[Objective.parse("quality + 0.1*operators")], budget=120, storage="sqlite:///search.db")
state = run_search(search, workers=int(sys.argv[1]), kind="threads")
assert state.done == 120, state.done
"""
TRAIN = "msgd train --noise-class batch-fisher --batch 200 --match 20 --steps 400 --device cpu --out run"


def cpu() -> float:
    """CPU seconds of all processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def seconds(command: list[str], code: str = "") -> tuple[float, float] | str:
    """Seconds and CPU seconds of a command in an empty folder, or its last line where it failed."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "work.py").write_text(code, encoding="utf-8")
        start, before = time.perf_counter(), cpu()
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=1800, check=False)
        took = time.perf_counter() - start, cpu() - before
    return took if done.returncode == 0 else (done.stderr.strip().splitlines() or ["no message"])[-1]


def main() -> int:
    """Every kind with one process and with several; 1 where one failed."""
    python = [sys.executable, "work.py"]
    kinds = {
        "claims on dask": [(n, [*python, "dask", str(n)], CLAIMS) for n in (1, 2)],
        "claims on ray": [(n, [*python, "ray", str(n)], CLAIMS) for n in (1, 2)],
        "search on a shared database": [(n, [*python, str(n)], SEARCH) for n in (1, 2)],
        "training under torchrun": [
            (n, ["torchrun", "--nproc-per-node", str(n), "--no-python", *TRAIN.split()], "") for n in (1, 2, 4)
        ],
    }
    chosen = {k: v for k, v in kinds.items() if not sys.argv[1:] or any(word in k for word in sys.argv[1:])}
    failed = False
    print("| work | processes | seconds | speed-up | CPU seconds |\n|---|---|---|---|---|")
    for kind, runs in chosen.items():
        alone = 0.0
        for n, command, code in runs:
            took = seconds(command, code)
            failed |= isinstance(took, str)
            if isinstance(took, str):
                print(f"| {kind} | {n} | {took} | | |", flush=True)
            else:
                alone = alone or took[0]
                used = "" if "ray" in kind else f"{took[1]:.1f}"
                print(f"| {kind} | {n} | {took[0]:.1f} | {alone / took[0]:.2f} | {used} |", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
