"""DELTA: DEep Learning Transfer using Feature Map with Attention for Convolutional Networks (arXiv 1901.09229).

    Omega' = sum_layers 1/2 sum_{b,c} C a_c || FM_c(x_b; w) - FM_c(x_b; w_s) ||_2^2 / (H W)

as in the released code: raw outputs of convolutions, a sum over the batch, attention ``a`` of one vector a layer, ``C
a_c`` of mean one. Without attention every ``C a_c`` is one: the same formula at the same scale.
"""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn

from claimkit.errors import InputError
from claimkit.training import parallel
from claimkit.transfer.regularizers import Regularizer, Step
from delta.attention import Attention
from delta.cache import FeatureCache
from delta.features import Taps, buffers_kept, channel_axis, unwrapped
from delta.layers import find, layers_for


def feature_distance(student: Tensor, source: Tensor, weights: Tensor | None = None) -> Tensor:
    """``1/2 sum_{b,c} v_c || student[b,c] - source[b,c] ||_2^2 / (H W)`` of one layer, in float32 or wider.

    Args:
        student: ``(batch, channel, height, width)``, ``(batch, token, channel)`` or ``(batch, channel)``.
        source: The same shape, a constant.
        weights: ``v`` of shape ``(channel,)``, mean one; ones when None.

    Raises:
        InputError: Shapes that differ.
    """
    axis = channel_axis(student)
    if student.shape != source.shape or (weights is not None and weights.shape != student.shape[axis : axis + 1]):
        v = "" if weights is None else f" and weights {tuple(weights.shape)}"
        raise InputError(f"feature maps differ: model {tuple(student.shape)}, source {tuple(source.shape)}{v}")
    wide = torch.promote_types(student.dtype, torch.float32)
    squares = (student.to(wide) - source.to(wide)).square()
    area = student[0].numel() // student.shape[axis]
    if weights is None:
        return squares.sum() / (2 * area)
    each = squares.sum([i for i in range(student.ndim) if i != axis])
    return each @ weights.to(each) / (2 * area)


class DELTA(Regularizer):
    """The regulariser, for any training loop: ``loss = ce + alpha * reg(x, model)``.

    Args:
        source: The source network; a copy is kept, in eval mode and without gradients, and never changes.
        layers: Names of layers; chosen by :func:`delta.layers_for` at the first batch when None.
        attention: From :func:`delta.channel_attention` or a JSON; None is without attention, ``C a_c = 1``.
        alpha: Weight in :meth:`penalty`, which loops of claimkit use; ``reg(x, model)`` itself is not weighted.
        reduction: ``sum`` over the batch as released, or ``mean``: the sum divided by the batch size.
        student_bn: ``train`` as released, where the student normalises by its batch and the source by its running
            statistics, so
            that the distance is positive even at equal weights; ``eval`` keeps the student's BatchNorm in eval mode.
        source_dtype: Autocast the source's forward pass, for example to ``torch.bfloat16``.
        cache: Remember the source's features; needs ``rows`` in the call, and data that is not augmented.
    """

    def __init__(
        self,
        source: nn.Module,
        layers: Sequence[str] | None = None,
        attention: Attention | None = None,
        alpha: float = 0.01,
        reduction: Literal["sum", "mean"] = "sum",
        student_bn: Literal["train", "eval"] = "train",
        source_dtype: torch.dtype | None = None,
        cache: FeatureCache | None = None,
    ) -> None:
        if alpha < 0:
            raise InputError(f"alpha = {alpha}: expected zero or more")
        if layers is None and attention is not None:
            layers = attention.layers
        if layers is not None:
            find(source, layers)
        if attention is not None and layers is not None and len(attention.gaps) != len(layers):
            raise InputError(
                f"attention has {len(attention.gaps)} layers, {len(layers)} are named: fit it on the same layers"
            )
        self.source = copy.deepcopy(unwrapped(source)).eval().requires_grad_(False)
        self.layers = None if layers is None else tuple(layers)
        self.alpha, self.reduction, self.student_bn = alpha, reduction, student_bn
        self.source_dtype, self.cache = source_dtype, cache
        self.weights: list[Tensor | None] | None = None if attention is None else list(attention.weights())
        self._source_taps: Taps | None = None
        self._student_taps: Taps | None = None

    def __repr__(self) -> str:
        kind = "without" if self.weights is None else "with"
        return f"DELTA({kind} attention, alpha={self.alpha}, {self.layers}, {self.reduction}, student_bn={self.student_bn})"

    def __call__(self, x: Tensor, model: nn.Module, rows: Tensor | None = None) -> Tensor:
        """The regulariser, a scalar in the graph of the model's last forward pass on ``x``.

        The first call watches the model from then on, and costs one more forward pass of it; with :meth:`watch` around
        the loop there is none. A pass is used once, and only if its input was this very ``x``.

        Args:
            x: The batch that the model has seen.
            model: The network in training, whose feature maps have the source's shapes.
            rows: Numbers of the images, ``(batch,)``, for the cache.
        """
        taps = self._watched(model, x)
        student = taps.take() if taps.saw(x) else None
        if student is None:
            with buffers_kept(taps.model):
                student = taps.run(x)
        if self.cache is not None and rows is not None:
            source = self.cache.get(rows, lambda: self.features(x))
        else:
            source = self.features(x)
        weights = self.weights or [None] * len(student)
        total = torch.stack([feature_distance(*layer) for layer in zip(student, source, weights, strict=True)]).sum()
        return total / len(x) if self.reduction == "mean" else total

    @torch.no_grad()
    def features(self, x: Tensor) -> list[Tensor]:
        """The source's feature maps of ``x``, in the order of the layers; what follows the last layer is not computed."""
        if self._source_taps is None:
            self.layers = self.layers or layers_for(self.source.to(x.device), x)
            self._source_taps = Taps(self.source.to(x.device), self.layers, stop=True)
        with torch.autocast(x.device.type, self.source_dtype, enabled=self.source_dtype is not None):
            return self._source_taps.run(x)

    def cache_bytes(self, n: int, x: Tensor, dtype: torch.dtype = torch.float32) -> int:
        """Memory that a cache of ``n`` images like ``x`` would take, in bytes."""
        return FeatureCache(n, dtype=dtype).bytes(self.features(x[:1]))

    @contextmanager
    def watch(self, model: nn.Module) -> Iterator[None]:
        """Catch the model's feature maps in its own forward passes; the hooks are removed at the end, whatever happens."""
        if self.layers is not None:
            self._attach(model)
        switch = model.register_forward_pre_hook(_batchnorm_to_eval) if self.student_bn == "eval" else None
        try:
            yield
        finally:
            self.close()
            if switch is not None:
                switch.remove()

    def close(self) -> None:
        """Stop watching."""
        if self._student_taps is not None:
            self._student_taps.remove()
            self._student_taps = None

    def penalty(self, step: Step) -> Tensor:
        """``alpha`` times the regulariser, for the loop of claimkit."""
        value = self.alpha * self(step.inputs, step.model, step.rows)
        return parallel.summed(value) if self.reduction == "sum" else value

    def _attach(self, model: nn.Module) -> Taps:
        assert self.layers is not None
        self.close()
        self._student_taps = Taps(unwrapped(model), self.layers)
        return self._student_taps

    def _watched(self, model: nn.Module, x: Tensor) -> Taps:
        if self.layers is None:
            self.features(x[:1])
        if self._student_taps is None or self._student_taps.model is not unwrapped(model):
            return self._attach(model)
        return self._student_taps


def _batchnorm_to_eval(model: nn.Module, _args: object) -> None:
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
