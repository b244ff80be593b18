"""N6: where the speed comes from: pruning, sharing the style, folding, and what is not the search's at all."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from claimkit import figures
from claimkit.claims import Claim, Estimate, Values, Verdict
from claimkit.experiment import Experiment, Job, Settings
from photonet.execution.executor import Executor
from photonet.network.architecture import Architecture
from photonet.network.auto_encoder import Decoder, PhotoNet
from photonet.samples import photograph
from photonet.transforms import resolve
from photonet.weights import load_network
from stylenas import plots
from stylenas.claims.common import PRESETS
from stylenas.style.candidate import Candidate
from stylenas.style.judge import TRANSFORM, square

REPORTED = 20.0
"""The lower end of "20-30 times" (abstract of 1912.02398); StyleNAS has "around 500x" against a smoothed cascade."""

KEPT = "executor, style kept"
WAYS = ("eager", "executor", KEPT)


@dataclass(frozen=True)
class Timing(Settings):
    """One pair, the three networks in turn. Times do not depend on what the decoder has learned."""

    threads: int | None = 1
    timed: bool = True
    size: int = 256
    rounds: int = 7


def measure(s: Timing, job: Job, names: Sequence[str] = PRESETS) -> Values:
    """Seconds of each network and round: eager, its transforms alone, its style kept, and as the executor does it."""
    torch.manual_seed(job.seed)
    encoder = load_network("photonet").encoder
    content, style = (square(photograph(n), s.size)[None].to(job.device) for n in ("astronaut", "flower"))
    runs: dict[str, Callable[[], object]] = {}
    clocks: dict[str, list[float]] = {}
    for name in names:
        network = PhotoNet(encoder, Decoder(Architecture.parse(name), encoder.channels)).eval().to(job.device)
        executor = Executor(network, TRANSFORM)
        clock = _Clock()
        kept = executor.prepare(style)
        runs[f"{name}: eager"] = lambda n=network, c=clock: n(content, style, c)
        runs[f"{name}: executor"] = lambda e=executor: e(content, e.prepare(style))
        runs[f"{name}: executor, style kept"] = lambda e=executor, k=kept: e(content, k)
        clocks[name] = clock.taken
    seconds: dict[str, list[float]] = {n: [] for n in runs}
    transforms: dict[str, list[float]] = {n: [] for n in names}
    with torch.inference_mode():
        for i in range(-1, s.rounds):
            for name, call in runs.items():
                for taken in clocks.values():
                    taken.clear()
                start = time.perf_counter()
                call()
                if i >= 0:
                    seconds[name].append(time.perf_counter() - start)
                    if name.endswith("eager"):
                        transforms[name.split(":")[0]].append(sum(clocks[name.split(":")[0]]))
    macs = {n: Candidate(Architecture.parse(n)).macs(s.size, s.size, encoder.channels, encoder.convolutions) for n in names}
    return {"seconds": seconds, "transforms": transforms, "macs": macs, "size": s.size}


class _Clock:
    """The transform, and how long each call of it took."""

    def __init__(self) -> None:
        self.taken: list[float] = []
        self.transform = resolve(TRANSFORM)

    def __call__(self, x: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
        start = time.perf_counter()
        z = self.transform(x, s)
        self.taken.append(time.perf_counter() - start)
        return z


def ratios(v: Values) -> dict[str, float]:
    """Median over rounds of the factors, PhotoNet eager being one."""
    base = np.array(v["seconds"]["photonet: eager"])
    return {n: float(np.median(base / np.array(t))) for n, t in v["seconds"].items()}


def judge(values: Sequence[Values]) -> Verdict:
    """Speed-up of the pruned network over PhotoNet, both eager."""
    v = values[0]
    base, pruned = (np.array(v["seconds"][f"{n}: eager"]) for n in ("photonet", "photonas"))
    low, factor, high = np.quantile(base / pruned, (0.25, 0.5, 0.75))
    r = ratios(v)
    share = {n: statistics.median(v["transforms"][n]) / statistics.median(v["seconds"][f"{n}: eager"]) for n in PRESETS}
    macs = v["macs"]["photonet"] / v["macs"]["photonas"]
    reason = (
        f"Pruning alone (PhotoNAS): {factor:.1f} times in time and {macs:.1f} in MACs; with the executor "
        f"{r['photonas: executor']:.1f}, with the style kept {r['photonas: executor, style kept']:.1f}. Transforms are "
        f"{share['photonet']:.0%} of PhotoNet's time and {share['photonas']:.0%} of PhotoNAS's. What remains of hundreds is "
        "the cascade's smoothing: claims of photonet."
    )
    kind = "reproduced" if low >= REPORTED else "direction reproduced" if low > 1 else "not reproduced"
    return Verdict(
        kind, reason, Estimate("PhotoNet / PhotoNAS, median and quartiles", float(factor), float(low), float(high))
    )


def draw(values: Sequence[Values], path: Path) -> None:
    """All factors."""
    canvas, axis = figures.figure(size=(7.2, 4.2))
    title = f"speed-up over PhotoNet as written, {values[0]['size']} pixels"
    plots.bars(axis, ratios(values[0]), "times faster", title)
    figures.save(canvas, path)


EXPERIMENTS = [
    Experiment(
        Claim(
            id="N6",
            title="The search makes networks many times faster",
            paper="1906.02470",
            where="abstract (around 500x) and abstract of 1912.02398 (20-30 times)",
            statement="The networks that the search finds are many times faster than what they are pruned from.",
            reported="20-30 times over the state of the art (1912.02398), around 500x over PhotoWCT (1906.02470)",
            criterion="The pruned PhotoNAS is at least 20 times faster than PhotoNet in the same code, lower quartile of "
            "rounds in turn; where it is only faster, the direction. The factors of folding, a kept style and MACs are "
            "shown beside it.",
            tolerance="Quartiles of paired rounds. The cascade and its smoothing are measured by photonet's claims.",
        ),
        {
            "smoke": Timing(size=32, rounds=3),
            "small": Timing(),
            "full": Timing(size=512, rounds=9),
        },
        measure,
        judge,
        draw,
    )
]
