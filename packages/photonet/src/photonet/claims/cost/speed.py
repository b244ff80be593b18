"""N4, N5: what one pass costs beside the cascade, where the difference comes from, and what the lazy executor saves."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from claimkit.claims import Claim, Estimate, Values, Verdict
from claimkit.experiment import Experiment, Job, Settings
from claimkit.style.images import resize
from photonet.baselines.matting import matting_smoothing
from photonet.baselines.transform import unchanged, whitening_svd64
from photonet.claims import drawing
from photonet.claims.common import ENCODER, baselines, network
from photonet.execution.executor import Executor
from photonet.network.architecture import Architecture
from photonet.network.auto_encoder import Decoder, PhotoNet
from photonet.regions.guided_filter import guided_filter
from photonet.samples import photograph

Work = Mapping[str, Callable[[], object]]
SMOOTHED, BARE = 20.0, 3.0
LAZY = 1.8
FOUND = "the network of stylenas"
EQUAL = 1e-4


@dataclass(frozen=True)
class Sizes(Settings):
    """Heights and widths in pixels, multiples of 16, and rounds that count; torch's own number of threads."""

    sizes: tuple[tuple[int, int], ...] = ((256, 256), (512, 512))
    rounds: int = 3


def alternated(work: Work, rounds: int, warmup: int = 1) -> dict[str, list[float]]:
    """Wall seconds of every candidate, all of a round in turn, in an order that turns round each time."""
    seconds: dict[str, list[float]] = {name: [] for name in work}
    with torch.inference_mode():
        for i in range(-warmup, rounds):
            for name in list(work)[:: 1 if i % 2 else -1]:
                start = time.perf_counter()
                work[name]()
                if i >= 0:
                    seconds[name].append(time.perf_counter() - start)
    return seconds


def ratio(over: Sequence[float], under: Sequence[float], name: str) -> Estimate:
    """Median and quartiles of the ratios of the same round."""
    low, middle, high = statistics.quantiles([a / b for a, b in zip(over, under, strict=True)], n=4)
    return Estimate(name, middle, low, high)


def pictures(height: int, width: int) -> tuple[Tensor, Tensor]:
    """A content and a style photograph, (1, 3, height, width)."""
    return tuple(resize(photograph(n), height, width)[None] for n in ("china", "rocket"))  # type: ignore[return-value]


def without_transfers(net: PhotoNet) -> PhotoNet:
    """The same convolutions and norms, and no transfer: what is left of a network's time is theirs."""
    names = (n for n in net.architecture.operators if n not in net.architecture.transfers)
    decoder = Decoder(Architecture.of(names), net.encoder.channels)
    decoder.load_state_dict(net.decoder.state_dict())
    return PhotoNet(net.encoder, decoder).eval().requires_grad_(False)


def candidates(height: int, width: int, job: Job) -> dict[str, Callable[[], object]]:
    """Whole methods from picture to picture, and the parts of them that are timed by themselves."""
    content, style = pictures(height, width)
    work: dict[str, Callable[[], object]] = {}
    for name, label in (("photonas", "PhotoNAS"), ("photonet", "PhotoNet"), ("stylenas", FOUND)):
        net = network(name, job)
        run, bare = Executor(net, "wct"), Executor(without_transfers(net), "wct")
        kept, nothing = run.prepare(style), bare.prepare(style)
        work[label] = lambda run=run, kept=kept: run(content, kept)
        work[f"{label}, convolutions"] = lambda bare=bare, nothing=nothing: bare(content, nothing)
    others = baselines(network("photonet", job), job)
    for label, method in (("PhotoWCT", others.photowct), ("WCT2", others.wct2)):
        kept = method.prepare(style)
        work[label] = lambda m=method: m(content, m.prepare(style))
        work[f"{label}, style cached"] = lambda m=method, kept=kept: m(content, kept)
        work[f"{label}, convolutions"] = lambda m=method: m(content, m.prepare(style, unchanged))
    svd = whitening_svd64()
    work["PhotoWCT, SVD in double precision"] = lambda: others.photowct(content, others.photowct.prepare(style, svd))
    with torch.inference_mode():
        stylised = others.photowct(content, others.photowct.prepare(style))[0]
    work["guided filter"] = lambda: guided_filter(stylised, content[0])
    work["matting"] = lambda: matting_smoothing(stylised, content[0])
    return work


