"""What ten minutes of a rented card should tell: the tests that need one, a short training a package, and its speed.

Every training runs on the card and on the processor, so that the figure is a ratio; each part has its own limit of time, and
one that fails or takes too long costs no other. ``--report`` writes ``report/gpu.json``. ``--device cpu`` tries the script,
``--patience 10`` where the machine is busy, and names of packages choose among them.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from claimkit import run
from claimkit.files import write_atomic
from claimkit.photographs import photograph

ROOT = Path(__file__).parents[1]
TESTS, STEP, TOTAL = 240, 40, 570
"""Seconds: of all tests, of one training on one device, and of everything; with the installation it fits ten minutes."""
TRAININGS = {
    "msgd": "msgd train --noise-class batch-fisher --batch 200 --match 20 --steps 300",
    "delta": "delta train --data images --penalty scratch --arch cifar-resnet20 --size 32 --steps 60",
    "dtnh": "dtnh train --data images --arch cifar-resnet20 --size 32 --steps 60 --validation 0.25",
    "styleproj": "styleproj train --content pictures --style pictures --steps 20 --style-crops 8",
    "photonet": "photonet train --content pictures --steps 20",
    "avcurriculum": "avcurriculum train --steps 20 --scenes 64 --batch 16",
}
"""One a package that trains on a card; stylenas trains photonet's networks, quasipotential and securegbm use processors."""
BENCHMARKS = {"dtnh": "benchmarks/step.py --rounds 5", "photonet": "photonet bench --rounds 3"}
"""A script, whose result stands beside the processor's, or a verb; of other packages the two trainings are compared."""


def seconds_of(command: list[str], folder: Path, limit: float) -> float | str:
    """Seconds of a command, or why there are none."""
    start = time.perf_counter()
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        return f"longer than {limit:.0f} s"
    last = (done.stderr.strip().splitlines() or ["no message"])[-1]
    return round(time.perf_counter() - start, 2) if done.returncode == 0 else f"exit code {done.returncode}: {last}"


def verb(line: str) -> list[str]:
    """A package's command, by this interpreter."""
    package, *rest = line.split()
    return [sys.executable, "-c", f"from {package}.cli import main; main()", *rest]


def make_pictures(folder: Path) -> None:
    """A few crops of scikit-image's photographs, as a folder of pictures and as one of classes."""
    from PIL import Image

    for number, name in enumerate(("astronaut", "chelsea", "coffee")):
        image = Image.fromarray(photograph(name)).resize((256, 256))
        for i in range(8):
            for part in (f"images/train/{number}", f"images/test/{number}"):
                (folder / part).mkdir(parents=True, exist_ok=True)
                image.crop((16 * i, 8 * i, 16 * i + 128, 8 * i + 128)).save(folder / part / f"{i}.png")
        (folder / "pictures").mkdir(exist_ok=True)
        image.save(folder / "pictures" / f"{name}.png")


def main() -> int:
    """Run everything; 1 where a test or a training failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--report", action="store_true", help="write report/gpu.json")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--patience", type=float, default=1, help="every limit of time is so many times longer")
    parser.add_argument("packages", nargs="*", help="all when none is named")
    asked = parser.parse_args()
    start, step = time.perf_counter(), STEP * asked.patience
    known = sorted(p.parent.name for p in ROOT.glob("packages/*/tests"))
    if unknown := sorted({*asked.packages} - {*known}):
        parser.error(f"no package {', '.join(unknown)}: choose among {', '.join(known)}")
    chosen = asked.packages or known
    folders = [str(ROOT / "packages" / p / "tests") for p in chosen]

    def left() -> float:
        return TOTAL * asked.patience - (time.perf_counter() - start)

    marked = re.compile("mark.gpu|import device as device")
    folders = [f for f in folders if any(marked.search(t.read_text(encoding="utf-8")) for t in Path(f).glob("*.py"))]
    tests = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", *folders]
    found: dict[str, object] = {
        "machine": run.machine(run.environment("claimkit", asked.device)),
        "commit": run.commit(ROOT),
    }
    found["tests"] = seconds_of(tests, ROOT, TESTS * asked.patience) if folders else 0.0
    print("gpu tests:", found["tests"], flush=True)
    trainings: dict[str, dict[str, float | str]] = {}
    for package, line in ((p, line) for p, line in TRAININGS.items() if p in chosen):
        for device in dict.fromkeys((asked.device, "cpu")):
            with tempfile.TemporaryDirectory() as name:
                make_pictures(Path(name))
                command = [*verb(line), "--device", device, "--out", "run"]
                took = seconds_of(command, Path(name), min(step, left())) if left() > 1 else "no time left"
            trainings.setdefault(package, {})[device] = took
            print(f"{package} on {device}: {took}", flush=True)
    found["trainings"] = trainings
    benchmarks: dict[str, float | str] = {}
    for package, line in ((p, line) for p, line in BENCHMARKS.items() if p in chosen and left() > 1):
        script = line.startswith("benchmarks/")
        command = [sys.executable, *line.split()] if script else verb(line)
        command += ["--out", tempfile.gettempdir()] * (script and asked.device == "cpu")  # a trial replaces no record
        command += ["--device", asked.device]
        benchmarks[package] = seconds_of(command, ROOT / "packages" / package, min(step, left()))
        print(f"benchmark of {package}: {benchmarks[package]}", flush=True)
    found["benchmarks"] = benchmarks
    if asked.report:
        write_atomic(ROOT / "report/gpu.json", json.dumps(found, indent=1) + "\n")
    values = [found["tests"], *(t[asked.device] for t in trainings.values()), *benchmarks.values()]
    return int(any(isinstance(v, str) for v in values))


if __name__ == "__main__":
    sys.exit(main())
