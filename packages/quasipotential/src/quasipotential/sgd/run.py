"""Mini-batch SGD itself, in replicas: where it stays, and when it leaves."""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from claimkit.errors import InputError

Gradient = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""``(theta (R, d), index (R, b))`` to the gradients of the drawn samples ``(R, b, d)``, or to their mean ``(R, d)``."""


class Replicas:
    """SGD in R replicas: ``v = momentum v + g``, ``theta = theta - step v``, as ``torch.optim.SGD`` has it.

    Attributes:
        theta: parameters ``(R, d)``.
    """

    def __init__(
        self, gradient: Gradient, samples: int, start, *, step: float, batch: int, momentum: float, epochs: bool, seed: int
    ):
        self.theta = np.array(start, float)
        if self.theta.ndim != 2 or not 1 <= batch <= (samples if epochs else batch) or not 0 <= momentum < 1 or not step > 0:
            raise InputError(
                f"SGD needs starts (R, d), step > 0, a batch from 1 (in epochs to {samples}) and momentum in [0, 1); it got "
                f"{self.theta.shape}, {step}, {batch} and {momentum}."
            )
        self._gradient, self._samples, self._batch = gradient, samples, batch
        self._step, self._momentum, self._epochs = step, momentum, epochs
        self._velocity, self._rng = 0.0, np.random.default_rng(seed)
        self._order, self._used = np.empty((len(self.theta), 0), np.int64), 0

    def _draw(self):
        if not self._epochs:
            return self._rng.integers(0, self._samples, (len(self.theta), self._batch))
        if self._used + self._batch > self._order.shape[1]:
            self._order, self._used = self._rng.permuted(np.tile(np.arange(self._samples), (len(self.theta), 1)), axis=1), 0
        self._used += self._batch
        return self._order[:, self._used - self._batch : self._used]

    def advance(self) -> None:
        """One step of every replica."""
        g = self._gradient(self.theta, self._draw())
        g = g.mean(1) if g.ndim == 3 else g
        if self._momentum:
            g = self._velocity = self._momentum * self._velocity + g
        self.theta = self.theta - self._step * g

    def keep(self, which: np.ndarray) -> None:
        """Go on with some of the replicas ``(R,)`` only."""
        self.theta, self._order = self.theta[which], self._order[which]
        if self._momentum:
            self._velocity = np.broadcast_to(self._velocity, (len(which), self.theta.shape[1]))[which]


def run_sgd(
    gradient: Gradient,
    samples: int,
    start: np.ndarray,
    *,
    step: float,
    batch: int,
    steps: int,
    seed: int = 0,
    label: Callable[[np.ndarray], np.ndarray] | None = None,
    burn: int = 0,
    every: int = 10,
    momentum: float = 0.0,
    epochs: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Replicas of mini-batch SGD, the algorithm itself and no differential equation.

    Args:
        gradient: ``(theta (R, d), index (R, b)) -> (R, b, d)``, the gradients of the drawn samples, or ``(R, d)``, their
            mean; see ``torch_batches`` for torch models.
        samples: how many there are.
        start: ``(R, d)``.
        step: eta.
        batch: b.
        steps: how many.
        seed: any integer.
        label: function of parameters returning integers from 0; None for no occupancy.
        burn: steps before the first look.
        every: steps between two looks.
        momentum: heavy ball, from 0 to below 1; ``closed_forms.discrete_covariance`` has its covariance on a quadratic.
        epochs: draw without replacement, each replica in an order of its own; a short last batch is left out.

    Returns:
        The last parameters ``(R, d)`` and each replica's share of looks in each label ``(R, labels)`` (empty without
        a label).
    """
    replicas = Replicas(gradient, samples, start, step=step, batch=batch, momentum=momentum, epochs=epochs, seed=seed)
    count = len(replicas.theta)
    counts = np.zeros((count, 0))
    for k in range(1, steps + 1):
        with np.errstate(over="ignore", invalid="ignore"):
            replicas.advance()
        if label is not None and k > burn and k % every == 0:
            which = np.asarray(label(replicas.theta))
            if which.min() < 0:
                raise InputError("The label's function must return integers from 0.")
            wider = int(which.max()) + 1 - counts.shape[1]
            if wider > 0:
                counts = np.pad(counts, ((0, 0), (0, wider)))
            counts[np.arange(count), which] += 1
    lost = int((~np.isfinite(replicas.theta).all(1)).sum())
    if lost:
        warnings.warn(
            f"{lost} of {count} replicas of SGD diverged: a step of {step:g} is too long there.",
            RuntimeWarning,
            stacklevel=2,
        )
    return replicas.theta, counts / np.maximum(counts.sum(1, keepdims=True), 1)


@dataclass(frozen=True)
class SgdExits:
    """When replicas of SGD left a region, in steps.

    Attributes:
        steps: ``(R,)``; of those that had not left by the last step, that step.
        left: whether a replica left ``(R,)``.
    """

    steps: np.ndarray
    left: np.ndarray

    @property
    def mean(self) -> float:
        """Mean number of steps: where some had not left, steps of all over number of exits, as for exponential times.

        Infinite where none left: the steps say no more than that the mean is larger.
        """
        return float(self.steps.sum() / self.left.sum()) if self.left.any() else math.inf

    @property
    def standard_error(self) -> float:
        """Of the mean, as for exponential times: mean over the square root of the number of exits; infinite without one."""
        return self.mean / math.sqrt(self.left.sum()) if self.left.any() else math.inf


def sgd_exits(
    gradient: Gradient,
    samples: int,
    start: np.ndarray,
    region: Callable[[np.ndarray], np.ndarray],
    *,
    step: float,
    batch: int,
    most: int,
    seed: int = 0,
    momentum: float = 0.0,
    epochs: bool = False,
) -> SgdExits:
    """First steps at which replicas of SGD are outside of a region: a basin, or a loss above a threshold.

    Args:
        gradient: as for ``run_sgd``.
        samples: as for ``run_sgd``.
        start: ``(R, d)``, inside.
        region: function of parameters ``(R, d)``, negative inside; looked at after every step.
        step: as for ``run_sgd``.
        batch: as for ``run_sgd``.
        most: steps after which those still inside are stopped.
        seed: as for ``run_sgd``.
        momentum: as for ``run_sgd``.
        epochs: as for ``run_sgd``.

    Raises:
        InputError: for a start outside.
    """
    replicas = Replicas(gradient, samples, start, step=step, batch=batch, momentum=momentum, epochs=epochs, seed=seed)
    if not (np.asarray(region(replicas.theta)) < 0).all():
        raise InputError("A start lies outside of the region; its function must be negative there.")
    steps, left = np.full(len(replicas.theta), most), np.zeros(len(replicas.theta), bool)
    number = np.arange(len(replicas.theta))
    for k in range(1, most + 1):
        replicas.advance()
        inside = np.asarray(region(replicas.theta)) < 0  # a replica that diverged to NaN is outside
        if not inside.all():
            steps[number[~inside]], left[number[~inside]] = k, True
            number = number[inside]
            if not len(number):
                break
            replicas.keep(inside)
    return SgdExits(steps, left)