def measure(s: Sizes, job: Job) -> Values:
    """Seconds by size and candidate, one a round."""
    seconds = {f"{h} x {w}": alternated(candidates(h, w, job), s.rounds) for h, w in s.sizes}
    return {"seconds": seconds, "threads": torch.get_num_threads()}


def added(seconds: Mapping[str, list[float]], *names: str) -> list[float]:
    """Round by round, the sum of several parts."""
    return [sum(parts) for parts in zip(*(seconds[n] for n in names), strict=True)]


def judge_speed(values: Sequence[Values]) -> Verdict:
    """Both bars at every size."""
    told, smoothed, bare = [], [], []
    for size, seconds in values[0]["seconds"].items():
        mine = seconds["PhotoNAS"]
        smoothed.append(ratio(added(seconds, "PhotoWCT", "matting"), mine, f"PhotoWCT with matting / PhotoNAS, {size}"))
        bare.append(ratio(seconds["PhotoWCT"], mine, "bare"))
        others = {
            "with guided filter": added(seconds, "PhotoWCT", "guided filter"),
            "bare with its style cached, too": seconds["PhotoWCT, style cached"],
            "bare with the SVD of the public code": seconds["PhotoWCT, SVD in double precision"],
        }
        more = ", ".join(f"{ratio(v, mine, n).value:.1f} ({n})" for n, v in others.items())
        rest = ", ".join(f"{n} {ratio(seconds[n], mine, n).value:.2g}" for n in ("WCT2", "PhotoNet", FOUND))
        told.append(f"{size}: {smoothed[-1].value:.1f} (matting), {bare[-1].value:.1f} (bare), {more}, {rest}")
    reason = f"Times PhotoNAS's seconds, {values[0]['threads']} threads: {'; '.join(told)}. Encoder: {ENCODER}."
    worst = min(smoothed, key=lambda e: e.value)
    good = worst.value >= SMOOTHED and min(e.value for e in bare) >= BARE
    faster = worst.value > 1 and min(e.value for e in bare) > 1
    return Verdict("reproduced" if good else "direction reproduced" if faster else "not reproduced", reason, worst)


def decomposed(seconds: Mapping[str, list[float]]) -> dict[str, dict[str, float]]:
    """Median seconds of convolutions, transforms and smoothing, by method."""
    median = {n: statistics.median(v) for n, v in seconds.items()}
    rows = {}
    for name in ("PhotoNAS", FOUND, "PhotoNet", "PhotoWCT", "WCT2"):
        convolutions = median[f"{name}, convolutions"]
        rows[name] = {"convolutions": convolutions, "transform": max(0.0, median[name] - convolutions)}
    rows["PhotoWCT + guided filter"] = {**rows["PhotoWCT"], "smoothing": median["guided filter"]}
    rows["PhotoWCT + matting"] = {**rows["PhotoWCT"], "smoothing": median["matting"]}
    return rows


def draw(values: Sequence[Values], path: Path) -> None:
    """Seconds in their parts."""
    rows = {size: decomposed(seconds) for size, seconds in values[0]["seconds"].items()}
    drawing.stacks(rows, path, f"Seconds a picture, {values[0]['threads']} threads, medians; style cached in photonet", "s")


def lazy(s: Sizes, job: Job) -> Values:
    """Seconds of the eager and the lazy PhotoNAS and PhotoNet, and how far their pictures are apart."""
    seconds, apart = {}, {}
    for height, width in s.sizes:
        size = f"{height} x {width}"
        work: dict[str, Callable[[], object]] = {}
        for name, label in (("photonas", "PhotoNAS"), ("photonet", "PhotoNet")):
            more, apart[f"{label}, {size}"] = both_ways(network(name, job), *pictures(height, width))
            work |= {f"{label}, {way}": function for way, function in more.items()}
        seconds[size] = alternated(work, s.rounds)
    return {"seconds": seconds, "largest difference": apart, "threads": torch.get_num_threads()}


