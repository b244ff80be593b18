"""N9 and N16: a picture of 3840 x 2160 pixels on a small machine, by networks and by what is used unasked."""

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
stylizer = PhotoStylizer({arguments})
before = run.peak_memory_mb()
start, used = time.perf_counter(), time.process_time()
result = stylizer.stylize(content, style)
taken = [time.perf_counter() - start, time.process_time() - used]
print(json.dumps([run.peak_memory_mb() / 1e3, before / 1e3, *taken, list(result.shape)]))
"""
SECONDS, SMALL = 6.0, 2.5
"""CPU seconds of a picture, and GB, of what is used unasked."""
UNASKED = "default"


@dataclass(frozen=True)
class Large(Settings):
    """A photograph enlarged, in a process of its own."""

    height: int = 2160
    width: int = 3840


@dataclass(frozen=True)
class Unasked(Large):
    """The same by what is used unasked, and by other methods beside it."""

    beside: tuple[str, ...] = ("matched", "local", "reinhard")


def alone(s: Large, arguments: str) -> dict[str, float]:
    """Peak memory in GB and seconds of one picture, style included, in a process of its own."""
    code = ALONE.format(threads=torch.get_num_threads(), arguments=arguments, height=s.height, width=s.width)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    memory, before, seconds, used, shape = json.loads(done.stdout)
    if shape != [3, s.height, s.width]:
        raise RuntimeError(f"the result has shape {shape}")
    return {"memory_gb": memory, "before_gb": before, "seconds": seconds, "cpu_seconds": used}


def measure(s: Large, job: Job) -> Values:
    """By network."""
    found = {}
    for name in ("photonet", "photonas", "stylenas"):
        network(name, job)
        found[name] = alone(s, f"{name!r}, transform='wct'")
    return {"networks": found, "size": f"{s.width} x {s.height}", "threads": torch.get_num_threads()}


def measure_unasked(s: Unasked, job: Job) -> Values:
    """What is used unasked, and the other methods that paint with no network at full size."""
    network("stylenas", job)
    ways = {UNASKED: "", **{n: f"method={n!r}" for n in s.beside}}
    found = {n: alone(s, arguments) for n, arguments in ways.items()}
    return {"methods": found, "size": f"{s.width} x {s.height}", "threads": torch.get_num_threads()}


def judge_unasked(values: Sequence[Values]) -> Verdict:
    """Both limits, for what is used unasked."""
    mine = [v["methods"][UNASKED] for v in values]
    memory, used = (max(m[k] for m in mine) for k in ("memory_gb", "cpu_seconds"))
    v = values[0]
    told = ", ".join(f"{n} {r['memory_gb']:.2f} GB and {r['cpu_seconds']:.1f} s" for n, r in v["methods"].items())
    reason = (
        f"{v['size']}, whole process, CPU seconds of one picture, style included, {v['threads']} threads: {told}; "
        f"{mine[0]['before_gb']:.2f} GB of it before the first picture."
    )
    met = [memory <= SMALL, used <= SECONDS]
    kind = "reproduced" if all(met) else "direction reproduced" if any(met) else "not reproduced"
    return Verdict(kind, reason, Estimate("CPU time of one picture", used, unit="s"))


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
    ),
    Experiment(
        Claim(
            id="N16",
            title="4K, unasked",
            paper="1907.03118",
            where="abstract: the advantage grows with the picture's size",
            statement="A picture of 3840 x 2160 pixels is given another light by what is used unasked in seconds and in the "
            "memory of a small machine.",
            criterion=f"At most {SECONDS:g} CPU seconds for the picture, style included, on however many threads, and "
            f"{SMALL:g} GB of memory for the whole process. Direction: one of the two.",
            tolerance="None: limits that were set before. CPU seconds count alike on a busy machine; wall seconds are kept.",
        ),
        {"smoke": Unasked(height=128, width=192, beside=()), "small": Unasked()},
        measure_unasked,
        judge_unasked,
    ),
]
