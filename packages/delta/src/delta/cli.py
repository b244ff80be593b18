"""The command line; torch is imported inside the verbs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro

from claimkit.cli import main as run

CITATION = """
@inproceedings{li2019delta,
  title     = {{DELTA}: {DEep} Learning Transfer using Feature Map with Attention for Convolutional Networks},
  author    = {Li, Xingjian and Xiong, Haoyi and Wang, Hanchao and Rao, Yuxuan and Liu, Liping and Huan, Jun},
  booktitle = {International Conference on Learning Representations},
  year      = {2019},
  note      = {arXiv:1901.09229}
}
"""

MethodName = Literal["scratch", "frozen", "l2", "l2sp", "fm", "delta"]
Colours = tuple[float, float, float]
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def demo(out: Path = Path("delta-demo.png"), steps: int = 300, seed: int = 0) -> None:
    """Show which channels matter: feature maps that attention keeps and that it ignores, on real photographs.

    A small network learns to tell crops of six photographs apart; attention is fitted to three others.

    Example: delta demo --out delta.png

    Args:
        out: The picture.
        steps: Steps of training the network.
        seed: Seed of everything.
    """
    from delta import verbs

    verbs.demo(out, steps, seed)


def attention(
    data: Path,
    arch: str,
    weights: str,
    layers: tuple[str, ...] = (),
    size: int = 224,
    mean: Colours = IMAGENET_MEAN,
    std: Colours = IMAGENET_STD,
    epochs: int = 10,
    batches: int = 4,
    skip_unreadable: bool = False,
    seed: int = 0,
    device: str = "auto",
    out: Path = Path("attention.json"),
) -> None:
    """Fit attention: how much the target loss rises when a filter of the source network is removed.

    Example: delta attention --data flowers --arch resnet18 --weights resnet18.pth

    Args:
        data: Folder of images, one folder a class, alone or below train/ beside val/ or test/.
        arch: Network: a name of torchvision's, or cifar-resnet20 and the like.
        weights: File of weights, or torchvision's name of them, which is then downloaded.
        layers: Layers to weigh; the last convolution of each resolution when not given.
        size: Height and width of the input, in pixels.
        mean: What the network expects subtracted from each colour, in [0, 1].
        std: What it expects each colour divided by.
        epochs: Epochs of training a head on the frozen network.
        batches: Batches of 32 images over which filters are removed.
        skip_unreadable: Leave files out that cannot be read, instead of refusing the folder.
        seed: Seed of head, order and augmentation.
        device: auto, cpu, cuda, cuda:N or mps.
        out: JSON of the released layout, a list of numbers a layer.
    """
    from delta import verbs

    view = verbs.view(size, mean, std)
    verbs.attention(data, arch, weights, layers, view, epochs, batches, skip_unreadable, seed, device, out)


def train(
    data: Path,
    arch: str,
    weights: str | None = None,
    penalty: MethodName = "delta",
    alpha: float | None = None,
    layers: tuple[str, ...] = (),
    attention: Path | None = None,
    size: int = 224,
    mean: Colours = IMAGENET_MEAN,
    std: Colours = IMAGENET_STD,
    steps: int = 6000,
    batch: int = 64,
    learning_rate: float = 0.01,
    head_decay: float = 0.01,
    schedule: Literal["step", "exponential", "constant"] = "exponential",
    augment: bool = True,
    cache_mib: int = 2048,
    skip_unreadable: bool = False,
    seed: int = 0,
    device: str = "auto",
    out: Path = Path("delta-run"),
    resume: bool = False,
) -> None:
    """Fine-tune a pretrained network on a folder of images; write the network, its scores and a checkpoint.

    Example: delta train --data flowers --arch resnet18 --weights resnet18.pth --penalty delta

    Args:
        data: Folder of images, one folder a class, alone or below train/ beside val/ or test/.
        arch: Network: a name of torchvision's, or cifar-resnet20 and the like.
        weights: File of weights, or torchvision's name of them, which is then downloaded; only --penalty scratch needs none.
        penalty: How: delta, fm (without attention), l2sp, l2, frozen (head alone) or scratch (all weights new).
        alpha: Weight of the regulariser; the published one when not given.
        layers: Layers whose outputs are kept; the last convolution of each resolution when not given.
        attention: JSON of delta attention; fitted first when not given.
        size: Height and width of the input, in pixels; images are loaded an eighth larger and cropped.
        mean: What the network expects subtracted from each colour, in [0, 1].
        std: What it expects each colour divided by.
        steps: Steps; the released script runs 6000.
        batch: Images a step.
        learning_rate: Of SGD with momentum 0.9.
        head_decay: Weight decay of the new head.
        schedule: exponential as in the released script, step, or constant.
        augment: Random crops and mirror images; without, the source's features are cached.
        cache_mib: Memory that the cache may take.
        skip_unreadable: Leave files out that cannot be read, instead of refusing the folder.
        seed: Seed of split, head, order and augmentation.
        device: auto, cpu, cuda, cuda:N or mps.
        out: Folder of model.pt, summary.json, losses.csv, attention.json and checkpoint.pt.
        resume: Go on from the checkpoint in --out.
    """
    from claimkit.transfer.loop import FineTuning
    from delta import verbs

    settings = FineTuning(steps, batch, learning_rate, head_decay=head_decay, schedule=schedule, augment=augment, seed=seed)
    view = verbs.view(size, mean, std)
    verbs.finetune(
        data,
        arch,
        weights,
        penalty,
        alpha,
        layers,
        attention,
        view,
        settings,
        cache_mib,
        skip_unreadable,
        device,
        out,
        resume,
    )


def compare(
    data: Path,
    arch: str,
    weights: str,
    methods: Annotated[tuple[MethodName, ...], tyro.conf.Positional] = ("scratch", "frozen", "l2", "l2sp", "fm", "delta"),
    per_class: int | None = None,
    layers: tuple[str, ...] = (),
    size: int = 224,
    mean: Colours = IMAGENET_MEAN,
    std: Colours = IMAGENET_STD,
    steps: int = 300,
    batch: int = 32,
    learning_rate: float = 0.01,
    seeds: int = 3,
    skip_unreadable: bool = False,
    device: str = "auto",
    out: Path = Path("delta-compare"),
) -> None:
    """Compare methods in pairs, each at every weight of its published grid, chosen on validation images.

    Example: delta compare l2 delta --data flowers --arch resnet18 --weights resnet18.pth --seeds 5

    Args:
        data: Folder of images, one folder a class, alone or below train/ beside val/ or test/.
        arch: Network: a name of torchvision's, or cifar-resnet20 and the like.
        weights: File of weights, or torchvision's name of them, which is then downloaded.
        methods: Which.
        per_class: Images of each class that a seed draws, a fifth of them for validation; all when not given.
        layers: Layers whose outputs are kept; the last convolution of each resolution when not given.
        size: Height and width of the input, in pixels.
        mean: What the network expects subtracted from each colour, in [0, 1].
        std: What it expects each colour divided by.
        steps: Steps of each run.
        batch: Images a step.
        learning_rate: Of SGD with momentum 0.9.
        seeds: Paired runs; at least two.
        skip_unreadable: Leave files out that cannot be read, instead of refusing the folder.
        device: auto, cpu, cuda, cuda:N or mps.
        out: Folder of compare.json and compare.png, and of finished runs, which are not run twice.
    """
    from claimkit.transfer.loop import FineTuning
    from delta import verbs

    settings = FineTuning(steps, batch, learning_rate)
    view = verbs.view(size, mean, std)
    verbs.compare(
        data, arch, weights, methods, per_class, layers, view, settings, seeds, skip_unreadable, device, out
    )  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    run(
        "delta",
        "Fine-tuning that keeps what the source network sees: feature maps with channel attention.",
        {"demo": demo, "attention": attention, "train": train, "compare": compare},
        CITATION,
        argv,
        {"finetune": "train", "--reg": "--penalty"},
    )
