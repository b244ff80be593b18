"""P6b: what P6 asks in frames a second of one machine, as a ratio to AdaIN's network in one process; P22: to MicroAST's."""

import math
import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import torch

from claimkit import bench
from claimkit.claims import Claim, Values, Verdict
from claimkit.experiment import Experiment, Job, Settings
from claimkit.statistics import power, ratio_interval
from claimkit.style.encoders import VGG19
from claimkit.style.transforms import adain
from styleproj.claims.common import NAMES, as_in_the_paper, network
from styleproj.claims.weights import noted
from styleproj.networks.microast import MicroAST
from styleproj.networks.network import Decoder, StyleNetwork
from styleproj.networks.weights import load_network
from styleproj.operator import kernels
from styleproj.pictures.stylizer import Stylizer
from styleproj.samples import photograph, square

BAR, HALF, PACE = 0.1, 0.5, 24


@dataclass(frozen=True)
class Turns(Settings):
    """Sides of the pictures, and rounds that count."""

    sides: tuple[int, ...] = (256, 512)
    rounds: int = 9


def measure(s: Turns, job: Job) -> Values:
    """Seconds of a picture by either network, in turn, style prepared for both; the peer's weights are random."""
    stylizer = as_in_the_paper(network("slim", job), job)
    style = stylizer.prepare(photograph("ihc"))
    vgg = VGG19(4)
    peer = StyleNetwork(vgg, Decoder(vgg.channels, vgg.convolutions[:-1], (4,))).eval().to(job.device)
    kernels.warmup()
    found: dict[str, dict[str, list[float]]] = {}
    with torch.inference_mode():
        known = peer.encode(square(photograph("ihc"), 256)[None].to(job.device))
        for side in s.sides:
            content = square(photograph("astronaut"), side)

            def ours(content: torch.Tensor = content) -> object:
                return stylizer.stylize(content, style).cpu()  # waits for the device

            def theirs(content: torch.Tensor = content) -> object:
                features = zip(peer.encode(content[None].to(job.device)), known, strict=True)
                return peer.decode(tuple(adain(x, k) for x, k in features)).clamp(0, 1).cpu()

            found[str(side)] = bench.turns({"AdaIN": theirs, "projection": ours}, s.rounds, 1, title=f"P6b, {side}")
    return {"seconds": found, "threads": torch.get_num_threads(), "encoder": NAMES["slim"]}


def judge(values: Sequence[Values]) -> Verdict:
    """The intervals of both sizes against the bar."""
    v = values[0]
    ratios = {
        side: ratio_interval(np.divide(t["projection"], t["AdaIN"]), f"time over AdaIN's at {side} x {side}")
        for side, t in v["seconds"].items()
    }
    worst = max(ratios.values(), key=lambda e: e.high or math.inf)
    told = ", ".join(str(e) for e in ratios.values())
    reason = f"{told} (bar {BAR}), {v['threads']} threads, style prepared for both. Encoder: {v['encoder']}."
    high = worst.high if worst.high is not None else math.inf
    return Verdict("reproduced" if high < BAR else "direction reproduced" if high < 1 else "not reproduced", reason, worst)


@dataclass(frozen=True)
class Costs(Settings):
    """Side of the pictures beside the peer's, of those without AVX-512, rounds that count, and seconds that are measured."""

    side: int = 512
    small: int = 256
    rounds: int = 21
    seconds: float = 5.0


