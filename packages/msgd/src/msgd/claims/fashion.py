"""M7: the paper's FashionMNIST experiment, 1,000 training images and a small convolutional network."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from claimkit.claims import Claim, Values, Verdict
from claimkit.experiment import Experiment, Job, Settings
from msgd import plots
from msgd.claims.bias import judge_against_gap
from msgd.noise import make
from msgd.train.data import load
from msgd.train.models import make_model
from msgd.train.training import Trainer, Training


@dataclass(frozen=True)
class Fashion(Settings):
    """The protocol of the authors' code: swapped split, pixels in [0, 255], learning rate 0.01, no momentum, no decay."""

    classes: tuple[str, ...] = ("gd", "sgd", "bernoulli", "gauss-fisher")
    steps: int = 10_000
    batch: int = 50
    size: int = 100
    learning_rate: float = 0.01
    rows: int = 1_000
    part: int = 250
    """Rows a forward pass: gradients are added, so that this changes the time and nothing else."""


def train(s: Fashion, job: Job) -> Values:
    """Train every class from the same initialisation; the test set is all 60,000 official training images."""
    folder = job.assets.find("fashion_mnist")
    data = load("fashion-mnist", folder, "paper", s.rows).to(job.device)
    settings = Training(s.steps, s.learning_rate, ghost=s.part, evaluate_every=max(s.steps // 10, 1), seed=job.seed)
    accuracy: dict[str, float] = {}
    loss: dict[str, float] = {}
    curves: dict[str, list[list[float]]] = {}
    for name in s.classes:
        model = make_model("conv-small", (1, 28, 28), 10, job.seed).to(job.device).to(memory_format=torch.channels_last)
        rows = s.size if name.startswith(("sparse", "batch")) else s.batch
        trainer = Trainer(model, data, make(name, s.rows, rows, s.batch), settings)
        for _ in trainer.run():
            pass
        accuracy[name], loss[name] = trainer.log[-1].test_accuracy, trainer.log[-1].train_loss
        curves[name] = [[r.step, r.test_accuracy] for r in trainer.log]
    return {"test_accuracy": accuracy, "train_loss": loss, "curves": curves}


def _accuracies(values: Sequence[Values]) -> dict[str, np.ndarray]:
    """Test accuracy in percent by class, one entry a seed."""
    names: Sequence[str] = list(values[0]["test_accuracy"])
    return {k: 100 * np.array([v["test_accuracy"][k] for v in values]) for k in names}


def judge(values: Sequence[Values]) -> Verdict:
    """As M4, on test accuracies."""
    if len(values) < 2:
        return Verdict("not run", "One seed shows the wiring only: a gap needs at least two.")
    return judge_against_gap(_accuracies(values), 1, "points of test accuracy")


def draw(values: Sequence[Values], path: Path) -> None:
    """Test accuracy by class."""
    a = _accuracies(values)
    gd = a["gd"]
    plots.differences(
        {k: list(v - gd) for k, v in a.items() if k != "gd"},
        path,
        "test accuracy minus that of GD (points, paired, ± 2 s.e.)",
        f"FashionMNIST, 1,000 images, {len(values)} seeds",
    )


EXPERIMENTS = [
    Experiment(
        Claim(
            id="M7",
            title="FashionMNIST with 1,000 images",
            paper="1906.07405",
            where="figures on FashionMNIST; protocol from the authors' code",
            statement="On a small convolutional network GD generalises worse than SGD, and GD with noise of any "
            "class as SGD.",
            criterion="Mean test accuracy of SGD above that of GD by at least 4 standard errors (paired; otherwise: "
            "no gap at this scale), and every class within 25 % of that gap of SGD.",
            tolerance="As for M4.",
        ),
        {
            "full": Fashion(seeds=3),
            "paper": Fashion(seeds=8, classes=(*Fashion.classes, "gauss-cov", "sparse-fisher", "sparse-cov")),
        },
        train,
        judge,
        draw,
    )
]
