"""The plain fine-tuning loop: SGD or AdamW, a schedule, a regulariser, a checkpoint; the last iterate is what counts."""

import math
import warnings
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from claimkit import run
from claimkit.errors import InputError, one_of
from claimkit.files import atomic_path
from claimkit.training import parallel
from claimkit.transfer.data import Images, View, digest
from claimkit.transfer.networks import head_name, logits
from claimkit.transfer.regularizers import Regularizer, Step
from claimkit.transfer.tasks import Split

Schedule = Literal["step", "exponential", "constant"]
Rule = Literal["sgd", "adamw"]


class DivergedError(InputError):
    """The training loss is no longer finite."""


@dataclass(frozen=True)
class FineTuning:
    """How to fine-tune.

    Attributes:
        steps: Number of steps.
        batch: Images a step; never more than there are.
        learning_rate: At the start.
        momentum: Of SGD, in [0, 1).
        head_decay: beta in ``beta/2 ||w_head||^2``, the same for every method.
        schedule: ``step`` (a tenth after two thirds), ``exponential`` (a tenth every 0.67 of the steps) or ``constant``.
        augment: Random crops and mirror images, see :class:`~claimkit.transfer.data.View`.
        frozen: Train the head alone; everything else stays as it is and in eval mode, BatchNorm's statistics included.
        seed: Of batch order, augmentation and dropout.
        optimizer: ``sgd`` or ``adamw``, whose decay of the head is decoupled and whose moments are the usual ones.
        clip: Largest norm of the whole gradient, the regulariser's part included; any when None.
    """

    steps: int
    batch: int = 64
    learning_rate: float = 0.01
    momentum: float = 0.9
    head_decay: float = 0.01
    schedule: Schedule = "step"
    augment: bool = True
    frozen: bool = False
    seed: int = 0
    optimizer: Rule = "sgd"
    clip: float | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that cannot train."""
        if self.steps < 1 or self.batch < 1:
            raise InputError(f"steps = {self.steps}, batch = {self.batch}: expected at least one of each")
        if not (0 < self.learning_rate < math.inf and 0 <= self.momentum < 1 and 0 <= self.head_decay < math.inf):
            raise InputError(
                f"learning rate {self.learning_rate}, momentum {self.momentum}, head decay {self.head_decay}: "
                "expected a positive rate, a momentum in [0, 1) and a decay of zero or more"
            )
        one_of("schedule", self.schedule, get_args(Schedule))
        one_of("optimizer", self.optimizer, get_args(Rule))
        if self.clip is not None and not self.clip > 0:
            raise InputError(f"clip = {self.clip}: expected a positive norm")

    def rate(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        if self.schedule == "exponential":
            return self.learning_rate * 0.1 ** (step / (0.67 * self.steps))
        return self.learning_rate * (0.1 if self.schedule == "step" and step >= 2 * self.steps / 3 else 1.0)

    def rows(self, step: int, n: int) -> Tensor:
        """Training images of a step: parts of one shuffled epoch after another, a function of seed and step alone."""
        batch = min(self.batch, n)
        first = step * batch
        epochs = range(first // n, (first + batch - 1) // n + 1)
        order = torch.cat([torch.randperm(n, generator=self.generator(epoch, 1)) for epoch in epochs])
        return order[first % n :][:batch]

    def generator(self, counter: int, stream: int) -> Generator:
        """Randomness of its own for each step or epoch, so that a run can go on anywhere."""
        return Generator().manual_seed((self.seed * 2 + stream) * 2**31 + counter)


@dataclass(frozen=True)
class Score:
    """Mean cross-entropy and accuracy (in [0, 1]) over a set; NaN over an empty one."""

    loss: float
    accuracy: float


@dataclass(frozen=True)
class Result:
    """Scores of the last iterate, and the task loss of every step."""

    train: Score
    validation: Score
    test: Score
    losses: tuple[float, ...]


class FineTuner:
    """A run that can be saved and taken up again after any step; trains ``model`` in place."""

    def __init__(
        self,
        model: nn.Module,
        split: Split,
        view: View,
        settings: FineTuning,
        regularizer: Regularizer | None = None,
        device: str = "cpu",
        head: str | None = None,
    ) -> None:
        device = parallel.join(device)
        move: Any = model.to
        self.model: nn.Module = move(device, memory_format=torch.channels_last)
        self.split, self.view, self.settings, self.device = split, view, settings, device
        self.regularizer = Regularizer() if regularizer is None else regularizer
        self.head = head or head_name(model)
        if settings.frozen:
            model.requires_grad_(False).get_submodule(self.head).requires_grad_(True)
        self.parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
        new = [n for n in self.parameters if n.startswith(f"{self.head}.")]
        groups = [
            {"params": [self.parameters[n] for n in new], "weight_decay": settings.head_decay},
            {"params": [p for n, p in self.parameters.items() if n not in new]},
        ]
        if settings.optimizer == "adamw":
            self.optimizer: torch.optim.Optimizer = torch.optim.AdamW(groups, settings.learning_rate, weight_decay=0.0)
        else:
            self.optimizer = torch.optim.SGD(groups, settings.learning_rate, settings.momentum, foreach=True)
        self.forward = parallel.wrap(self.model)
        self.step = 0
        self.losses: list[float] = []

    def advance(self) -> None:
        """One step.

        Raises:
            DivergedError: The loss is not finite.
        """
        s = self.settings
        rows = s.rows(self.step, len(self.split.train))
        images = self.split.train.take(rows)
        x, y = images.x.to(self.device), images.y.to(self.device)
        x = self.view.train(x, s.generator(self.step, 0)) if s.augment else self.view.test(x)
        x, y, rows = (parallel.share(t) for t in (x, y, rows))  # after the augmentation, which is then the same for all
        x = x.contiguous(memory_format=torch.channels_last)
        self.model.train(not s.frozen)
        for group in self.optimizer.param_groups:
            group["lr"] = s.rate(self.step)
        self.optimizer.zero_grad()
        with torch.random.fork_rng([x.device] if x.is_cuda else []):  # dropout is the same for every method, too
            torch.manual_seed(s.seed + self.step)
            loss = cross_entropy(logits(self.forward, x), y)
            known = None if s.augment else rows
            self.regularizer.backward(Step(self.model, self.parameters, self.head, loss, x, y, known, self.optimizer))
        if s.clip is not None:
            nn.utils.clip_grad_norm_(self.parameters.values(), s.clip)
        self.optimizer.step()
        value = parallel.mean(loss).item()
        if not math.isfinite(value):
            raise DivergedError(
                f"the loss is {value} at step {self.step}: lower the learning rate or the regulariser's weight"
            )
        self.step += 1
        self.losses.append(value)

    def result(self) -> Result:
        """Score the network as it stands.

        Raises:
            DivergedError: The last step left weights that give no finite loss.
        """
        s = self.split
        scores = [score(self.model, part, self.view, self.device) for part in (s.train, s.validation, s.test)]
        if not math.isfinite(scores[0].loss):
            raise DivergedError(f"the loss is {scores[0].loss} after the last step: lower the learning rate")
        return Result(scores[0], scores[1], scores[2], tuple(self.losses))

    def save(self, path: Path) -> None:
        """Write a checkpoint, atomically; one of several processes does."""
        if not parallel.leads():
            return
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "losses": self.losses,
            "run": self._identity(),
            "source": self._source,
        }
        with atomic_path(path) as temporary:
            torch.save(state, temporary)

    def load(self, path: Path) -> None:
        """Take up a checkpoint.

        Raises:
            InputError: Not a checkpoint, or one of other settings, data, network or source network.
        """
        try:
            state: dict[str, Any] = torch.load(path, map_location=self.device, weights_only=True)
            same = state["run"] == self._identity()
        except Exception as e:  # whatever a file that is no checkpoint makes of torch.load
            raise InputError(f"{path} is not a checkpoint of a fine-tuning run: give another, or remove it") from e
        if not same:
            raise InputError(f"{path} is of a run with other settings or images: use them again, or remove the file")
        kept = state.get("source")
        if kept is None and self._source:
            warnings.warn(f"{path} does not say with which source network it was made: make sure of it", stacklevel=2)
        elif kept not in (None, self._source):
            raise InputError(f"{path} was made with another source network: give the same weights, or remove the file")
        try:
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError) as e:
            raise InputError(f"{path} is of another network: give the same, or remove the file") from e
        self.step, self.losses = state["step"], state["losses"]

    @cached_property
    def _source(self) -> str:
        return self.regularizer.source_digest()

    def _identity(self) -> str:
        train = self.split.train
        images = f"{train.classes}, {digest(train.x, train.y)}"
        return f"{self.regularizer}, {asdict(self.settings)}, {self.view}, {len(train)} images, {images}"


def finetune(
    model: nn.Module,
    split: Split,
    view: View,
    settings: FineTuning,
    regularizer: Regularizer | None = None,
    device: str = "cpu",
    checkpoint: Path | None = None,
    every: int = 100,
    head: str | None = None,
) -> Result:
    """Fine-tune ``model`` in place and score its last iterate.

    Args:
        model: The network with its new head.
        split: Training, validation and test images.
        view: How pixels become inputs.
        settings: How to fine-tune.
        regularizer: What enters each step; nothing when None.
        device: Where.
        checkpoint: File to go on from where it exists, written every ``every`` steps, at the end and on interruption.
        every: Steps between checkpoints.
        head: Name of the classifier; found when None.
    """
    tuner = FineTuner(model, split, view, settings, regularizer, device, head)
    if checkpoint is not None and checkpoint.exists():
        tuner.load(checkpoint)
    try:
        with tuner.regularizer.watch(model):
            for _ in run.progress(range(tuner.step, settings.steps), "fine-tuning", unit="step"):
                tuner.advance()
                if checkpoint is not None and tuner.step % every == 0:
                    tuner.save(checkpoint)
    except KeyboardInterrupt:
        if checkpoint is not None:
            tuner.save(checkpoint)
        raise
    if checkpoint is not None:
        tuner.save(checkpoint)
    return tuner.result()


@torch.no_grad()
def score(model: nn.Module, images: Images, view: View, device: str = "cpu", rows: int = 256) -> Score:
    """Loss and accuracy over a set, in eval mode."""
    if not len(images):
        return Score(math.nan, math.nan)
    was = model.training
    model.eval()
    loss = correct = 0.0
    for part in torch.arange(len(images)).split(rows):
        x = view.test(images.x[part].to(device)).contiguous(memory_format=torch.channels_last)
        y = images.y[part].to(device)
        said = logits(model, x)
        loss += cross_entropy(said, y, reduction="sum").item()
        correct += (said.argmax(1) == y).sum().item()
    model.train(was)
    return Score(loss / len(images), correct / len(images))
