"""Fine-tune a source network with a guarded regulariser, in one call."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from torch import nn

from claimkit.errors import InputError
from claimkit.transfer.data import Images, View
from claimkit.transfer.loop import FineTuning, Result, finetune
from claimkit.transfer.regularizers import L2, L2SP, Regularizer
from claimkit.transfer.tasks import Task
from dtnh.finetune.guarded import Guarded, RandomDirection, Symmetric
from dtnh.guard.conflicts import Conflicts
from dtnh.guard.scopes import Scope
from dtnh.penalties.distillation import FeatureMaps, LogitDistillation

Base = Literal["l2", "l2sp", "featmap", "logits"]
How = Literal["plain", "guard", "symmetric", "random"]
ALPHAS: dict[str, float] = {"l2": 1e-4, "l2sp": 0.1, "featmap": 0.01, "logits": 1.0}
"""Published weights: weight decay 1e-4, L2-SP 0.1, feature maps 0.01 in DELTA's released code; logits: our choice."""


@dataclass(frozen=True)
class Fit:
    """What :func:`fit` gives: the network, the scores of its last iterate, and the conflicts (none without guard)."""

    model: nn.Module
    result: Result
    conflicts: Conflicts


def regularizer(
    base: str | Regularizer,
    source: nn.Module,
    alpha: float | None = None,
    how: str = "guard",
    scope: Scope = "shared",
    layers: Sequence[str] | None = None,
    seed: int = 0,
    every: int = 1,
) -> Regularizer:
    """A regulariser by name (see ``Base``), and how its gradient meets the loss's (see ``How``); ``every`` as of a Guard.

    Raises:
        InputError: No such name.
    """
    if not isinstance(base, Regularizer):
        if base not in ALPHAS:
            raise InputError(f"regulariser {base!r} is none of {', '.join(ALPHAS)}")
        strength = ALPHAS[base] if alpha is None else alpha
        if base == "featmap":
            base = FeatureMaps(source, layers, strength)
        elif base == "logits":
            base = LogitDistillation(source, strength)
        else:
            base = L2(strength) if base == "l2" else L2SP(source, strength)
    if how == "plain":
        return base
    if how == "guard":
        return Guarded(base, scope, every)
    if how in get_args(How):
        return Symmetric(base) if how == "symmetric" else RandomDirection(base, seed)
    raise InputError(f"how = {how!r} is none of {', '.join(get_args(How))}")


def fine_tune(
    task: Task, method: Regularizer, settings: FineTuning, device: str = "cpu", checkpoint: Path | None = None
) -> Fit:
    """Fine-tune on the split of ``settings.seed``; equal seeds pair methods in everything but the method."""
    model = task.network(settings.seed)
    result = finetune(model, task.split(settings.seed), task.view, settings, method, device, checkpoint, head=task.head)
    return Fit(model, result, method.conflicts if isinstance(method, Guarded) else Conflicts())


def fit(
    source: nn.Module,
    train: Images,
    test: Images | None = None,
    regularizer: Base | Regularizer = "l2sp",
    guard: bool = True,
    alpha: float | None = None,
    scope: Scope = "shared",
    layers: Sequence[str] | None = None,
    view: View | None = None,
    settings: FineTuning | None = None,
    validation: float = 0.2,
    device: str = "cpu",
    checkpoint: Path | None = None,
    every: int = 1,
) -> Fit:
    """Fine-tune a source network on images, with everything chosen for you that you do not choose.

    Args:
        source: The pretrained network with its own head; it does not change.
        train: Images to train on; a share ``validation`` of each class is held back and scored.
        test: Images to test the last iterate on.
        regularizer: ``l2``, ``l2sp``, ``featmap``, ``logits``, or any regulariser of ``claimkit.transfer``, delta's too.
        guard: Guard it, or add it.
        alpha: Its weight; the published one when None.
        scope: What is projected together, see :class:`dtnh.Guard`.
        layers: Where ``featmap`` compares.
        view: How pixels become inputs; when None, crops of 7/8 of the images' size, mirror images, ImageNet's normalisation.
        settings: How to train; when None, rate 0.01 and batches of 64, for 20 epochs or at least 200 steps.
        validation: Share held back.
        device: Where.
        checkpoint: File to resume from and to write to.
        every: Steps from one exact rule to the next, with one backward pass in between; see :class:`dtnh.Guard`.
    """
    view = view or View(train.x.shape[-1] * 7 // 8)
    settings = settings or FineTuning(max(200, 20 * len(train) // 64))
    task = Task(train.name, source, train, train.take(train.y[:0]) if test is None else test, view, None, validation)
    method = make(regularizer, source, alpha, "guard" if guard else "plain", scope, layers, settings.seed, every)
    return fine_tune(task, method, settings, device, checkpoint)


make = regularizer
"""The same function, where an argument of its name hides it."""
