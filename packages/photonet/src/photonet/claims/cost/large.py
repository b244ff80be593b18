"""N9: a picture of 3840 x 2160 pixels within the memory of a small machine."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from claimkit.claims import Claim, Estimate, Values, Verdict
from claimkit.experiment import Experiment, Job, Settings
from photonet.claims.common import ENCODER, network

GIGABYTES = 4.0
ALONE = """
import json, time, torch
from claimkit import run
from claimkit.style.images import resize
from photonet.samples import photograph
from photonet.stylizer import PhotoStylizer
torch.set_num_threads({threads})
content, style = resize(photograph("china"), {height}, {width}), photograph("rocket")
stylizer = PhotoStylizer({name!r}, transform="wct")
before = run.peak_memory_mb()
start = time.perf_counter()
result = stylizer.stylize(content, style)
print(json.dumps([run.peak_memory_mb() / 1e3, before / 1e3, time.perf_counter() - start, list(result.shape)]))
"""


@dataclass(frozen=True)
class Large(Settings):
    """A photograph enlarged, in a process of its own."""

    height: int = 2160
    width: int = 3840


def measure(s: Large, job: Job) -> Values:
    """Peak memory in GB and seconds, style included, by network."""
    found = {}
    for name in ("photonet", "photonas", "stylenas"):
        network(name, job)
        code = ALONE.format(threads=torch.get_num_threads(), name=name, height=s.height, width=s.width)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        memory, before, seconds, shape = json.loads(done.stdout)
        if shape != [3, s.height, s.width]:
            raise RuntimeError(f"the result has shape {shape}")
        found[name] = {"memory_gb": memory, "before_gb": before, "seconds": seconds}
    return {"networks": found, "size": f"{s.width} x {s.height}", "threads": torch.get_num_threads()}


def judge_large(values: Sequence[Values]) -> Verdict:
    """The full PhotoNet counts, the others are told."""
    memory = max(v["networks"]["photonet"]["memory_gb"] for v in values)
    v = values[0]
    told = ", ".join(f"{n} {r['memory_gb']:.2f} GB and {r['seconds']:.1f} s" for n, r in v["networks"].items())
    start = v["networks"]["photonet"]["before_gb"]
    reason = (
        f"{v['size']}, whole process, style included, {v['threads']} threads: {told}; {start:.2f} GB of it before the first "
        f"picture. Encoder: {ENCODER}."
    )
    return Verdict(
        "reproduced" if memory <= GIGABYTES else "not reproduced", reason, Estimate("peak memory", memory, unit="GB")
    )


EXPERIMENTS = [
    Experiment(
        Claim(
            id="N9",
            title="4K on a small machine",
            paper="1907.03118",
            where="abstract: the advantage grows with the picture's size",
            statement="A picture of 3840 x 2160 pixels is stylised by the shipped PhotoNet on a small machine.",
            criterion=f"Peak memory of the whole process at most {GIGABYTES:g} GB; the seconds are reported.",
            tolerance="None: the limit is what a machine of 4 GB has.",
        ),
        {"smoke": Large(height=128, width=192), "small": Large()},
        measure,
        judge_large,
    )
]
