"""What the verbs of the command line do."""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from claimkit import bench as benchmark
from claimkit import run
from claimkit.errors import InputError
from claimkit.web import page, serve
from photonet import plots
from photonet.architecture import Architecture
from photonet.batch import Options, Task, load, stylize_all
from photonet.cost import VGG_CHANNELS, VGG_CONVOLUTIONS, decoder_macs, encoder_macs, macs, parameters
from photonet.executor import Executor
from photonet.network import PhotoNet
from photonet.samples import PAIRS, photograph
from photonet.style import Style
from photonet.stylizer import PhotoStylizer
from photonet.video import stylize_video
from photonet.weights import load_networks


def transfer(stylizer: PhotoStylizer, todo: Sequence[Task], options: Options) -> None:
    """Make pictures; say at the end which could not be made."""
    problems = stylize_all(stylizer, todo, options, lambda task: print(task.target, flush=True))
    if len(todo) == 1 and problems:
        raise InputError(next(iter(problems)))
    for problem, count in problems.items():
        print(f"{count} not made: {problem}", file=sys.stderr)
    if problems:
        raise InputError(f"{problems.total()} of {len(todo)} pictures were not made, for the reasons above")


def video(
    stylizer: PhotoStylizer, source: Path, style: Path, out: Path, alpha: float, size: int, style_size: int, memory: float
) -> None:
    """Stylise a video and say how fast and how steady it is."""
    if not source.exists():
        raise InputError(f"{source} does not exist: give a video, or a folder of frames")
    prepared = stylizer.prepare(style if style.suffix == ".style" else load(style, style_size)[0], name=style.stem)
    report = stylize_video(stylizer, source, prepared, out, alpha, size or None, memory)
    ratio = report.steadiness.ratio
    steady = "nothing moved" if ratio is None else f"{ratio:.2f} times the change of the content from frame to frame"
    print(f"{out}: {report.frames} frames, {report.frames / report.seconds:.1f} a second; {steady}")


def describe(bits: str, size: int, picture: Path | None) -> None:
    """Tables of operators and costs, and a drawing."""
    if size < 32 or size % 16:
        raise InputError(f"size = {size}: expected a multiple of 16, at least 32")
    if picture is not None:
        run.picture(picture)
    a = Architecture.parse(bits)
    rows = [("where", "operator", "what it does"), *a.describe()]
    widths = [max(len(row[i]) for row in rows) for i in (0, 1)]
    for where, name, does in rows:
        print(f"{where:<{widths[0]}}  {name:<{widths[1]}}  {does}")
    slim = next(iter(load_networks().values())).encoder
    given = [
        (f"GMACs at {size} x {size}", VGG_CHANNELS, VGG_CONVOLUTIONS),
        ("with the shipped encoder", slim.channels, slim.convolutions),
    ]
    print(f"\n{a.bits}: {len(a)} operators; style needed: {', '.join(f'f{k}' for k in a.style_levels) or 'nothing'}", end="")
    print(f", decoded through {a.style_stages} stages" if a.style_decoded else ", not decoded")
    for title, channels, convolutions in given:
        costs = {
            "encoder": encoder_macs(size, size, channels, convolutions),
            "decoder": decoder_macs(a, size, size, channels),
            "content and style": macs(a, size, size, channels, convolutions=convolutions),
            "content, style kept": macs(a, size, size, channels, cached_style=True, convolutions=convolutions),
        }
        print(f"\n{title}")
        print(plots.summary({n: f"{v / 1e9:.2f}" for n, v in costs.items()}))
        print(f"parameters of the decoder: {parameters(a, channels):,}")
    if picture is not None:
        plots.save(plots.network(a), picture)
        print(f"\ndrawing: {picture}")


def demo(out: Path, size: int, device: str) -> None:
    """A contact sheet of photographs that are here anyway."""
    run.picture(out, (".jpg", ".png", ".webp"))
    if size < 64:
        raise InputError(f"size = {size}: the photographs of the sheet need at least 64 pixels")
    stylizers = {name: PhotoStylizer(network, device=device) for name, network in load_networks().items()}
    rows = []
    for content, style in run.progress(PAIRS, "demo", unit="row"):
        pictures = photograph(content, size), photograph(style, size)
        rows.append([*pictures, *(s.stylize(*pictures) for s in stylizers.values())])
    plots.save(plots.sheet(["content", "style", *stylizers], rows), out)
    print(f"{len(rows)} photographs in the light of others: {out}")


def web(port: int, size: int, device: str) -> None:
    """Serve the page where two pictures are dropped."""
    examples = [(photograph(content), photograph(style)) for content, style in PAIRS]
    explanation = "Drop a photograph and another whose light it shall have."
    serve(page("photonet", explanation, PhotoStylizer(device=device).stylize, examples, size), port)


def bench(size: int, rounds: int, device: str) -> None:
    """Lazy against eager, on this machine."""
    if not 64 <= size <= 2048:
        raise InputError(f"size = {size}: expected 64 to 2048 pixels")
    side = -(-size // 16) * 16
    pictures = [torch.nn.functional.interpolate(photograph(n)[None], (side, side)) for n in ("china", "coffee")]
    for name, network in load_networks().items():
        stylizer = PhotoStylizer(network, transform="wct", device=device)
        _compare(f"{name}, {side} x {side}", network, stylizer.executor, [p.to(stylizer.device) for p in pictures], rounds)


def _compare(title: str, network: PhotoNet, executor: Executor, pictures: Sequence[Tensor], rounds: int) -> None:
    """One network as it is written, lazily, and with its style kept."""
    content, style = pictures
    kept = executor.prepare(style)

    @torch.inference_mode()
    def eager() -> None:
        network(content, style, "wct")
        _synchronise(content)

    def lazy(kept: Style | None = None) -> None:
        executor(content, executor.prepare(style) if kept is None else kept)
        _synchronise(content)

    candidates = {"eager": eager, "lazy": lazy, "lazy, style kept": partial(lazy, kept)}
    benchmark.alternate(title, candidates, rounds=rounds)


def _synchronise(x: Tensor) -> None:
    """A GPU's work is done when it is synchronised."""
    if x.is_cuda:
        torch.cuda.synchronize()
