"""The command line; torch is imported inside the verbs."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import tyro

from claimkit.cli import main as run
from claimkit.media.options import ClipOptions, PictureOptions
from photonet.app.options import Making
from photonet.training.settings import TrainingSettings

CITATION = """
@misc{an2019ultrafast,
  title         = {Fast Universal Style Transfer for Artistic and Photorealistic Rendering},
  author        = {An, Jie and Xiong, Haoyi and Luo, Jiebo and Huan, Jun and Ma, Jinwen},
  year          = {2019},
  eprint        = {1907.03118},
  archivePrefix = {arXiv}
}

@inproceedings{an2020ultrafast,
  title         = {Ultrafast Photorealistic Style Transfer via Neural Architecture Search},
  author        = {An, Jie and Xiong, Haoyi and Huan, Jun and Luo, Jiebo},
  booktitle     = {AAAI Conference on Artificial Intelligence},
  year          = {2020},
  eprint        = {1912.02398},
  archivePrefix = {arXiv}
}
"""

Made = tyro.conf.OmitArgPrefixes[Making]


def transfer(
    content: tyro.conf.Positional[Path],
    style: tyro.conf.Positional[Path],
    out: Path | None = None,
    labels: Path | None = None,
    style_labels: Path | None = None,
    alpha: float = 1.0,
    pairs: Literal["all", "matched"] = "all",
    size: int = 0,
    style_size: int = 1024,
    suffix: Literal[".jpg", ".png", ".webp", ".tif"] = ".jpg",
    made: Made = Making(),  # noqa: B008
    output: tyro.conf.OmitArgPrefixes[PictureOptions] = PictureOptions(),  # noqa: B008
) -> None:
    """Give photographs the light of others: photonet transfer content.jpg style.jpg.

    A file that cannot be used is listed at the end, with exit code 2; all others are done.

    Example: photonet transfer photo.jpg evening.jpg --out lit.jpg

    Args:
        content: The photograph that gets other colours and light, or a folder of such.
        style: The photograph that these are taken from, or a folder of such.
        out: File of the result, or folder; content-style.jpg in this folder when not given.
        labels: Segmentation of the content, a colour or a number for each region: a region takes from that of the style
            with the same colour or number; borders are feathered. A folder of grey pictures, one a region, is soft masks.
        style_labels: Segmentation of the style, or a folder with masks of the same names.
        alpha: Strength from 0 (the content) to 1.
        pairs: all: every content with every style; matched: first with first, second with second.
        size: A picture of more than SIZE x SIZE pixels is shrunk to that area, its shape kept; 0 keeps every size.
        style_size: The same for the style; 0 keeps it.
        suffix: Format of results in a folder.
        made: How pictures are made.
        output: How results are written.
    """
    from claimkit.media.batch import plan
    from photonet import verbs
    from photonet.app.batch import Options

    given = (labels, style_labels, made.model)
    todo = plan(content, [style], out, suffix, pairs=pairs, existing=output.existing, inputs=given)
    options = Options(alpha, size, style_size, labels, style_labels, verbs.note)
    verbs.transfer(made.stylizer(style), todo, options, output)


def video(
    source: tyro.conf.Positional[Path],
    style: tyro.conf.Positional[Path],
    out: Path = Path("styled.mp4"),
    labels: Path | None = None,
    style_labels: Path | None = None,
    alpha: float = 1.0,
    memory: float = 0.8,
    size: int = 0,
    style_size: int = 1024,
    made: Made = Making(),  # noqa: B008
    output: tyro.conf.OmitArgPrefixes[ClipOptions] = ClipOptions(),  # noqa: B008
) -> None:
    """Give a video the light of a photograph: photonet video clip.mp4 style.jpg.

    Example: photonet video clip.mp4 evening.jpg

    Args:
        source: A video, or a folder of frames in the order of their names.
        style: The photograph that colours and light are taken from.
        out: Video; a name without suffix is a folder for frames.
        labels: Segmentation of all frames, or a folder with one for each.
        style_labels: Segmentation of the style.
        alpha: Strength from 0 (the content) to 1.
        memory: Share of the past in the content's statistics, from 0 to below 1; it ends at cuts.
        size: Frames of more than SIZE x SIZE pixels are shrunk to that area; 0 keeps the video's.
        style_size: The same for the style; 0 keeps it.
        made: How pictures are made.
        output: How the video is written.
    """
    from photonet import verbs

    stylizer = made.stylizer(style)
    verbs.video(stylizer, source, style, out, alpha, size, style_size, memory, (labels, style_labels), output)


def look_make(
    content: tyro.conf.Positional[Path],
    style: tyro.conf.Positional[Path],
    out: Path = Path("look"),
    alpha: float = 1.0,
    entries: int = 33,
    size: int = 1024,
    style_size: int = 1024,
    made: Made = Making(),  # noqa: B008
) -> None:
    """Keep a look: photonet look make content.jpg style.jpg --out dusk writes dusk.cube, dusk.png and dusk.style.

    The table does to every picture what was done to the colours of this one, and its error says how much of that a table
    can hold. With dusk.style each picture is looked at anew.

    Example: photonet look make photo.jpg evening.jpg --out dusk

    Args:
        content: A photograph that shows what the look does.
        style: The photograph that colours and light are taken from.
        out: Files without their suffix: .cube for Lightroom, Resolve and ffmpeg, .png (Hald) for darktable and RawTherapee.
        alpha: Strength from 0 to 1.
        entries: Of the table, each way.
        size: A content of more than SIZE x SIZE pixels is shrunk to that area.
        style_size: The same for the style.
        made: How pictures are made.
    """
    from photonet import verbs

    stylizer = made.stylizer(style)
    verbs.look_make(stylizer, content, style, out, alpha, entries, size, style_size)


def look_apply(
    look: tyro.conf.Positional[Path],
    content: tyro.conf.Positional[Path],
    out: Path | None = None,
    alpha: float = 1.0,
    size: int = 0,
    suffix: Literal[".jpg", ".png", ".webp", ".tif"] = ".jpg",
    model: Path | None = None,
    device: str = "auto",
    output: tyro.conf.OmitArgPrefixes[PictureOptions] = PictureOptions(),  # noqa: B008
) -> None:
    """Give a roll of photographs a look: photonet look apply dusk.cube photos --out lit.

    Example: photonet look apply dusk.cube photos --out lit

    Args:
        look: A .cube table, of whatever program, or a .style.
        content: The photograph that gets the look, or a folder of such.
        out: File of the result, or folder.
        alpha: Strength from 0 to 1.
        size: A picture of more than SIZE x SIZE pixels is shrunk to that area; 0 keeps every size.
        suffix: Format of results in a folder.
        model: The networks that a .style was made with, where they did not come with the package.
        device: auto, cpu, cuda, cuda:N or mps.
        output: How results are written.
    """
    from claimkit.media.batch import plan
    from photonet import verbs
    from photonet.app.batch import Options

    todo = plan(content, [verbs.known_look(look)], out, suffix, existing=output.existing, inputs=(model,))
    stylizer = Making(model=model, device=device).stylizer(look)
    verbs.transfer(stylizer, todo, Options(alpha, size), output)


def train(
    content: Path,
    networks: tuple[str, ...] = ("stylenas",),
    out: Path = Path("photonet-run"),
    encoder: Path | None = None,
    device: str = "auto",
    resume: bool = False,
    settings: tyro.conf.OmitArgPrefixes[TrainingSettings] = TrainingSettings(),  # noqa: B008
) -> None:
    """Train decoders to reconstruct your photographs; the result is a --model for transfer and video.

    Example: photonet train --content photos --out decoders

    Args:
        content: Folder of photographs.
        networks: Strings of 32 bits, or photonet, photonas, artnet, best-of-log, stylenas; trained together.
        out: Folder of network.safetensors, checkpoint.pt, log.jsonl and samples.
        encoder: A VGG-19 file (torchvision's or the normalised one); the encoder that comes with the package when not given.
        device: auto, cpu, cuda, cuda:N or mps.
        resume: Go on from the checkpoint in --out.
        settings: Of the training.
    """
    from photonet.training.decoders import train_from_folder

    print(train_from_folder(content, networks, out, encoder, settings, resume, device))


def describe(bits: tyro.conf.Positional[str], size: int = 512, picture: Path | None = None) -> None:
    """Say what a network of the search space is, in words and in costs: photonet describe photonas --picture net.png.

    Example: photonet describe photonas --picture net.png

    Args:
        bits: 32 characters 0 and 1, or photonet, photonas, artnet, best-of-log, stylenas.
        size: Side of the picture for which costs are given.
        picture: File for a drawing of the network.
    """
    from photonet import verbs

    verbs.describe(bits, size, picture)


# demo and web are those of styleproj in words and options: each command line says what it takes by itself, for --help
def demo(out: Path = Path("photonet-demo.jpg"), size: int = 384, device: str = "auto") -> None:
    """Make a contact sheet of photographs that come with scikit-image and scikit-learn, each in the light of another.

    Example: photonet demo --out photonet.jpg

    Args:
        out: The picture.
        size: Longer side of each photograph.
        device: auto, cpu, cuda, cuda:N or mps.
    """
    from photonet import verbs

    verbs.demo(out, size, device)


def web(port: int = 7860, size: int = 1024, device: str = "auto") -> None:
    """Serve a page on this machine: drop two photographs, move the strength, see the result. Needs photonet[demo].

    Example: photonet web

    Args:
        port: Of the loopback interface; no other machine can reach it.
        size: A picture of more than SIZE x SIZE pixels is shrunk to that area until the page says otherwise; 0 keeps it.
        device: auto, cpu, cuda, cuda:N or mps.
    """
    from photonet import verbs

    verbs.web(port, size, device)


def bench(size: int = 512, rounds: int = 5, device: str = "auto") -> None:
    """Measure on this machine: every method with its style kept; each network as it is written, lazily, and with it kept.

    Example: photonet bench

    Args:
        size: Side of the picture.
        rounds: Rounds, at least 3.
        device: auto, cpu, cuda, cuda:N or mps.
    """
    from photonet import verbs

    verbs.bench(size, rounds, device)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments[:1] == ["look"] and len(arguments) > 1:
        arguments[:2] = [" ".join(arguments[:2])]  # one verb of two words
    run(
        "photonet",
        "The light of one photograph on another, sharp, in one pass.",
        {
            "transfer": transfer,
            "video": video,
            "look make": look_make,
            "look apply": look_apply,
            "train": train,
            "describe": describe,
            "demo": demo,
            "web": web,
            "bench": bench,
        },
        CITATION,
        arguments,
        {"--content-seg": "--labels", "--style-seg": "--style-labels"},
    )
