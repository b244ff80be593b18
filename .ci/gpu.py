"""What ten minutes of a rented card should tell: the tests that need one, a short training a package, and its speed.

Every training runs on the card and on the processor, so that the figure is a ratio; each part has its own limit of time, and
one that fails or takes too long costs no other. ``--report`` writes ``report/gpu.json``; ``--device cpu`` tries the script.
"""

import argparse
import json
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
BENCHMARK = "packages/dtnh/benchmarks/step.py --device cuda"


def seconds_of(command: list[str], folder: Path, limit: float) -> float | str:
    """Seconds of a command, or why there are none."""
    start = time.perf_counter()
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        return f"longer than {limit:.0f} s"
    last = (done.stderr.strip().splitlines() or ["no message"])[-1]
    return round(time.perf_counter() - start, 2) if done.returncode == 0 else f"exit code {done.returncode}: {last}"


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
    asked = parser.parse_args()
    start = time.perf_counter()
    folders = [str(f) for f in sorted(ROOT.glob("packages/*/tests"))]
    tests = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", str(ROOT / "shared/tests"), *folders]
    found: dict[str, object] = {
        "machine": run.machine(run.environment("claimkit", asked.device)),
        "commit": run.commit(ROOT),
    }
    found["tests"] = seconds_of(tests, ROOT, TESTS)
    print("gpu tests:", found["tests"], flush=True)
    trainings: dict[str, dict[str, float | str]] = {}
    for package, line in TRAININGS.items():
        for device in dict.fromkeys((asked.device, "cpu")):
            left = TOTAL - (time.perf_counter() - start)
            with tempfile.TemporaryDirectory() as name:
                make_pictures(Path(name))
                _, *rest = line.split()
                code = f"from {package}.cli import main; main()"
                command = [sys.executable, "-c", code, *rest, "--device", device, "--out", "run"]
                took = seconds_of(command, Path(name), min(STEP, left)) if left > 1 else "no time left"
            trainings.setdefault(package, {})[device] = took
            print(f"{package} on {device}: {took}", flush=True)
    found["trainings"] = trainings
    if asked.device != "cpu" and (left := TOTAL - (time.perf_counter() - start)) > 1:
        found["benchmark"] = seconds_of([sys.executable, *BENCHMARK.split()], ROOT, left)
        print("benchmark:", found["benchmark"])
    if asked.report:
        write_atomic(ROOT / "report/gpu.json", json.dumps(found, indent=1) + "\n")
    values = [found["tests"], *(t[asked.device] for t in trainings.values())]
    return int(any(isinstance(v, str) for v in values))


if __name__ == "__main__":
    sys.exit(main())
