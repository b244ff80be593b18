"""The command line; torch is imported inside the verbs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import tyro

from claimkit.cli import main as run

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

Transforms = Literal["wct", "wct-exact", "wct-relative", "wct-identity", "adain", "ot"]


def transfer(
    content: tyro.conf.Positional[Path],
    style: tyro.conf.Positional[Path],
    out: Path | None = None,
    content_seg: Path | None = None,
    style_seg: Path | None = None,
    alpha: float = 1.0,
    network: str | None = None,
    transform: Transforms = "ot",
    pairs: Literal["all", "matched"] = "all",
    size: int = 0,
    style_size: int = 1024,
    suffix: Literal[".jpg", ".png", ".webp", ".tif"] = ".jpg",
    model: Path | None = None,
    device: str = "auto",
) -> None:
    """Give photographs the light of others: photonet transfer content.jpg style.jpg.

    A file that cannot be used is listed at the end, with exit code 2; all others are done.

    Args:
        content: A photograph, or a folder of photographs.
        style: A photograph, or a folder of photographs.
        out: File of the result, or folder; content-style.jpg in this folder when not given.
        content_seg: Segmentation of the content, a colour for each region: each takes from the style's of the same colour.
        style_seg: Segmentation of the style.
        alpha: Strength from 0 (the content) to 1.
        network: stylenas (found by a search), photonas, photonet (more operators, a stronger effect) or artnet (for
            paintings, not sharp); or the bits of a network in --model. The first in the file when not given: stylenas.
        transform: What content features are given of the style's: ot changes them least, wct is the paper's, its variants
            are weaker, adain knows no colours.
        pairs: all: every content with every style; matched: first with first, second with second.
        size: Longer side of the result; smaller pictures keep their size, 0 keeps every size.
        style_size: Longer side at which the style is looked at; 0 keeps it.
        suffix: Format of results in a folder.
        model: Networks that photonet train wrote; those that come with the package when not given.
        device: auto, cpu, cuda, cuda:N or mps.
    """
    from photonet import verbs
    from photonet.batch import Options, tasks
    from photonet.stylizer import PhotoStylizer

    todo = tasks(content, style, pairs, out, suffix)
    stylizer = PhotoStylizer(network, model=model, transform=transform, device=device)
    verbs.transfer(stylizer, todo, Options(alpha, size, style_size, content_seg, style_seg))


def video(
    source: tyro.conf.Positional[Path],
    style: tyro.conf.Positional[Path],
    out: Path = Path("styled.mp4"),
    alpha: float = 1.0,
    network: str | None = None,
    transform: Transforms = "ot",
    memory: float = 0.8,
    size: int = 0,
    style_size: int = 1024,
    model: Path | None = None,
    device: str = "auto",
) -> None:
    """Give a video the light of a photograph: photonet video clip.mp4 style.jpg.

    Args:
        source: A video, or a folder of frames in the order of their names.
        style: A photograph.
        out: Video; a name without suffix is a folder for frames.
        alpha: Strength from 0 (the content) to 1.
        network: stylenas, photonas, photonet or artnet, or the bits of a network in --model; its first when not given.
        transform: What content features are given of the style's.
        memory: Share of the past in the content's statistics, from 0 to below 1; it ends at cuts.
        size: Longer side of the result; 0 keeps the video's.
        style_size: Longer side at which the style is looked at; 0 keeps it.
        model: Networks that photonet train wrote.
        device: auto, cpu, cuda, cuda:N or mps.
    """
    from photonet import verbs
    from photonet.stylizer import PhotoStylizer

    stylizer = PhotoStylizer(network, model=model, transform=transform, device=device)
    verbs.video(stylizer, source, style, out, alpha, size, style_size, memory)


def train(
    content: Path,
    networks: tuple[str, ...] = ("stylenas",),
    out: Path = Path("photonet-run"),
    encoder: Path | None = None,
    steps: int = 4000,
    batch: int = 8,
    crop: int = 128,
    learning_rate: float = 1e-3,
    image_weight: float = 0.5,
    feature_weight: float = 0.5,
    sample_every: int = 500,
    checkpoint_every: int = 200,
    bf16: bool = False,
    seed: int = 0,
    device: str = "auto",
    resume: bool = False,
) -> None:
    """Train decoders to reconstruct your photographs; the result is a --model for transfer and video.

    Args:
        content: Folder of photographs.
        networks: Strings of 32 bits, or photonet, photonas, artnet, best-of-log, stylenas; trained together.
        out: Folder of network.safetensors, checkpoint.pt, log.jsonl and samples.
        encoder: A VGG-19 file (torchvision's or the normalised one); the encoder that comes with the package when not given.
        steps: Steps in all.
        batch: Crops a step.
        crop: Side of the crops in pixels, a multiple of 16.
        learning_rate: Of Adam.
        image_weight: Weight of the picture's error.
        feature_weight: Weight of the features' error.
        sample_every: Steps between sample grids.
        checkpoint_every: Steps between checkpoints: the most that an interruption can lose.
        bf16: Convolutions in bfloat16: faster on processors that have it.
        seed: Seed of crops.
        device: auto, cpu, cuda, cuda:N or mps.
        resume: Go on from the checkpoint in --out.
    """
    from photonet.training import TrainingSettings, train_from_folder

    settings = TrainingSettings(
        steps=steps,
        batch=batch,
        crop=crop,
        learning_rate=learning_rate,
        image_weight=image_weight,
        feature_weight=feature_weight,
        sample_every=sample_every,
        checkpoint_every=checkpoint_every,
        bf16=bf16,
        seed=seed,
    )
    print(train_from_folder(content, networks, out, encoder, settings, resume, device))


def describe(bits: tyro.conf.Positional[str], size: int = 512, picture: Path | None = None) -> None:
    """Say what a network of the search space is, in words and in costs: photonet describe photonas --picture net.png.

    Args:
        bits: 32 characters 0 and 1, or photonet, photonas, artnet, best-of-log, stylenas.
        size: Side of the picture for which costs are given.
        picture: File for a drawing of the network.
    """
    from photonet import verbs

    verbs.describe(bits, size, picture)


def demo(out: Path = Path("photonet-demo.jpg"), size: int = 384, device: str = "auto") -> None:
    """Make a contact sheet of photographs that come with scikit-image and scikit-learn, each in the light of another.

    Args:
        out: The picture.
        size: Longer side of each photograph.
        device: auto, cpu, cuda, cuda:N or mps.
    """
    from photonet import verbs

    verbs.demo(out, size, device)


def web(port: int = 7860, size: int = 1024, device: str = "auto") -> None:
    """Serve a page on this machine: drop two photographs, move the strength, see the result. Needs photonet[demo].

    Args:
        port: Of the loopback interface; no other machine can reach it.
        size: Longer side of the result.
        device: auto, cpu, cuda, cuda:N or mps.
    """
    from photonet import verbs

    verbs.web(port, size, device)


def bench(size: int = 512, rounds: int = 5, device: str = "auto") -> None:
    """Measure on this machine: each network as it is written, lazily, and lazily with its style kept.

    Args:
        size: Side of the picture.
        rounds: Rounds, at least 3.
        device: auto, cpu, cuda, cuda:N or mps.
    """
    from photonet import verbs

    verbs.bench(size, rounds, device)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    run(
        "photonet",
        "The light of one photograph on another, sharp, in one pass.",
        {
            "transfer": transfer,
            "video": video,
            "train": train,
            "describe": describe,
            "demo": demo,
            "web": web,
            "bench": bench,
        },
        CITATION,
        argv,
    )