def measure_costs(s: Costs, job: Job) -> Values:
    """CPU seconds of a picture by either network, in turn, style pictures given; pictures a second without AVX-512."""
    stylizer, peer = Stylizer(noted("studio", job)), MicroAST.load(job.assets.find("weights/microast.pt"))
    content, style = (square(photograph(name), s.side) for name in ("astronaut", "ihc"))
    kernels.warmup()
    work = {"MicroAST": lambda: peer.stylize(content, style), "styleproj": lambda: stylizer.stylize(content, style)}
    with torch.inference_mode():
        taken = bench.turns(work, s.rounds, 2, cpu=True, title="P22")
    held = mock.patch.dict(os.environ, {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"})
    with held, ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as one:
        instructions, paces = one.submit(paces_of_studio, s.small, s.seconds, torch.get_num_threads()).result()
    return {"cpu seconds": taken, "instructions": instructions, "paces": paces, "threads": torch.get_num_threads()}


def paces_of_studio(side: int, seconds: float, threads: int) -> tuple[str, list[float]]:
    """What torch computes with, and pictures a second, one a value, after a second that does not count; style prepared."""
    torch.set_num_threads(threads)
    stylizer, content = Stylizer(load_network(Path("studio"))), square(photograph("astronaut"), side)
    style, paces, begun = stylizer.prepare(square(photograph("ihc"), side)), [], time.perf_counter()
    while (now := time.perf_counter()) < begun + 1 + seconds or not paces:
        stylizer.stylize(content, style)
        if now > begun + 1:
            paces.append(1 / (time.perf_counter() - now))
    return torch.backends.cpu.get_cpu_capability(), paces


def judge_costs(values: Sequence[Values]) -> Verdict:
    """The interval of the ratio, and the pace, against their bars."""
    v, seconds = values[0], values[0]["cpu seconds"]
    cost = ratio_interval(np.divide(seconds["styleproj"], seconds["MicroAST"]), "CPU seconds over MicroAST's")
    low, middle, high = np.quantile(v["paces"], [0.25, 0.5, 0.75])
    told = f"{cost} (bar {HALF}); {middle:.1f} [{low:.1f}, {high:.1f}] pictures a second (bar {PACE}) with "
    told += f"{v['instructions']}, {v['threads']} threads."
    if v["instructions"] != "AVX2":
        return Verdict("not run", f"This processor's instructions could not be held to AVX2. {told}", cost)
    holds = [cost.high is not None and cost.high <= HALF, low >= PACE]
    return Verdict("reproduced" if all(holds) else "direction reproduced" if any(holds) else "not reproduced", told, cost)


EXPERIMENTS = [
    Experiment(
        Claim(
            id="P6b",
            title="A tenth of AdaIN's time",
            paper="2003.07694",
            where="abstract: real-time style transfer",
            statement="A picture takes a tenth of what the network of AdaIN takes, which is called real-time, too.",
            criterion="Seconds of a picture, from pixels to pixels, style prepared, in turn in one process with VGG-19 to "
            "relu4_1, AdaIN and the mirrored decoder: at 256 x 256 and at 512 x 512 the 95 % interval of the geometric mean "
            "of the ratios of a round lies below 0.1. Direction: below 1.",
            tolerance="A tenth is what lets a processor do what a graphics card did; a ratio of the same round depends "
            "little on the machine.",
            power=power(
                asks=math.log(1.5),
                spread=0.286,
                n={"small": 9},
                pilot="the quartile distance of peer.json of the benchmarks, 7 rounds: a factor of 1.5 of the bar",
                unit="in the logarithm of a ratio",
            ),
        ),
        {"smoke": Turns((64,), 3, timed=True), "small": Turns(timed=True)},
        measure,
        judge,
    ),
    Experiment(
        Claim(
            id="P22",
            title="Half of the best small peer's time, and real time without AVX-512",
            paper="2003.07694",
            where="abstract: real-time style transfer",
            statement="A picture takes half the CPU time of MicroAST's, and 24 pictures a second are made on two cores of "
            "a processor that has no more than AVX2.",
            criterion="CPU seconds of a picture of 512 x 512 in the style of one of 512 x 512, from pixels to pixels, "
            "in turn in one process with MicroAST: the 95 % interval of the geometric mean of the ratios of a round ends at "
            "0.5 or below. 256 x 256, style prepared, one a call, ATen and oneDNN held to AVX2 in a process of its own, "
            "after its first second: at least 24 a second in three of four calls. Both: reproduced; one: direction. Not run "
            "where torch does not compute with AVX2 there.",
            tolerance="A ratio of the same round depends little on the machine, and CPU seconds little on its load; 24 a "
            "second is what a film has, and needs a quiet machine.",
            power=power(
                asks=math.log(1.05),
                spread=0.05,
                n={"full": 21},
                pilot="7 rounds with the weights before, without their deepest level: ratios 0.45 to 0.53 on a busy machine",
                unit="in the logarithm of a ratio",
            ),
        ),
        {"full": Costs(timed=True)},
        measure_costs,
        judge_costs,
    ),
]
