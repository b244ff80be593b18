"""What the verbs of the command line do."""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from claimkit import bench as benchmark
from claimkit import figures, run
from claimkit.errors import InputError
from claimkit.media.batch import Plan, make_all
from claimkit.media.options import ClipOptions, PictureOptions
from claimkit.media.picture import Picture, write_picture
from claimkit.media.policy import check_results
from claimkit.media.reading import read_picture
from claimkit.style.web import page, serve
from photonet.app.batch import LOOKS, Batch, Options, prepare
from photonet.app.page import painter
from photonet.execution.executor import Executor
from photonet.execution.style import Style
from photonet.look import Table
from photonet.network.architecture import Architecture
from photonet.network.auto_encoder import PhotoNet
from photonet.network.cost import VGG_CHANNELS, VGG_CONVOLUTIONS, decoder_macs, encoder_macs, macs, parameters
from photonet.regions.labels import FrameRegions
from photonet.samples import PAIRS, photograph
from photonet.stylizer import METHOD, PhotoStylizer
from photonet.video import stylize_video
from photonet.weights import load_networks

CLASSICAL = tuple(name for name in ("mk", "matched", "reinhard", "idt", "histogram") if name != METHOD)
"""Methods that paint with no network, beside the one that is used unasked."""
NO_TABLE = 2.0  # of 255, mean: above it more than colours was changed


def known_look(path: Path) -> Path:
    """Refuse what is neither a table nor a style."""
    if path.suffix.lower() not in (".cube", ".style"):
        raise InputError(f"{path} is no look: give a .cube table or a .style; a photograph goes to photonet transfer")
    return path


def look_make(
    stylizer: PhotoStylizer, content: Path, style: Path, out: Path, alpha: float, entries: int, size: int, style_size: int
) -> None:
    """Make a picture, and keep what was done to it in three files; say what the table cannot keep."""
    stem = out.with_suffix("") if out.suffix in (".cube", ".style", ".png") else out
    picture = read_picture(content, side=size).solid
    prepared = prepare(stylizer, style, style_size)[0]
    result = stylizer.stylize(picture, prepared, alpha)
    table = Table.fit(picture, result, entries, stem.name)
    paths = [stem.with_name(stem.name + suffix) for suffix in (".cube", ".png", ".style")]
    table.save(paths[0])
    deep = (table.hald().permute(1, 2, 0) * 65535).round().numpy().astype("uint16")
    write_picture(paths[1], Picture(deep), depth=16)
    prepared.save(paths[2])
    if alpha != 1:
        note(f"{paths[2].name} keeps no strength, as it is chosen anew for each picture: give it with --alpha {alpha:g}")
    mean, most, worst = table.error(picture, result)
    print(*paths)
    print(f"the table differs from the picture it keeps by {mean:.1f} of 255 in the mean,", end=" ")
    print(f"{most:.1f} at most in 95 of 100 pixels, {worst:.0f} at worst")
    if mean > NO_TABLE:
        print("more than colours was changed: use the .style for all of it, or --method mk for a look of colours")


def transfer(stylizer: PhotoStylizer, todo: Plan, options: Options, output: PictureOptions) -> None:
    """Make pictures; say at the end which could not be made."""
    if (options.content_segmentation or options.style_segmentation) and len(todo.tasks) != 1:
        raise InputError(f"a segmentation belongs to one content and one style, not to {len(todo.tasks)} pictures")
    make_all(todo, Batch(stylizer, options, output))


def video(
    stylizer: PhotoStylizer, source: Path, style: Path, out: Path, alpha: float, size: int, style_size: int, memory: float,
    segmentations: tuple[Path | None, Path | None] = (None, None), output: ClipOptions | None = None,
) -> None:  # fmt: skip
    """Stylise a video and say how fast and how steady it is."""
    if not source.exists():
        raise InputError(f"{source} does not exist: give a video, or a folder of frames")
    check_results([out] if out.suffix else [], [source, style, *(s for s in segmentations if s)])
    regions, notes = None, ()
    if not any(segmentations):
        prepared, notes = prepare(stylizer, style, style_size)
    elif style.suffix.lower() in LOOKS:
        raise InputError("a segmentation of the style goes with its picture, not with a prepared style")
    else:
        picture = read_picture(style, side=style_size).solid
        regions = FrameRegions.read(*segmentations, (picture.shape[-2], picture.shape[-1]), say=note)
        prepared = stylizer.prepare(picture, None if regions is None else regions.style_masks, style.stem)
    report = stylize_video(stylizer, source, prepared, out, alpha, size, memory, regions, output)
    for sentence in (*notes, *report.notes):
        note(sentence)
    ratio = report.steadiness.ratio
    steady = "nothing moved" if ratio is None else f"{ratio:.2f} times the change of the content from frame to frame"
    print(f"{out}: {report.frames} frames, {report.frames / report.seconds:.1f} a second; {steady}")


def note(sentence: str) -> None:
    """A word on what was done otherwise than somebody might think."""
    print(f"photonet: {sentence}", file=sys.stderr)


def describe(bits: str, size: int, picture: Path | None) -> None:
    """Tables of operators and costs, and a drawing."""
    from photonet.app import plots  # matplotlib, which no other verb draws with

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
        figures.save(plots.network(a), picture)
        print(f"\ndrawing: {picture}")


def demo(out: Path, size: int, device: str) -> None:
    """A contact sheet of photographs that are here anyway."""
    from photonet.app import plots  # matplotlib, which no other verb draws with

    run.picture(out, (".jpg", ".png", ".webp"))
    if size < 64:
        raise InputError(f"size = {size}: the photographs of the sheet need at least 64 pixels")
    stylizers = {f"default ({METHOD})": PhotoStylizer(device=device)}
    stylizers |= {name: PhotoStylizer(method=name, device=device) for name in CLASSICAL}
    stylizers |= {name: PhotoStylizer(network, device=device) for name, network in load_networks().items()}
    rows = []
    for content, style in run.progress(PAIRS, "demo", unit="row"):
        pictures = photograph(content, size), photograph(style, size)
        rows.append([*pictures, *(s.stylize(*pictures) for s in stylizers.values())])
    figures.save(plots.sheet(["content", "style", *stylizers], rows, 1.8), out)
    print(f"{len(rows)} photographs in the light of others: {out}")


def web(port: int, size: int, device: str) -> None:
    """Serve the page where two pictures are dropped."""
    explanation = "Drop a photograph and another whose light it shall have."
    serve(page("photonet", explanation, painter(device), PAIRS, size), port)


def bench(size: int, rounds: int, device: str) -> None:
    """Every method with its style kept; then of each network lazy against eager, on this machine."""
    if not 64 <= size <= 2048:
        raise InputError(f"size = {size}: expected 64 to 2048 pixels")
    side = -(-size // 16) * 16
    pictures = [torch.nn.functional.interpolate(photograph(n)[None], (side, side)) for n in ("china", "coffee")]
    device = run.choose_device(device)
    networks = load_networks()
    stylizers = {name: PhotoStylizer(method=name, device=device) for name in (METHOD, *CLASSICAL, "regions", "local")}
    stylizers |= {name: PhotoStylizer(network, device=device) for name, network in networks.items()}
    content, style = (p[0] for p in pictures)
    ways = {name: partial(s.stylize, content, s.prepare(style)) for name, s in stylizers.items()}
    benchmark.alternate(f"{side} x {side}, style kept", ways, rounds, 1)
    for name, network in networks.items():
        executor = Executor(network.to(torch.device(device)), "wct")
        _compare(f"{name}, {side} x {side}", network, executor, [p.to(device) for p in pictures], rounds)


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