def both_ways(net: PhotoNet, content: Tensor, style: Tensor) -> tuple[dict[str, Callable[[], object]], float]:
    """The network eager, lazy, and lazy with the style's share; and how far the pictures of the first two are apart."""
    run = Executor(net, "wct")
    kept = run.prepare(style)
    with torch.inference_mode():
        apart = float((run(content, kept) - net(content, style)).abs().max())
    work: dict[str, Callable[[], object]] = {
        "eager": lambda: net(content, style),
        "lazy": lambda: run(content, kept),
        "lazy with the style's share": lambda: run(content, run.prepare(style)),
    }
    return work, apart


def judge_lazy(values: Sequence[Values]) -> Verdict:
    """Faster at every size, and the same pictures."""
    told, ratios = [], []
    for size, t in values[0]["seconds"].items():
        ratios.append(ratio(t["PhotoNAS, eager"], t["PhotoNAS, lazy"], f"eager / lazy PhotoNAS, {size}"))
        uncached = ratio(t["PhotoNAS, eager"], t["PhotoNAS, lazy with the style's share"], "").value
        full = ratio(t["PhotoNet, eager"], t["PhotoNet, lazy"], "").value
        told.append(f"{size}: {ratios[-1].value:.2f}, with the style's share {uncached:.2f}, PhotoNet {full:.2f}")
    apart = max(v for v in values[0]["largest difference"].values())
    worst = min(ratios, key=lambda e: e.value)
    reason = (
        f"Eager over lazy, {values[0]['threads']} threads: {'; '.join(told)}. Pictures differ by {apart:.1g} at most. "
        f"Encoder: {ENCODER}."
    )
    good = worst.value >= LAZY and apart <= EQUAL
    kind = "reproduced" if good else "direction reproduced" if worst.value > 1 and apart <= EQUAL else "not reproduced"
    return Verdict(kind, reason, worst)


SMOKE = Sizes(sizes=((64, 64),))
FULL = Sizes(sizes=((256, 256), (512, 512), (512, 1024)), rounds=7)
EXPERIMENTS = [
    Experiment(
        Claim(
            id="N4",
            title="One pass is faster",
            paper="1912.02398",
            where="abstract, and that of 1907.03118",
            statement="One pass is many times faster than the cascade with the smoothing that it needs, and than it alone.",
            reported="3 to 100 times (abstract of 1907.03118)",
            criterion="From picture to picture, one kernel of WCT and one encoder under all methods: PhotoWCT with matting "
            f"smoothing takes at least {SMOOTHED:g} times and PhotoWCT alone at least {BARE:g} times the seconds of "
            "PhotoNAS (lazy, folded, its style prepared), medians of ratios of the same round, at every size. Direction: "
            "both above 1. The picture divides the seconds into convolutions, transforms and smoothing.",
            tolerance="Medians of alternated rounds; the machine must be quiet.",
        ),
        {"smoke": SMOKE, "small": Sizes(), "full": FULL},
        measure,
        judge_speed,
        draw,
    ),
    Experiment(
        Claim(
            id="N5",
            title="Lazy and eager",
            paper="1912.02398",
            where="derived: two transfers of PhotoNAS and its instance norm are affine maps before a convolution",
            statement="What the string of bits does not need is not computed, and what can be folded is: the same picture, "
            "sooner.",
            criterion=f"Eager over lazy PhotoNAS (style prepared) at least {LAZY:g}, median of ratios of the same round, at "
            f"every size, and no value of a picture further than {EQUAL:g} from the eager one. Direction: above 1, as near.",
            tolerance="1e-4 is a fortieth of a step of 8 bits; the machine must be quiet.",
        ),
        {"smoke": SMOKE, "small": Sizes(), "full": FULL},
        lazy,
        judge_lazy,
    ),
]
