"""Three claims: one that holds, one that breaks on request, one that needs data and runs at full only."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from claimkit.claims import Claim, Estimate, Verdict
from claimkit.experiment import Experiment, Settings, pooled


def _claim(id, title):
    return Claim(
        id=id,
        title=title,
        paper="0000.00000",
        where="section 1",
        statement=f"{title} | holds.",
        criterion="Mean of x above 0.",
        tolerance="Any positive mean would do.",
    )


@dataclass(frozen=True)
class Sizes(Settings):
    """How many numbers are drawn."""

    n: int = 10


def measure(settings, job):
    """Log the run, so that a test can count; stop where the environment says so."""
    log = Path(os.environ["TOY_LOG"])
    with log.open("a") as f:
        f.write(f"T1.{job.seed} {os.getpid()}\n")
    if str(job.seed) == os.environ.get("TOY_KILL_AT"):
        os._exit(9)
    return {"x": (1 + 0.1 * np.random.default_rng(job.seed).standard_normal(settings.n)).tolist()}


def breaks(settings, job):
    """Break where the environment says so."""
    if os.environ.get("TOY_BREAK"):
        raise ZeroDivisionError("the toy broke")
    return {"x": 1.0}


def needs_data(settings, job):
    """Read a data set."""
    return {"x": float(job.assets.find("numbers.txt").read_text())}


def judge(values):
    """Mean above zero."""
    mean = float(np.mean(pooled(values, "x")))
    return Verdict("reproduced" if mean > 0 else "not reproduced", f"The mean is {mean:.2f}.", Estimate("mean", mean))


def draw(values, path):
    """Write a picture of one pixel."""
    path.write_bytes(b"\x89PNG\r\n\x1a\n")


EXPERIMENTS = [
    Experiment(_claim("T10", "Data"), {"full": Sizes()}, needs_data, judge),
    Experiment(
        _claim("T1", "Mean"),
        {
            "smoke": Sizes(n=3),
            "small": Sizes(seeds=4),
            "full": Sizes(seeds=8),
            "paper": Sizes(seeds=3, threads=1),
        },
        measure,
        judge,
        draw,
    ),
    Experiment(_claim("T2", "Fragile"), {"small": Sizes(seeds=2)}, breaks, judge),
]
