"""The command line; torch is imported inside the verbs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import tyro

from claimkit.cli import main as run

CITATION = """
@inproceedings{wu2020noisy,
  title     = {On the Noisy Gradient Descent that Generalizes as SGD},
  author    = {Wu, Jingfeng and Hu, Wenqing and Xiong, Haoyi and Huan, Jun and Braverman, Vladimir and Zhu, Zhanxing},
  booktitle = {International Conference on Machine Learning},
  year      = {2020},
  note      = {arXiv:1906.07405; version 1: The Multiplicative Noise in Stochastic Gradient Descent}
}
"""

NoiseName = Literal[
    "gd",
    "sgd",
    "sgd-replacement",
    "bernoulli",
    "gauss-fisher",
    "gauss-cov",
    "sparse-fisher",
    "sparse-cov",
    "batch-fisher",
    "batch-cov",
]
Dataset = Literal["digits", "mnist", "fashion-mnist", "cifar10", "svhn"]
Model = Literal["auto", "conv-small", "mlp", "vgg11", "resnet18"]
Split = Literal["standard", "paper"]


def demo(out: Path = Path("msgd-demo.png"), replicas: int = 16, steps: int = 5000, seed: int = 0) -> None:
    """Train a diagonal linear network without noise, with SGD and with every noise class; write one picture.

    Example: msgd demo --out msgd.png

    Args:
        out: The picture.
        replicas: Paired data sets.
        steps: Steps of each class.
        seed: Seed of data and noise.
    """
    from msgd import verbs

    verbs.demo(out, replicas, steps, seed)


def train(
    dataset: Dataset = "digits",
    noise_class: NoiseName = "sgd",
    batch: int | None = None,
    match: int | None = None,
    data: Path | None = None,
    split: Split = "standard",
    rows: int | None = None,
    arch: Model = "auto",
    steps: int = 2000,
    learning_rate: float = 0.05,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    decay_at: tuple[int, ...] = (),
    ghost: int | None = None,
    evaluate_every: int = 100,
    checkpoint_every: int = 500,
    seed: int = 0,
    noise_scale: int | None = None,
    device: str = "auto",
    out: Path = Path("msgd-run"),
    resume: bool = False,
) -> None:
    """Train a network with one noise class; log as CSV and JSON, checkpoint, resume.

    Example: msgd train --noise-class bernoulli --batch 1000 --match 50 --out run

    Args:
        dataset: digits come with the package; the others need --data.
        noise_class: Law of the weights.
        batch: Rows the class draws a step; 50 where it needs them and none is given; refused where it draws none.
        match: Set the noise level to that of SGD with this batch size.
        data: Folder of the data set's files, as torchvision reads them, gzipped or not.
        split: standard, or paper: the split of the authors' code.
        rows: Train on the first rows only.
        arch: auto chooses by image size.
        steps: Steps.
        learning_rate: Step size.
        momentum: In [0, 1).
        weight_decay: Weight decay, without noise.
        decay_at: Steps at which the learning rate falls to a tenth.
        ghost: Rows a forward pass.
        evaluate_every: Steps between rows of the log.
        checkpoint_every: Steps between checkpoints: the most that an interruption can lose.
        seed: Seed of the initialisation and, by another stream, of the noise.
        noise_scale: Measure the gradient noise scale every so many steps, into noise_scale.csv.
        device: auto, cpu, cuda, cuda:N or mps.
        out: Folder of log.csv, summary.json and checkpoint.pt.
        resume: Go on from the checkpoint in --out.
    """
    from msgd import verbs
    from msgd.train.training import Training

    settings = Training(
        steps, learning_rate, momentum, weight_decay, tuple(decay_at), ghost, evaluate_every, seed, noise_scale
    )
    verbs.train(dataset, noise_class, batch, match, data, split, rows, arch, settings, checkpoint_every, device, out, resume)


def compare(
    noise: tyro.conf.Positional[tuple[NoiseName, ...]] = ("gd", "sgd", "gauss-fisher", "gauss-cov", "bernoulli"),
    dataset: Dataset = "digits",
    batch: int = 10,
    drawn: int | None = None,
    data: Path | None = None,
    split: Split = "standard",
    rows: int | None = 200,
    arch: Model = "auto",
    steps: int = 1000,
    learning_rate: float = 0.15,
    seeds: int = 3,
    device: str = "auto",
    out: Path = Path("msgd-compare"),
) -> None:
    """Train with several noise classes at SGD's noise level, paired by seed; write a table and a picture.

    Example: msgd compare sgd bernoulli gauss-fisher --seeds 5

    Args:
        noise: Classes; gd and sgd are always among them, as the negative control and the reference.
        dataset: digits come with the package; the others need --data.
        batch: Batch size of the SGD that all are matched to.
        drawn: Rows drawn by the classes that draw some; 4 * batch when not given.
        data: Folder of the data set's files.
        split: standard, or paper: the split of the authors' code.
        rows: Train on the first rows only.
        arch: auto chooses by image size.
        steps: Steps.
        learning_rate: Step size.
        seeds: Paired runs of each class; at least two.
        device: auto, cpu, cuda, cuda:N or mps.
        out: Folder of compare.csv, compare.json and compare.png.
    """
    from msgd import verbs

    verbs.compare(noise, dataset, batch, drawn, data, split, rows, arch, steps, learning_rate, seeds, device, out)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    run(
        "msgd",
        "SGD's noise as a multiplicative weight vector: choose it, match it, inject it in large batches.",
        {"demo": demo, "train": train, "compare": compare},
        CITATION,
        argv,
        {"--noise": "--noise-class", "--model": "--arch", "--size": "--drawn"},
    )
