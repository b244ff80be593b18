"""Six ways to fine-tune a source network, and the one call that does it all.

======== ==========================================================================
scratch  the same network, all weights drawn afresh
frozen   a new head on the source network as it stands (feature extraction)
l2       weight decay
l2sp     decay towards the source's weights
fm       feature maps kept, every channel alike (DELTA without attention)
delta    feature maps kept, channels weighted by attention
======== ==========================================================================
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from torch import nn

from claimkit.errors import InputError
from claimkit.transfer.data import Images, View
from claimkit.transfer.loop import FineTuning, Result, finetune
from claimkit.transfer.maps.cache import FeatureCache
from claimkit.transfer.maps.layers import layers_for
from claimkit.transfer.regularizers import L2, L2SP, Regularizer
from claimkit.transfer.tasks import Task
from delta.attention import Attention, channel_attention
from delta.probe import Batches
from delta.regularizer import DELTA

Method = Literal["scratch", "frozen", "l2", "l2sp", "fm", "delta"]
ALPHAS: Mapping[str, float] = {"scratch": 1e-4, "frozen": 0.0, "l2": 1e-4, "l2sp": 0.1, "fm": 0.01, "delta": 0.01}
"""Published weights: weight decay 1e-4; L2-SP's 0.1; 0.01 in DELTA's released code (0.1 for Stanford Dogs)."""
GRIDS: Mapping[str, tuple[float, ...]] = {
    "l2sp": (1e-3, 1e-2, 1e-1, 1.0),
    "fm": (1e-5, 1e-4, 1e-3, 1e-2, 1e-1),
    "delta": (1e-5, 1e-4, 1e-3, 1e-2, 1e-1),
}
"""Weights to choose from on validation images; the other methods have the published one alone."""


@dataclass(frozen=True)
class Fit:
    """What :func:`fit` gives: the fine-tuned network, its scores, and the attention it was fitted with."""

    model: nn.Module
    result: Result
    attention: Attention | None = None


def regularizer(
    method: Method,
    source: nn.Module,
    alpha: float,
    layers: Sequence[str] | None = None,
    attention: Attention | None = None,
    cache: FeatureCache | None = None,
) -> Regularizer:
    """The regulariser of a method.

    Raises:
        InputError: ``delta`` without attention.
    """
    if method in ("scratch", "l2"):
        return L2(alpha)
    if method == "l2sp":
        return L2SP(source, alpha)
    if method == "frozen":
        return Regularizer()
    if method == "delta" and attention is None:
        raise InputError("delta needs attention: fit it with delta.channel_attention, or use fm, which is without")
    return DELTA(source, layers, attention if method == "delta" else None, alpha, cache=cache)


def fine_tune(
    task: Task,
    method: Method,
    alpha: float,
    settings: FineTuning,
    layers: Sequence[str] | None = None,
    attention: Attention | None = None,
    device: str = "cpu",
    cache: FeatureCache | None = None,
    checkpoint: Path | None = None,
) -> Fit:
    """Fine-tune on the split of ``settings.seed`` with one method; equal seeds pair methods in everything but the method."""
    settings = replace(settings, frozen=method == "frozen")
    model = task.network(settings.seed, pretrained=method != "scratch")
    how = regularizer(method, task.source, alpha, layers, attention, cache)
    result = finetune(model, task.split(settings.seed), task.view, settings, how, device, checkpoint, head=task.head)
    return Fit(model, result, attention)


def task_attention(
    task: Task, seed: int, layers: Sequence[str] | None = None, augment: bool = True, device: str = "cpu", epochs: int = 10
) -> Attention:
    """Attention of the task's source network, fitted on the training images of a seed with the released settings."""
    batches = Batches(task.split(seed).train, task.view, 32, augment, seed)
    source = task.source.to(device)
    return channel_attention(source, batches, layers, classes=len(task.pool.classes), seed=seed, probe_epochs=epochs)


def fit(
    source: nn.Module,
    train: Images,
    test: Images | None = None,
    method: Method = "delta",
    alpha: float | None = None,
    view: View | None = None,
    settings: FineTuning | None = None,
    layers: Sequence[str] | None = None,
    attention: Attention | None = None,
    validation: float = 0.2,
    device: str = "cpu",
    cache: bool | int = True,
    checkpoint: Path | None = None,
) -> Fit:
    """Fine-tune a source network on images, with everything chosen for you that you do not choose.

    Args:
        source: The pretrained network with its own head; it does not change.
        train: Images to train on; a share ``validation`` of each class is held back and scored.
        test: Images to test the last iterate on.
        method: ``delta``, ``fm``, ``l2sp``, ``l2``, ``frozen`` or ``scratch``.
        alpha: Weight of the regulariser; the published one when None.
        view: How pixels become inputs; when None, crops of 7/8 of the images' size, mirror images, ImageNet's normalisation.
        settings: How to train; when None, the paper's rate and batch for 20 epochs or at least 200 steps.
        layers: Where features are kept; see :func:`delta.layers_for`.
        attention: Fitted on the training images when None and needed.
        validation: Share held back.
        device: Where.
        cache: Remember the source's features where images are not augmented; a number is the limit in bytes.
        checkpoint: File to resume from and to write to.

    Returns:
        The network, the scores of its last iterate, and the attention.
    """
    if method not in ALPHAS:
        raise InputError(f"method {method!r} is none of {', '.join(ALPHAS)}")
    size = train.x.shape[-1]
    view = view or View(size * 7 // 8)
    settings = settings or FineTuning(max(200, 20 * len(train) // 64))
    task = Task(train.name, source, train, train.take(train.y[:0]) if test is None else test, view, None, validation)
    layers = layers or (attention.layers if attention is not None and attention.layers else None)
    if method in ("fm", "delta") and layers is None:
        layers = layers_for(source.to(device), view.test(train.x[:1]).to(device))
    if method == "delta" and attention is None:
        attention = task_attention(task, settings.seed, layers, settings.augment, device)
    kept = None
    if cache and method in ("fm", "delta") and not settings.augment:
        n = len(task.split(settings.seed).train)
        kept = FeatureCache(n) if cache is True else FeatureCache(n, cache)
    alpha = ALPHAS[method] if alpha is None else alpha
    return fine_tune(task, method, alpha, settings, layers, attention, device, kept, checkpoint)
