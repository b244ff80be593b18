"""Regularisers that compare outputs with the source network's: feature maps (the paper's KnowDist) and logits.

Each works in the loop of ``claimkit.transfer``, and in any other:

.. code-block:: python

    reg = dtnh.FeatureMaps(source, alpha=0.01)
    with reg.watch(model):
        loss = cross_entropy(model(x), y)
        guard.backward(loss, reg(x))
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn
from torch.nn.functional import kl_div, log_softmax

from claimkit.errors import InputError
from claimkit.training import parallel
from claimkit.transfer.networks import head, head_name
from claimkit.transfer.regularizers import Regularizer, Step
from dtnh.scopes import unwrapped

STAGES = 4


class _Distillation(Regularizer, ABC):
    """A frozen copy of the source, and what the student's last forward pass gave at the watched layers."""

    def __init__(self, source: nn.Module, alpha: float) -> None:
        if alpha < 0:
            raise InputError(f"alpha = {alpha}: expected zero or more")
        self.source = copy.deepcopy(unwrapped(source)).eval().requires_grad_(False)
        self.alpha = alpha
        self.seen: dict[str, Tensor] = {}

    def penalty(self, step: Step) -> Tensor:
        """The weighted regulariser, for the loop of claimkit."""
        return self(step.inputs)

    @abstractmethod
    def __call__(self, x: Tensor) -> Tensor:
        """The weighted regulariser, in the graph of the watched model's last pass, which must have been on ``x``."""


class FeatureMaps(_Distillation):
    """``alpha/2 sum_layers sum_{b,c} || FM_c(x_b; w) - FM_c(x_b; w_s) ||^2 / (H W)``: every channel alike.

    The paper's KnowDist, and DELTA (arXiv 1901.09229) without attention. The source is in eval mode: with BatchNorm in the
    student the distance is positive even at equal weights, as in DELTA's released code.

    Args:
        source: The source network; a copy is kept and never changes.
        layers: Names of layers; when None, the last convolution of each of the last four resolutions, chosen at the first
            batch.
        alpha: Weight; the sum runs over the batch, so that its effect grows with the batch size.
    """

    def __init__(self, source: nn.Module, layers: Sequence[str] | None = None, alpha: float = 0.01) -> None:
        super().__init__(source, alpha)
        self.layers = None if layers is None else tuple(layers)
        if unknown := set(self.layers or ()) - dict(self.source.named_modules()).keys():
            raise InputError(f"the source has no layer {min(unknown)!r}: name one of its modules")
        self._named = self.layers

    def __repr__(self) -> str:
        return f"FeatureMaps(alpha={self.alpha}, {self._named})"

    def penalty(self, step: Step) -> Tensor:
        """The weighted regulariser, for the loop of claimkit; a sum, whatever part of the batch this process has."""
        return parallel.summed(super().penalty(step))

    @contextmanager
    def watch(self, model: nn.Module) -> Iterator[None]:
        """Catch the outputs of the layers in the model's forward passes."""
        names = self.layers or _convolutions(unwrapped(model))
        with _caught(unwrapped(model), names, self.seen):
            yield
        self.seen.clear()

    def __call__(self, x: Tensor) -> Tensor:
        """The weighted distance of the feature maps on the batch ``x``."""
        self.source.to(x.device)
        student, source = dict(self.seen), {}
        names = self.layers or _convolutions(self.source)
        with torch.no_grad(), _caught(self.source, names, source):
            self.source(x)
        if self.layers is None:
            last = {t.shape[2:]: n for n, t in source.items() if t.shape[2:].numel() > 1}
            self.layers = tuple(last.values())[-STAGES:]
        if missing := [n for n in self.layers if n not in student]:
            raise InputError(
                f"no forward pass reached {missing[0]!r}: run the model within `with regularizer.watch(model):`"
            )
        self.seen.clear()
        return self.alpha * torch.stack([_distance(student[n], source[n], n) for n in self.layers]).sum()


def _convolutions(model: nn.Module) -> list[str]:
    """Names of the convolutions that are shared: all but a head that is one."""
    left_out = head_name(model)
    return [n for n, m in model.named_modules() if isinstance(m, nn.Conv2d) and n != left_out]


def _distance(student: Tensor, source: Tensor, name: str) -> Tensor:
    """``1/2 sum_{b,c} ||.||^2 / (H W)`` of one layer, in float32 or wider."""
    if student.shape != source.shape:
        raise InputError(f"{name}: the model's maps are {tuple(student.shape)}, the source's {tuple(source.shape)}")
    wide = torch.promote_types(student.dtype, torch.float32)
    return (student.to(wide) - source.to(wide)).square().sum() / (2 * student.shape[2:].numel())


class LogitDistillation(_Distillation):
    """``alpha T^2 KL(softmax(z_s / T) || softmax(z / T))``, mean over the batch: learning without forgetting (1606.09282).

    ``z_s`` are the source's logits, and ``z`` what the source's own head makes of the student's features.

    Args:
        source: The source network with its head; a copy is kept and never changes.
        alpha: Weight.
        temperature: T, positive.
    """

    def __init__(self, source: nn.Module, alpha: float = 1.0, temperature: float = 2.0) -> None:
        super().__init__(source, alpha)
        if temperature <= 0:
            raise InputError(f"temperature = {temperature}: expected a positive number")
        self.temperature = temperature

    def __repr__(self) -> str:
        return f"LogitDistillation(alpha={self.alpha}, T={self.temperature})"

    @contextmanager
    def watch(self, model: nn.Module) -> Iterator[None]:
        """Catch what enters the model's head."""
        inner = unwrapped(model)

        def catch(_module: nn.Module, args: tuple[Tensor, ...]) -> None:
            self.seen["features"] = args[0]

        handle = inner.get_submodule(head_name(inner)).register_forward_pre_hook(catch)
        try:
            yield
        finally:
            handle.remove()
            self.seen.clear()

    def __call__(self, x: Tensor) -> Tensor:
        """The weighted divergence on the batch ``x``."""
        if not self.seen:
            raise InputError("no forward pass was seen: run the model within `with regularizer.watch(model):`")
        self.source.to(x.device)
        logits, target = head(self.source)(self.seen.pop("features")), {}
        with torch.no_grad(), _caught(self.source, [head_name(self.source)], target):
            self.source(x)
        both = logits, target.popitem()[1]
        ours, theirs = (log_softmax(_pooled(z).float() / self.temperature, 1) for z in both)
        return self.alpha * self.temperature**2 * kl_div(ours, theirs, reduction="batchmean", log_target=True)


def _pooled(logits: Tensor) -> Tensor:
    """Logits ``(batch, class)``; the mean over the positions where the head is a convolution."""
    return logits if logits.ndim == 2 else logits.flatten(2).mean(2)


@contextmanager
def _caught(model: nn.Module, names: Sequence[str], seen: dict[str, Tensor]) -> Iterator[None]:
    """Outputs of named layers go to ``seen``, until the end, whatever happens."""
    with ExitStack() as hooks:
        for name in names:

            def catch(_module: nn.Module, _args: object, output: Tensor, name: str = name) -> None:
                seen.pop(name, None)  # the order is that of the forward pass
                seen[name] = output

            hooks.callback(model.get_submodule(name).register_forward_hook(catch).remove)
        yield
