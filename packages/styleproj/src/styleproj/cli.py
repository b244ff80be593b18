"""The command line; torch is imported inside the verbs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import tyro

from claimkit.cli import main as run
from claimkit.media.options import ClipOptions, PictureOptions

CITATION = """
@misc{huang2020parameterfree,
  title         = {Parameter-Free Style Projection for Arbitrary Style Transfer},
  author        = {Huang, Siyu and Xiong, Haoyi and Wang, Tianyang and Wang, Qingzhong and Chen, Zeyu and Huan, Jun and
                   Dou, Dejing},
  year          = {2020}, eprint = {2003.07694}, archivePrefix = {arXiv}
}
"""

Color = Literal["style", "luminance", "coral"]
Ties = Literal["average", "stable", "random", "local-mean"]
Transform = Literal["ot-projection", "projection", "adain", "wct", "ot"]


def stylize(
    content: tyro.conf.Positional[Path],
    style: tyro.conf.Positional[tuple[Path, ...]],
    out: Path | None = None,
    alpha: float = 1.0,
    mix: tuple[float, ...] = (),
    pairs: Literal["all", "matched"] = "all",
    colour: Color = "style",
    size: int = 1024,
    style_size: int = 512,
    mask: Path | None = None,
    style_mask: Path | None = None,
    labels: Path | None = None,
    style_labels: Path | None = None,
    suffix: Literal[".jpg", ".png", ".webp", ".tif"] = ".jpg",
    ties: Ties = "average",
    transform: Transform = "ot-projection",
    palette: bool = True,
    max_gain: float = 1.15,
    soft_clip: float = 0.2,
    stroke: float | None = None,
    keep_detail: float = 0.0,
    model: Path | None = None,
    cache: Path | None = None,
    tile: int = 1024,
    device: str = "auto",
    output: tyro.conf.OmitArgPrefixes[PictureOptions] = PictureOptions(),  # noqa: B008
) -> None:
    """Give pictures the style of others: styleproj stylize photo.jpg painting.jpg.

    A file that cannot be used is listed at the end, with exit code 2; all others are done.

    Example: styleproj stylize photo.jpg painting.jpg --alpha 0.8

    Args:
        content: The picture that gets a style, or a folder of such.
        style: What gives the style: pictures, folders of pictures, or styles kept with --cache.
        out: File of the result, or folder; photo-painting.jpg in this folder when not given.
        alpha: Strength from 0 (the content) to 1.
        mix: Weights: all styles together make one picture, say --mix 2 1.
        pairs: all: every content with every style; matched: first with first, second with second.
        colour: style; or keep the content's colours: luminance (its chroma), coral (the style repainted in them).
        size: A picture of more than SIZE x SIZE pixels is shrunk to that area, its shape kept; 0 keeps every size.
        style_size: The same for the style: the smaller, the finer its strokes, which --stroke sets, too; 0 keeps it.
        mask: Picture of the content's size: where it is black the content stays what it is.
        style_mask: Picture of the style's size: only what is white counts.
        labels: Picture of the content's size, a value or colour for each region: with several styles, in the order of
            values, the region of each; with --style-labels, what shall take its values from the same region of the style.
        style_labels: Picture of the style's size.
        suffix: Format of results in a folder.
        ties: Order among equal features: average, stable, random, local-mean.
        transform: How features take the style: ot-projection moves joint moments first, projection alone is the paper's.
        palette: Map the colours to those of the style after decoding.
        max_gain: Most that this map may enlarge a difference of colours, at least 1; inf sets no bound.
        soft_clip: Width of the ends of the range that are bent where this map leaves it, up to 0.5; 0 clips.
        stroke: Breadth of strokes as a share of the picture: 1 as at 512 x 512, 2 twice as broad; some pixels if not given.
        keep_detail: From 0 to 1: weaken the style where lettering, faces and other fine drawing would be lost.
        model: A network that styleproj train wrote, or easel, brush, paint, joint, deep or slim of the package.
        cache: Folder where styles are kept, so that they are not looked at again.
        tile: Side of the pieces in which large pictures are worked on; the result does not depend on it.
        device: auto, cpu, cuda, cuda:N or mps.
        output: How results are written.
    """
    from claimkit.media.batch import plan
    from styleproj import verbs
    from styleproj.pictures.batch import Batch, Options
    from styleproj.pictures.stylizer import Stylizer

    options = Options(
        alpha=alpha, weights=mix, size=size, style_size=style_size, mask=mask, style_mask=style_mask, labels=labels,
        style_labels=style_labels, preserve_color=None if colour == "style" else colour, stroke=stroke,
        keep_detail=keep_detail,
    )  # fmt: skip
    mixed = bool(mix) or (labels is not None and style_labels is None)
    given = (*options.files, model)
    todo = plan(content, style, out, suffix, pairs=pairs, mixed=mixed, existing=output.existing, inputs=given)
    colours = {"palette": palette, "max_gain": max_gain, "soft_clip": soft_clip}
    stylizer = Stylizer(model, ties=ties, transform=transform, device=device, tile=tile, cache=cache, **colours)
    verbs.stylize(todo, Batch(stylizer, options, output))


def video(
    source: tyro.conf.Positional[Path],
    style: tyro.conf.Positional[Path],
    out: Path = Path("styled.mp4"),
    alpha: float = 1.0,
    size: int = 512,
    style_size: int = 512,
    ties: Ties = "average",
    transform: Transform = "ot-projection",
    palette: bool = True,
    max_gain: float = 1.15,
    soft_clip: float = 0.2,
    steady: bool = False,
    model: Path | None = None,
    device: str = "auto",
    output: tyro.conf.OmitArgPrefixes[ClipOptions] = ClipOptions(),  # noqa: B008
) -> None:
    """Give a video the style of a picture: styleproj video clip.mp4 painting.jpg.

    Frames keep their times; all sounds and subtitles come along.

    Example: styleproj video clip.mp4 painting.jpg --steady

    Args:
        source: A video, or a folder of frames in the order of their names.
        style: The picture that gives the style.
        out: Video; a name without suffix is a folder for frames.
        alpha: Strength from 0 (the content) to 1.
        size: Frames of more than SIZE x SIZE pixels are shrunk to that area; 0 keeps the video's.
        style_size: The same for the style.
        ties: Order among equal features.
        transform: How features take the style: ot-projection moves joint moments first, projection alone is the paper's.
        palette: Map the colours to those of the style after decoding.
        max_gain: Most that this map may enlarge a difference of colours, at least 1; inf sets no bound.
        soft_clip: Width of the ends of the range that are bent where this map leaves it, up to 0.5; 0 clips.
        steady: Let what is painted change slowly over time, and by less where the content is even: less flicker.
        model: A network that styleproj train wrote, or easel, brush, paint, joint, deep or slim of the package.
        device: auto, cpu, cuda, cuda:N or mps.
        output: How the video is written.
    """
    from styleproj import verbs
    from styleproj.pictures.stylizer import Stylizer

    stylizer = Stylizer(
        model, ties=ties, transform=transform, palette=palette, max_gain=max_gain, soft_clip=soft_clip, device=device
    )
    verbs.video(stylizer, source, style, out, alpha, size, style_size, output, steady)


def train(
    content: Path,
    style: Path,
    out: Path = Path("styleproj-run"),
    encoder: Path | None = None,
    teacher: Path | None = None,
    steps: int = 8000,
    batch: int = 4,
    crop: int = 128,
    learning_rate: float = 1e-3,
    style_weight: float = 2.0,
    kl_weight: float = 1.0,
    style_crops: int = 1800,
    sample_every: int = 500,
    checkpoint_every: int = 200,
    bf16: bool = False,
    seed: int = 0,
    device: str = "auto",
    resume: bool = False,
) -> None:
    """Train a decoder on your own pictures; the result is a --model for stylize and video.

    Example: styleproj train --content photos --style paintings --out mine

    Args:
        content: Folder of photographs.
        style: Folder of pictures whose styles count.
        out: Folder of network.safetensors, checkpoint.pt, log.jsonl and samples.
        encoder: A VGG-19 file (torchvision's or the normalised one); the encoder that comes with the package when not given.
        teacher: A VGG-19 file on whose features the losses are measured; the encoder itself when not given.
        steps: Steps in all.
        batch: Pairs of crops a step.
        crop: Side of the crops in pixels, a multiple of 16.
        learning_rate: Of Adam.
        style_weight: lambda of L = L_p + lambda L_s + kappa L_KL.
        kl_weight: kappa.
        style_crops: Crops of style pictures whose statistics are computed beforehand.
        sample_every: Steps between sample grids.
        checkpoint_every: Steps between checkpoints: the most that an interruption can lose.
        bf16: Convolutions in bfloat16: faster on processors that have it.
        seed: Seed of crops.
        device: auto, cpu, cuda, cuda:N or mps.
        resume: Go on from the checkpoint in --out.
    """
    from styleproj.training.decoder import TrainingSettings, train_from_folders

    settings = TrainingSettings(
        steps=steps,
        batch=batch,
        crop=crop,
        learning_rate=learning_rate,
        style_weight=style_weight,
        kl_weight=kl_weight,
        style_crops=style_crops,
        sample_every=sample_every,
        checkpoint_every=checkpoint_every,
        bf16=bf16,
        seed=seed,
    )
    train_from_folders(content, style, out, encoder, teacher, settings, resume, device)


# demo and web are those of photonet in words and options: each command line says what it takes by itself, for --help
def demo(out: Path = Path("styleproj-demo.jpg"), size: int = 384, device: str = "auto") -> None:
    """Make a contact sheet: photographs that come with scikit-image and scikit-learn (down) as four paintings drawn by rule.

    Example: styleproj demo --out styleproj.jpg

    Args:
        out: The picture.
        size: Side of each square.
        device: auto, cpu, cuda, cuda:N or mps.
    """
    from styleproj import verbs

    verbs.demo(out, size, device)


def web(port: int = 7860, size: int = 512, device: str = "auto") -> None:
    """Serve a page on this machine: drop two pictures, move the strength, see the result. Needs styleproj[demo].

    Example: styleproj web

    Args:
        port: Of the loopback interface; no other machine can reach it.
        size: A picture of more than SIZE x SIZE pixels is shrunk to that area until the page says otherwise; 0 keeps it.
        device: auto, cpu, cuda, cuda:N or mps.
    """
    from styleproj import verbs

    verbs.web(port, size, device)


def export(
    out: tyro.conf.Positional[Path],
    size: tuple[int, int] = (512, 512),
    style_size: tuple[int, int] = (512, 512),
    model: Path | None = None,
    transform: Literal["ot-projection", "projection"] = "ot-projection",
) -> None:
    """Write what stylize does for other runtimes: styleproj export styleproj.onnx. Needs styleproj[export] for ONNX.

    The graph takes two pictures of these sizes, (1, 3, height, width) in [0, 1], and a strength, and gives the picture.

    Example: styleproj export styleproj.onnx

    Args:
        out: File: .onnx, or .pt2 for torch.export.
        size: Width and height of content and result in pixels, multiples of 8.
        style_size: Width and height of the style picture.
        model: A network that styleproj train wrote; the one that comes with the package when not given.
        transform: How features take the style: projection for a network that styleproj train wrote.
    """
    from styleproj.networks.export import export as write
    from styleproj.networks.weights import load_network

    print(write(load_network(model), out, (size[1], size[0]), (style_size[1], style_size[0]), transform))


def bench(size: int = 512, rounds: int = 5, device: str = "auto") -> None:
    """Measure on this machine: the projection against EFDM's, AdaIN and WCT, and whole pictures a second.

    Example: styleproj bench

    Args:
        size: Side of the picture.
        rounds: Rounds, at least 3.
        device: auto, cpu, cuda, cuda:N or mps.
    """
    from styleproj import verbs

    verbs.bench(size, rounds, device)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    run(
        "styleproj",
        "Any photo in the style of any picture, offline.",
        {"stylize": stylize, "video": video, "train": train, "demo": demo, "web": web, "export": export, "bench": bench},
        CITATION,
        argv,
        {"--color": "--colour"},
    )
