"""Regularisers that compare outputs with the source network's: feature maps (the paper's KnowDist) and logits.

Each works in the loop of ``claimkit.transfer``, and in any other:

.. code-block:: python

    reg = dtnh.FeatureMaps(source, alpha=0.01)
    with reg.watch(model):
        loss = cross_entropy(model(x), y)
        guard.backward(loss, reg(x))
"""

import copy
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn.functional import kl_div, log_softmax

from claimkit.errors import InputError
from claimkit.transfer import maps
from claimkit.transfer.data import digest
from claimkit.transfer.heads import head, head_name
from claimkit.transfer.maps.cache import FeatureCache
from claimkit.transfer.maps.features import Taps, unwrapped
from claimkit.transfer.maps.teachers import Teacher as Teacher
from claimkit.transfer.regularizers import Regularizer, Step


class FeatureMaps(maps.FeatureMaps):
    """``alpha/2 sum_layers sum_{b,c} || FM_c(x_b; w) - FM_c(x_b; w_s) ||^2 / (H W)``: every channel alike.

    The paper's KnowDist, and DELTA (arXiv 1901.09229) without attention. The source is in eval mode: with BatchNorm in the
    student the distance is positive even at equal weights, as in DELTA's released code.

    Args:
        source: The source network, of which a frozen copy is kept; a :class:`Teacher`, which is not copied; or a function
            from a batch to one feature map a layer.
        layers: Names of layers; when None, the last convolution of each of the last four resolutions, chosen at the first
            batch.
        alpha: Weight; the sum runs over the batch, so that its effect grows with the batch size.
        student_bn: ``eval`` keeps the student's BatchNorm in eval mode, so that equal weights have a distance of zero.
        cache: Remember the source's features; needs ``rows`` in the call, and data that is not augmented.
        axis: Where the channels are, for layers where the network does not tell.
    """

    def __init__(
        self,
        source: maps.Source,
        layers: Sequence[str] | None = None,
        alpha: float = 0.01,
        student_bn: Literal["train", "eval"] = "train",
        cache: FeatureCache | None = None,
        axis: int | None = None,
    ) -> None:
        super().__init__(source, layers, alpha, student_bn=student_bn, cache=cache, axis=axis)
        self._named, self._model = self.layers, None

    def __repr__(self) -> str:
        mode = "" if self.student_bn == "train" else ", student_bn=eval"
        return f"FeatureMaps(alpha={self.alpha}, {self._named}{mode})"

    @contextmanager
    def watch(self, model: nn.Module) -> Iterator[None]:
        """Catch the model's feature maps in its own forward passes; the hooks are removed at the end, whatever happens."""
        self._model: nn.Module | None = model
        try:
            with super().watch(model):
                yield
        finally:
            self._model = None

    def __call__(self, x: Any, rows: Tensor | None = None) -> Tensor:
        """The weighted distance, in the graph of the watched model's last pass on ``x``, or of one more pass.

        Raises:
            InputError: No model is watched.
        """
        if self._model is None:
            raise InputError("no model is watched: run the model within `with regularizer.watch(model):`")
        return self.alpha * self.distance(x, self._model, rows)


class LogitDistillation(Regularizer):
    """``alpha T^2 KL(softmax(z_s / T) || softmax(z / T))``, mean over the batch: learning without forgetting (1606.09282).

    ``z_s`` are the source's logits, and ``z`` what the source's own head makes of the student's features.

    Args:
        source: The source network with its head; a copy is kept and never changes.
        alpha: Weight.
        temperature: T, positive.
        head: Name of the classifier, in the source and in the model; found when None.
    """

    def __init__(self, source: nn.Module, alpha: float = 1.0, temperature: float = 2.0, head: str | None = None) -> None:
        if not 0 <= alpha < math.inf:
            raise InputError(f"alpha = {alpha}: expected a number of zero or more")
        if not 0 < temperature < math.inf:
            raise InputError(f"temperature = {temperature}: expected a positive number")
        self.source = copy.deepcopy(unwrapped(source)).eval().requires_grad_(False)
        self.alpha, self.temperature, self.head = alpha, temperature, head or head_name(self.source)
        self.teacher = Teacher(self.source, [self.head])
        self._features: Tensor | None = None
        self._pass: Taps | None = None

    def __repr__(self) -> str:
        return f"LogitDistillation(alpha={self.alpha}, T={self.temperature})"

    def source_digest(self) -> str:
        """Of the copy of the source network."""
        return digest(*self.source.state_dict().values())

    def penalty(self, step: Step) -> Tensor:
        """The weighted regulariser, for the loop of claimkit."""
        return self(step.inputs)

    @contextmanager
    def watch(self, model: nn.Module) -> Iterator[None]:
        """Catch what enters the model's head."""

        def catch(_module: nn.Module, args: tuple[Tensor, ...]) -> None:
            self._features = args[0]

        inner = unwrapped(model)
        self._pass = Taps(inner, {})
        handle = inner.get_submodule(self.head).register_forward_pre_hook(catch)
        try:
            yield
        finally:
            handle.remove()
            self._pass.remove()
            self._features = self._pass = None

    def __call__(self, x: Tensor) -> Tensor:
        """The weighted divergence on the batch ``x``, in the graph of the watched model's last pass.

        Raises:
            InputError: No pass of the watched model, or one on another batch or without gradients.
        """
        if self._features is None or self._pass is None:
            raise InputError("no forward pass was seen: run the model within `with regularizer.watch(model):`")
        if not self._pass.saw(x):
            raise InputError("the last forward pass was on another batch, or without gradients: run the model on x first")
        self.source.to(x.device)
        logits, self._features = head(self.source, self.head)(self._features), None
        target = self.teacher(x)[0]
        ours, theirs = (log_softmax(_pooled(z).float() / self.temperature, 1) for z in (logits, target))
        return self.alpha * self.temperature**2 * kl_div(ours, theirs, reduction="batchmean", log_target=True)


def _pooled(logits: Tensor) -> Tensor:
    """Logits ``(batch, class)``; the mean over the positions where the head is a convolution."""
    return logits if logits.ndim == 2 else logits.flatten(2).mean(2)
