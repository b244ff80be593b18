"""P7, P8, P9: a picture in its own style, pictures larger than memory, and pictures that move."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from claimkit.claims import Claim, Estimate, Values, Verdict
from claimkit.experiment import Experiment, Job, Settings, pooled
from claimkit.statistics import mean_interval
from claimkit.style.metrics import psnr
from styleproj import plots
from styleproj.claims.common import NAMES, Pairs, as_in_the_paper, network, pairs
from styleproj.networks.weights import load_network
from styleproj.operator.baselines import TRANSFORMS
from styleproj.pictures.stylizer import Stylizer
from styleproj.samples import photograph, square

GIGABYTES = 4.0


@dataclass(frozen=True)
class Identity(Pairs):
    """Pictures that are their own style."""

    threads: int | None = 1
    side: int = 256
    contents: int = 5
    styles: int = 1


def identity(s: Identity, job: Job) -> Values:
    """PSNR in dB of a picture in its own style, and of the mere auto-encoder, against the picture."""
    net = network(s.encoder, job)
    stylizer = Stylizer(net, ties="stable", transform="projection", palette=False, device=job.device)
    own, auto, apart = [], [], []
    for _, content, _ in pairs(s, job):
        x = content[0].cpu()
        y = stylizer.stylize(x, x)
        z = stylizer.stylize(x, x, 0.0)
        own.append(psnr(y, x))
        auto.append(psnr(z, x))
        apart.append(float((y - z).abs().max()))
    return {"own style": own, "auto-encoder": auto, "largest difference": apart, "encoder": NAMES[s.encoder]}


def judge_identity(values: Sequence[Values]) -> Verdict:
    """Nothing beyond the auto-encoder's loss."""
    apart = max(pooled(values, "largest difference"))
    auto = float(np.mean(pooled(values, "auto-encoder")))
    reason = f"The auto-encoder alone has {auto:.2f} dB; the two pictures differ by {apart:.1g} at most. "
    reason += f"Encoder: {values[0]['encoder']}."
    effect = mean_interval(pooled(values, "own style"), "PSNR in its own style", "dB")
    return Verdict("reproduced" if apart <= 1e-5 else "not reproduced", reason, effect)


@dataclass(frozen=True)
class Large(Settings):
    """A picture made by repeating a photograph, once in pieces in a process of its own, once smaller both ways."""

    side: int = 4096
    compare: int = 1536
    tile: int = 512


ALONE = """
import json, sys, time, torch
from claimkit import run
from styleproj.claims.pictures import enlarged
from styleproj.samples import photograph
from styleproj.pictures.stylizer import Stylizer
torch.set_num_threads({threads})
stylizer = Stylizer(device="cpu", tile={tile})
content, style = enlarged({side}), photograph("ihc")
start = time.perf_counter()
stylizer.stylize(content, style)
print(json.dumps([run.peak_memory_mb(), time.perf_counter() - start]))
"""


def enlarged(side: int) -> Tensor:
    """A photograph enlarged to a square."""
    return square(photograph("astronaut"), side)


def large(s: Large, job: Job) -> Values:
    """Peak memory of the large picture, and how far pieces are from the whole on a smaller one."""
    code = ALONE.format(threads=torch.get_num_threads(), tile=s.tile, side=s.side)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    memory, seconds = json.loads(done.stdout)
    net = network("slim", job)
    content, style = enlarged(s.compare), photograph("ihc")
    whole = as_in_the_paper(net, job, s.compare + (-s.compare) % 8).stylize(content, style)
    pieces = as_in_the_paper(net, job, s.tile).stylize(content, style)
    return {
        "memory_gb": memory / 1e3,
        "seconds": seconds,
        "side": s.side,
        "compared": s.compare,
        "tile": s.tile,
        "largest error": float((whole - pieces).abs().max()),
        "spread": float(whole.std()),
        "encoder": NAMES["slim"],
    }


def judge_large(values: Sequence[Values]) -> Verdict:
    """Within memory, and without seams."""
    memory, error = (max(v[k] for v in values) for k in ("memory_gb", "largest error"))
    v = values[0]
    reason = (
        f"{v['side']} x {v['side']} took {memory:.2f} GB, {v['seconds']:.0f} s; at {v['compared']} x {v['compared']} pieces "
        f"of {v['tile']} differ from the whole by {error:.1g} at most (a step of a byte is 0.004). Encoder: {v['encoder']}."
    )
    good = memory <= GIGABYTES and error <= 1 / 255
    return Verdict("reproduced" if good else "not reproduced", reason, Estimate("peak memory", memory, unit="GB"))


@dataclass
class Steadiness:
    """How much a stylised video changes from frame to frame, against how much its content does.

    A ratio of 1 changes as much as the content; what exceeds the contrast that the style adds is flicker.
    """

    content: float = 0.0
    result: float = 0.0
    pairs: int = 0
    _last: tuple[Tensor, Tensor] | None = field(default=None, repr=False)

    def add(self, content: Tensor, result: Tensor) -> None:
        """Take the next frame and what became of it."""
        if self._last is not None:
            self.content += float((content - self._last[0]).abs().mean())
            self.result += float((result - self._last[1]).abs().mean())
            self.pairs += 1
        self._last = content, result

    @property
    def ratio(self) -> float | None:
        """Mean absolute change of the result over that of the content; None where nothing moved."""
        return self.result / self.content if self.content > 0 else None


