"""Training with a noise class: the loop behind ``msgd train``, ``msgd compare`` and the FashionMNIST claim."""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from claimkit.errors import InputError
from claimkit.files import atomic_path
from claimkit.training import parallel
from msgd.loop.loss import stream, weighted_loss
from msgd.loop.noise_scale import NoiseScale
from msgd.noise import Noise
from msgd.train.data import ImageData


@dataclass(frozen=True)
class Training:
    """How to train; SGD from torch.optim, its weight decay without noise.

    Attributes:
        steps: Number of steps.
        learning_rate: Step size eta.
        momentum: In [0, 1).
        weight_decay: Applied by the optimiser.
        decay_at: Steps at which the learning rate is multiplied by 0.1.
        ghost: Rows a forward pass; gradients of the parts are added, and BatchNorm sees one part at a time. None: all.
        evaluate_every: Steps between rows of the log.
        seed: Of the weights of the noise.
        noise_scale: Steps from one measurement of the gradient noise scale to the next; None: it is not measured.
    """

    steps: int
    learning_rate: float = 0.01
    momentum: float = 0.0
    weight_decay: float = 0.0
    decay_at: tuple[int, ...] = ()
    ghost: int | None = None
    evaluate_every: int = 100
    seed: int = 0
    noise_scale: int | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that cannot train."""
        if self.steps < 1 or self.evaluate_every < 1 or (self.ghost is not None and self.ghost < 1):
            raise InputError(
                f"steps = {self.steps}, evaluate_every = {self.evaluate_every}, ghost = {self.ghost}: expected at least one"
            )
        if late := [s for s in self.decay_at if not 0 < s < self.steps]:
            raise InputError(
                f"decay_at = {late[0]} is not within the {self.steps} steps: the learning rate would never fall there"
            )
        if self.noise_scale is not None and (self.noise_scale < 1 or self.ghost is not None):
            raise InputError(
                f"noise_scale = {self.noise_scale}, ghost = {self.ghost}: expected at least one step, and whole batches"
            )
        if not (0 < self.learning_rate < math.inf and 0 <= self.momentum < 1 and 0 <= self.weight_decay < math.inf):
            raise InputError(
                f"learning rate {self.learning_rate}, momentum {self.momentum}, weight decay {self.weight_decay}: "
                "expected a positive rate, a momentum in [0, 1) and a decay of zero or more"
            )


@dataclass(frozen=True)
class LogRow:
    """One evaluation, over all training and all test images."""

    step: int
    train_loss: float
    train_accuracy: float
    test_loss: float
    test_accuracy: float


class Trainer:
    """A training run that can be saved and taken up again at any step; ``run`` yields a row at each evaluation."""

    def __init__(self, model: nn.Module, data: ImageData, noise: Noise, training: Training) -> None:
        if noise.n != len(data.train_x):
            raise InputError(f"the noise is for n = {noise.n} samples, the training set has {len(data.train_x)}")
        self.model, self.data, self.noise, self.training = model, data, noise, training
        self.device = data.train_x.device
        self.generator = Generator(self.device).manual_seed(stream("training", training.seed))
        self.optimizer = torch.optim.SGD(
            model.parameters(), training.learning_rate, training.momentum, weight_decay=training.weight_decay
        )
        self.scheduler = torch.optim.lr_scheduler.MultiStepLR(self.optimizer, list(training.decay_at), 0.1)
        every = training.noise_scale
        self.meter = None if every is None else NoiseScale(model.parameters(), every=every, n=max(noise.n, 2))
        self.step = 0
        self.log: list[LogRow] = []

    def run(self) -> Iterator[LogRow | None]:
        """Train to the last step; yields after every step, with a row where the log got one.

        Raises:
            InputError: The loss is no longer finite.
        """
        if not self.log:
            self.log.append(self.evaluate())
        while self.step < self.training.steps:
            self.advance()
            row = None
            if self.step % self.training.evaluate_every == 0 or self.step == self.training.steps:
                row = self.evaluate()
                self.log.append(row)
                if not math.isfinite(row.train_loss):
                    raise InputError(f"the training loss is {row.train_loss} at step {self.step}: lower the learning rate")
            yield row

    def advance(self) -> None:
        """One step of M-SGD: draw weights, touch only the rows that have one, step the optimiser."""
        self.model.train()
        self.optimizer.zero_grad(set_to_none=False)
        w = self.noise.sample(self.generator)
        whole = w.take(self.data.train_x), w.take(self.data.train_y), w.weight
        x, y, weight = (parallel.share(t, even=False) for t in whole)
        part = self.training.ghost or max(len(x), 1)
        for start in range(0, len(x), part):
            rows = slice(start, start + part)
            losses = cross_entropy(self.model(x[rows]), y[rows], reduction="none")
            if self.meter is not None:
                self.meter.probe(losses)
            parallel.summed(weighted_loss(losses, weight[rows])).backward()
        parallel.average_gradients(self.model.parameters())
        if self.meter is not None and len(x) > 1:
            self.meter.step(len(whole[0]), self.noise.fisher, self.noise.centred)
        self.optimizer.step()
        self.scheduler.step()
        self.step += 1

    @torch.no_grad()
    def evaluate(self) -> LogRow:
        """Loss and accuracy on both parts, in eval mode."""
        self.model.eval()
        scores = [_scores(self.model, x, y) for x, y in self._parts()]
        return LogRow(self.step, *scores[0], *scores[1])

    def save(self, path: Path) -> None:
        """Write a checkpoint, atomically; one of several processes does."""
        if not parallel.leads():
            return
        with atomic_path(path) as temporary:
            torch.save(
                {
                    "model": self.model.state_dict(),
                    "optimizer": self.optimizer.state_dict(),
                    "scheduler": self.scheduler.state_dict(),
                    "generator": self.generator.get_state(),
                    "meter": None if self.meter is None else self.meter.state_dict(),
                    "step": self.step,
                    "log": [vars(r) for r in self.log],
                    "identity": self._identity(),
                },
                temporary,
            )

    def load(self, path: Path) -> None:
        """Take up a checkpoint of the same run.

        Raises:
            InputError: Not a checkpoint, or of a run with other settings.
        """
        try:
            state: dict[str, Any] = torch.load(path, map_location=self.device, weights_only=True)
            identity = state["identity"]
        except (OSError, RuntimeError, KeyError, ValueError, EOFError, TypeError, AttributeError) as e:
            raise InputError(f"{path} is not a checkpoint of msgd: give the one that msgd train wrote") from e
        except Exception as e:  # an unpickling error of any kind
            if type(e).__name__ != "UnpicklingError":
                raise
            raise InputError(f"{path} is not a checkpoint of msgd: give the one that msgd train wrote") from e
        if identity != self._identity():
            raise InputError(f"{path} is of another run ({identity}): resume with the settings it was started with")
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        self.generator.set_state(state["generator"].cpu())
        if self.meter is not None and state["meter"] is not None:
            self.meter.load_state_dict(state["meter"])
        self.step = state["step"]
        self.log = [LogRow(**r) for r in state["log"]]

    def _identity(self) -> str:
        """What must agree for a run to go on: everything but the number of steps and what is logged."""
        settings = {k: v for k, v in vars(self.training).items() if k not in ("steps", "evaluate_every", "noise_scale")}
        return f"{self.data.name}, {self.noise}, {settings}, {self._contents}"

    @cached_property
    def _contents(self) -> str:
        """Digests of all images and classes, whatever file and split they come from, and of the model's layers."""
        digest = hashlib.sha256()
        for t in (self.data.train_x, self.data.train_y, self.data.test_x, self.data.test_y):
            digest.update(t.cpu().contiguous().numpy().data)
        layers = hashlib.sha256(repr(self.model).encode()).hexdigest()
        return f"data {digest.hexdigest()[:12]}, model {layers[:12]}"

    def _parts(self) -> Iterator[tuple[Tensor, Tensor]]:
        yield self.data.train_x, self.data.train_y
        yield self.data.test_x, self.data.test_y


def _scores(model: nn.Module, x: Tensor, y: Tensor, rows: int = 2_000) -> tuple[float, float]:
    loss = correct = 0.0
    for start in range(0, len(x), rows):
        part = slice(start, start + rows)
        logits = model(x[part])
        loss += float(cross_entropy(logits, y[part], reduction="sum"))
        correct += float((logits.argmax(1) == y[part]).sum())
    return loss / len(x), correct / len(x)
