"""P6b: what P6 asks in frames a second of one machine, as a ratio to AdaIN's network in the same process."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from claimkit import bench
from claimkit.claims import Claim, Values, Verdict
from claimkit.experiment import Experiment, Job, Settings
from claimkit.statistics import power, ratio_interval
from claimkit.style.encoders import VGG19
from claimkit.style.transforms import adain
from styleproj.claims.common import NAMES, as_in_the_paper, network
from styleproj.networks.network import Decoder, StyleNetwork
from styleproj.operator import kernels
from styleproj.samples import photograph, square

BAR = 0.1


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
    )
]
