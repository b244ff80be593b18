"""What the verbs of the command line do."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from claimkit import bench as benchmark
from claimkit import photographs, run
from claimkit.errors import InputError
from claimkit.media.batch import Plan, make_all
from claimkit.media.options import ClipOptions
from claimkit.media.policy import check_results
from claimkit.media.reading import read_picture
from claimkit.style.images import from_uint8, write_image
from claimkit.style.sheets import contact_sheet
from claimkit.style.web import page, serve
from styleproj.operator import kernels
from styleproj.operator.baselines import adain_reference, efdm
from styleproj.operator.projection import project
from styleproj.operator.sorted_style import SortedStyle
from styleproj.paintings import PAINTINGS, painting
from styleproj.pictures.batch import Batch, prepare
from styleproj.pictures.page import painter
from styleproj.pictures.stylizer import Stylizer
from styleproj.pictures.video import stylize_video
from styleproj.samples import CONTENTS, photograph, square


def stylize(todo: Plan, batch: Batch) -> None:
    """Make pictures; say at the end which could not be made."""
    make_all(todo, batch)


def video(
    stylizer: Stylizer, source: Path, style: Path, out: Path, alpha: float, size: int, style_size: int, output: ClipOptions,
    steady: bool,
) -> None:  # fmt: skip
    """Stylise a video and say how fast and how steady it is."""
    if not source.exists():
        raise InputError(f"{source} does not exist: give a video, or a folder of frames")
    check_results([out] if out.suffix else [], [source, style], output.existing)
    saved = style.suffix == ".style"
    picture = None if saved else read_picture(style, side=style_size)
    prepared = stylizer.prepare(style) if picture is None else prepare(stylizer, picture, style.stem)
    report = stylize_video(stylizer, source, prepared, out, alpha, size, output, steady)
    for note in (*(() if picture is None else picture.notes), *report.notes):
        print(note, file=sys.stderr)
    if report.frames:
        print(f"{out}: {report.frames} frames, {report.frames / report.seconds:.1f} a second; {report.flicker}")


def demo(out: Path, size: int, device: str) -> None:
    """A contact sheet of photographs that are here anyway, in paintings drawn by rule."""
    run.picture(out, (".jpg", ".png", ".webp"))
    if size < 64:
        raise InputError(f"size = {size}: the photographs of the sheet need at least 64 pixels")
    stylizer = Stylizer(device=device)
    contents = {n: square(photograph(n), size) for n in CONTENTS[:4]}
    styles = {n: from_uint8(painting(n, size)) for n in PAINTINGS}
    prepared = {name: stylizer.prepare(picture, name=name) for name, picture in styles.items()}
    todo = run.progress(contents.values(), "demo", unit="row")
    rows = [[content, *(stylizer.stylize(content, style) for style in prepared.values())] for content in todo]
    write_image(out, contact_sheet([[None, *styles.values()], *rows], size))
    print(f"{len(contents)} contents (down) in {len(styles)} styles (across): {out}")


def web(port: int, size: int, device: str) -> None:
    """Serve the page where two pictures are dropped."""
    explanation = "Drop a photograph and a picture whose style it shall have."
    examples = list(zip(CONTENTS[:4], PAINTINGS, strict=True))

    def example(name: str) -> NDArray[np.uint8]:
        return painting(name) if name in PAINTINGS else photographs.photograph(name)

    serve(page("Style Projection", explanation, painter(device), examples, size, example), port)


def bench(size: int, rounds: int, device: str) -> None:
    """The operator and the whole, on this machine."""
    if not 64 <= size <= 2048:
        raise InputError(f"size = {size}: expected 64 to 2048 pixels")
    stylizer = Stylizer(device=device)
    network, chosen = stylizer.network, stylizer.device
    step = network.multiple
    side = -(-size // step) * step
    pictures = torch.stack([square(photograph(name, 2 * side), side) for name in ("astronaut", "coffee")]).to(chosen)
    with torch.inference_mode():
        x, s = (f[None].contiguous() for f in network.encoder(pictures, network.levels[-1])[-1])
    cached = SortedStyle.of(s)
    kernels.warmup()
    shape = " x ".join(map(str, x.shape[1:]))
    zeros = float((x == 0).float().mean())
    benchmark.alternate(
        f"features {shape}, {zeros:.0%} zeros",
        {
            "EFDM's operator (sort, sort, argsort, gather)": _timed(lambda: efdm(x, s), chosen),
            "projection": _timed(lambda: project(x, s), chosen),
            "projection, style cached": _timed(lambda: project(x, cached), chosen),
            "AdaIN (var_mean, addcmul)": _timed(lambda: adain_reference(x, s), chosen),
        },
        rounds=rounds,
    )
    content, style = pictures.cpu()
    prepared = stylizer.prepare(style)
    whole = benchmark.alternate(
        f"whole pictures of {side} x {side}",
        {
            "stylize, style prepared": lambda: stylizer.stylize(content, prepared),
            "stylize, style picture": lambda: stylizer.stylize(content, style),
        },
        rounds=rounds,
    )
    seconds = whole.timings["stylize, style prepared"].seconds[0]
    print(f"{1 / seconds:.1f} pictures of {side} x {side} a second")


def _timed(work: Any, device: str) -> Any:
    """A GPU's work is done when it is synchronised."""
    if not device.startswith("cuda"):
        return work

    def synchronised() -> None:
        work()
        torch.cuda.synchronize()

    return synchronised