@dataclass(frozen=True)
class Moving(Pairs):
    """A still picture with fresh noise in every frame, and a pan over it."""

    threads: int | None = 1
    side: int = 160
    contents: int = 3
    styles: int = 2
    frames: int = 4
    noise: float = 2 / 255


def moving(s: Moving, job: Job) -> Values:
    """Mean change from frame to frame over that of the content, for noise and for a pan, one a pair."""
    net = network(s.encoder, job)
    generator = torch.Generator().manual_seed(job.seed)
    found: dict[str, dict[str, list[float]]] = {n: {"noise": [], "pan": []} for n in TRANSFORMS}
    with torch.inference_mode():
        for _, content, style in pairs(s, job):
            x = content.cpu()
            noisy = [(x + s.noise * torch.randn(x.shape, generator=generator)).clamp(0, 1) for _ in range(s.frames)]
            window = s.side - 8 * s.frames
            pan = [x[..., :, 8 * i : 8 * i + window] for i in range(s.frames)]
            for kind, clip in (("noise", noisy), ("pan", pan)):
                for name, transform in TRANSFORMS.items():
                    steady = Steadiness()
                    for frame in clip:
                        result = net(frame.to(job.device), style, partial(_full, transform)).clamp(0, 1)
                        steady.add(frame, result.cpu())
                    found[name][kind].append(steady.ratio or 0.0)
    return {"ratios": found, "encoder": NAMES[s.encoder]}


def _full(transform: object, x: Tensor, s: Tensor) -> Tensor:
    return transform(x, s, 1.0)  # type: ignore[operator]


def judge_moving(values: Sequence[Values]) -> Verdict:
    """The projection against AdaIN under noise."""
    rows = {n: np.array([x for v in values for x in v["ratios"][n]["noise"]]) for n in TRANSFORMS}
    effect = mean_interval(rows["projection"] / rows["AdaIN"], "flicker, projection / AdaIN")
    pan = {n: np.mean([x for v in values for x in v["ratios"][n]["pan"]]) for n in TRANSFORMS}
    told = ", ".join(f"{n} {v.mean():.2f} and {pan[n]:.2f}" for n, v in rows.items())
    reason = f"Change from frame to frame over that of the content, under noise and in a pan: {told}. "
    reason += f"Encoder: {values[0]['encoder']}."
    return Verdict("reproduced" if effect.value <= 1.1 else "not reproduced", reason, effect)


def draw_moving(values: Sequence[Values], path: Path) -> None:
    """Ratios by transform."""
    panels = {
        kind: {n: [x for v in values for x in v["ratios"][n][key]] for n in TRANSFORMS}
        for kind, key in (("still picture with noise", "noise"), ("pan", "pan"))
    }
    plots.bars(panels, path, f"Change from frame to frame over the content's; {values[0]['encoder']}")


def draw_sheet(values: Sequence[Values], path: Path) -> None:
    """Pictures beside the numbers: a content in every transform, strength by strength."""
    net = load_network(Path("slim"))
    content, style = (square(photograph(n), 192)[None] for n in ("astronaut", "ihc"))
    strengths = (0.0, 0.5, 1.0)
    with torch.inference_mode():
        x, t = net.encode(content), net.encode(style)
        rows = {
            name: [
                content[0],
                style[0],
                *(net.decode(tuple(f(a, b, alpha) for a, b in zip(x, t, strict=True)))[0] for alpha in strengths),
            ]
            for name, f in TRANSFORMS.items()
        }
    columns = ["content", "style", *(f"strength {alpha:g}" for alpha in strengths)]
    plots.sheet(rows, columns, path, "The network slim, whichever the numbers were measured with")


EXPERIMENTS = [
    Experiment(
        Claim(
            id="P7",
            title="A picture in its own style",
            paper="2003.07694",
            where="derived: projecting features on themselves changes nothing",
            statement="Where the style is the content, the picture comes back as the auto-encoder alone gives it.",
            criterion="The two pictures differ nowhere by more than 1e-5; the PSNR against the picture is reported.",
            tolerance="Rounding of the decoder.",
        ),
        {"smoke": Identity(side=64, contents=2), "small": Identity(), "full": Identity(encoder="vgg19", contents=5)},
        identity,
        judge_identity,
        draw_sheet,
    ),
    Experiment(
        Claim(
            id="P8",
            title="Pictures larger than memory",
            paper="2003.07694",
            where="derived: the projection needs the ranks of the whole picture, the convolutions only their surroundings",
            statement="A picture of 4096 x 4096 is stylised in pieces, with the ranks of the whole and without seams.",
            criterion=f"At most {GIGABYTES:g} GB of memory, and no value further than one step of a byte from the picture "
            "made at once, on a size that allows both.",
            tolerance="One step of 8 bits is invisible.",
        ),
        {"smoke": Large(side=512, compare=256, tile=128), "small": Large()},
        large,
        judge_large,
    ),
    Experiment(
        Claim(
            id="P9",
            title="Steady in videos",
            paper="2003.07694",
            where="derived: real-time use",
            statement="With noise in a still picture the projection flickers no more than AdaIN does.",
            criterion="Change from frame to frame over that of the content: at most 1.1 times AdaIN's, mean over pairs.",
            tolerance="A tenth is below what is seen at 25 frames a second.",
        ),
        {"smoke": Moving(side=96, contents=2, styles=1, frames=2), "small": Moving(), "full": Moving(encoder="vgg19")},
        moving,
        judge_moving,
        draw_moving,
    ),
]
