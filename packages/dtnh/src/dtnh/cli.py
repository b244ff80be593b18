"""The command line; torch is imported inside the verbs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from claimkit.cli import main as run

CITATION = """
@inproceedings{wan2019towards,
  title     = {Towards Making Deep Transfer Learning Never Hurt},
  author    = {Wan, Ruosi and Xiong, Haoyi and Li, Xingjian and Zhu, Zhanxing and Huan, Jun},
  booktitle = {IEEE International Conference on Data Mining},
  year      = {2019},
  note      = {arXiv:1911.07489}
}
"""

Base = Literal["l2", "l2sp", "featmap", "logits"]
Scope = Literal["shared", "all", "layer", "tensor"]
Schedule = Literal["step", "exponential", "constant"]


def demo(out: Path = Path("dtnh-demo.png"), steps: int = 120, seed: int = 0) -> None:
    """Fine-tune a digit network from a right and a wrong source, with and without the guard; write one picture.

    Example: dtnh demo --out dtnh.png

    Args:
        out: The picture.
        steps: Steps of each run.
        seed: Seed of the images drawn, the new head and the batches.
    """
    from dtnh import verbs

    verbs.demo(out, steps, seed)


def train(
    data: Path,
    arch: str = "resnet18",
    weights: str | None = None,
    penalty: Base = "l2sp",
    guard: bool = True,
    alpha: float | None = None,
    scope: Scope = "shared",
    layers: tuple[str, ...] = (),
    size: int = 224,
    per_class: int | None = None,
    validation: float = 0.2,
    steps: int = 1000,
    batch: int = 64,
    learning_rate: float = 0.01,
    schedule: Schedule = "step",
    optimizer: Literal["sgd", "adamw"] = "sgd",
    every: int = 1,
    seed: int = 0,
    device: str = "auto",
    out: Path = Path("dtnh-fit"),
    resume: bool = False,
) -> None:
    """Fine-tune a network on a folder of images with a guarded regulariser; log its conflicts, checkpoint, resume.

    Example: dtnh train --data flowers --arch resnet18 --weights resnet18.pth --penalty l2sp

    Args:
        data: Folder with train/CLASS/IMAGE.jpg, and test/ or val/ beside it where there is one.
        arch: small-cnn, cifar-resnet20 ..., or a classification network of torchvision.
        weights: File of the source's weights, or a name of torchvision's such as IMAGENET1K_V1, then downloaded.
        penalty: What pulls the network towards its source.
        guard: Guard the regulariser; --no-guard adds it plainly.
        alpha: Its weight; the published one when not given.
        scope: What is projected together.
        layers: Where featmap compares; the last convolution of each resolution when not given.
        size: Height and width of the network's input; images are loaded at 8/7 of it and cropped.
        per_class: Images of each class to use, validation included; all when not given.
        validation: Share of the training images that is held back and scored.
        steps: Steps.
        batch: Images a step.
        learning_rate: At the start.
        schedule: A tenth after two thirds, a tenth every 0.67 of the steps, or constant.
        optimizer: With adamw the rule holds in its metric, and the penalty is applied after its step.
        every: Steps from one exact rule to the next, one backward pass in between; a penalty in closed form (l2, l2sp)
            is exact at each.
        seed: Seed of everything.
        device: auto, cpu, cuda, cuda:N or mps.
        out: Folder of model.pt, summary.json, conflicts.csv, conflicts.png and checkpoint.pt.
        resume: Go on from the checkpoint in --out.
    """
    from claimkit.transfer.loop import FineTuning
    from dtnh import verbs

    settings = FineTuning(steps, batch, learning_rate, schedule=schedule, seed=seed, optimizer=optimizer)
    method = verbs.Method(penalty, guard, alpha, scope, layers, every)
    verbs.fit(data, arch, weights, method, size, per_class, validation, settings, device, out, resume)


def compare(
    data: Path | None = None,
    arch: str = "resnet18",
    weights: tuple[str, ...] = (),
    penalty: Base = "l2sp",
    alphas: tuple[float, ...] = (0.01, 0.1, 1.0),
    scope: Scope = "shared",
    layers: tuple[str, ...] = (),
    size: int = 224,
    per_class: int | None = None,
    validation: float = 0.2,
    steps: int | None = None,
    batch: int | None = None,
    learning_rate: float = 0.01,
    seeds: int = 3,
    device: str = "auto",
    out: Path = Path("dtnh-compare"),
) -> None:
    """Compare guard on, guard off and plain L2 over weights and sources, paired by seed; write a table and two pictures.

    Example: dtnh compare --data flowers --arch resnet18 --weights resnet18.pth --seeds 5

    Args:
        data: Folder of images as for train; digits 5-9 from three embedded sources when not given.
        arch: Network of the sources, with --data.
        weights: One file or name a source, with --data.
        penalty: What is guarded.
        alphas: Its weights.
        scope: What is projected together.
        layers: Where featmap compares.
        size: Height and width of the network's input.
        per_class: Images of each class to use, validation included.
        validation: Share of the training images that is held back and scored.
        steps: Steps; 120 for the digits, 1000 with --data.
        batch: Images a step; 32 for the digits, 64 with --data.
        learning_rate: At the start.
        seeds: Paired runs; at least two.
        device: auto, cpu, cuda, cuda:N or mps.
        out: Folder of compare.csv, compare.json, accuracy.png and conflicts.png; finished runs are kept and not run again.
    """
    from claimkit.transfer.loop import FineTuning
    from dtnh import verbs

    own = data is None
    default = (120, 32) if own else (1000, 64)
    settings = FineTuning(steps or default[0], batch or default[1], learning_rate, augment=not own)
    method = verbs.Method(penalty, True, None, scope, layers)
    verbs.compare(data, arch, weights, method, alphas, size, per_class, validation, settings, seeds, device, out)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    run(
        "dtnh",
        "A guard that keeps any regulariser from opposing the task's gradient.",
        {"demo": demo, "train": train, "compare": compare},
        CITATION,
        argv,
        {"fit": "train", "--regularizer": "--penalty"},
    )
