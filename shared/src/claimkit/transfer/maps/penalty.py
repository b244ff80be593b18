"""Feature maps kept: the one regulariser behind DELTA (arXiv 1901.09229) and the KnowDist of DTNH (arXiv 1911.07489).

Omega' = sum_layers 1/2 sum_{b,c} v_c || FM_c(x_b; w) - FM_c(x_b; w_s) ||_2^2 / (H W)
"""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn

from claimkit.errors import InputError, one_of
from claimkit.training import parallel
from claimkit.transfer.data import digest
from claimkit.transfer.maps.axes import channel_axes, check
from claimkit.transfer.maps.cache import FeatureCache
from claimkit.transfer.maps.distance import feature_distance
from claimkit.transfer.maps.features import Taps, buffers_kept, unwrapped
from claimkit.transfer.maps.layers import find
from claimkit.transfer.maps.teachers import Teacher
from claimkit.transfer.regularizers import Regularizer, Step

Source = nn.Module | Teacher | Callable[[Any], Sequence[Tensor]]


class FeatureMaps(Regularizer):
    """``sum_layers 1/2 sum_{b,c} v_c || FM_c(x_b; w) - FM_c(x_b; w_s) ||_2^2 / (H W)``.

    From the forward pass that the loop makes anyway.

    Args:
        source: The source network, of which a frozen copy in eval mode is kept; a :class:`Teacher`, which is not copied;
            or any function from a batch to one feature map a layer, such as a look-up.
        layers: Names of layers; chosen by :func:`~claimkit.transfer.maps.layers.layers_for` at the first batch when None.
        alpha: Weight in :meth:`penalty`, which loops of claimkit use.
        weights: One vector ``v`` a layer, of mean one; ones when None.
        reduction: ``sum`` over the batch, or ``mean``: the sum divided by the batch size.
        student_bn: ``train`` lets the student normalise by its batch and the source by its running statistics, so that
            the distance is positive even at equal weights; ``eval`` keeps the student's BatchNorm in eval mode.
        source_dtype: Autocast the source's forward pass; the autocast around the call when None.
        cache: Remember the source's features; needs ``rows``, and data that is not augmented.
        axis: Where the channels are, for layers where the network does not tell.
    """

    def __init__(
        self,
        source: Source,
        layers: Sequence[str] | None = None,
        alpha: float = 0.01,
        weights: Sequence[Tensor] | None = None,
        reduction: Literal["sum", "mean"] = "sum",
        student_bn: Literal["train", "eval"] = "train",
        source_dtype: torch.dtype | None = None,
        cache: FeatureCache | None = None,
        axis: int | None = None,
    ) -> None:
        if not 0 <= alpha < math.inf:
            raise InputError(f"alpha = {alpha}: expected a number of zero or more")
        one_of("reduction", reduction, ("sum", "mean"))
        one_of("student_bn", student_bn, ("train", "eval"))
        self._copied = isinstance(source, nn.Module)
        if isinstance(source, nn.Module):
            if layers is not None:
                find(unwrapped(source), layers)
            source = Teacher(copy.deepcopy(unwrapped(source)).eval().requires_grad_(False), layers)
        elif not isinstance(source, Teacher) and layers is None:
            raise InputError("a function as the source does not say which layers it gives: name them")
        self.teacher = source
        self.layers = None if layers is None else tuple(layers)
        self.alpha, self.reduction, self.student_bn = alpha, reduction, student_bn
        self.source_dtype, self.cache, self.axis = source_dtype, cache, axis
        self.weights: list[Tensor | None] | None = None if weights is None else list(weights)
        self.axes: tuple[int, ...] | None = None
        self._taps: Taps | None = None
        self._switch: Any = None
        self._written: int | None = None

    @property
    def source(self) -> nn.Module:
        """The source network.

        Raises:
            InputError: The source is a function.
        """
        if not isinstance(self.teacher, Teacher):
            raise InputError("the source is a function: it has no network")
        return self.teacher.network

    def source_digest(self) -> str:
        """Of the copy of the source network; empty for a teacher that is not copied, which may move, and for a function."""
        return digest(*self.source.state_dict().values()) if self._copied else ""

    def distance(self, x: Any, model: nn.Module, rows: Tensor | None = None) -> Tensor:
        """The regulariser, not weighted: a scalar in the graph of the model's last forward pass on ``x``.

        A pass is used once, and only if it was on ``x`` as it is now; otherwise one more is made, which leaves the running
        statistics alone.

        Args:
            x: The batch that the model has seen.
            model: The network in training, whose feature maps have the source's shapes.
            rows: Numbers of the images, ``(batch,)``, for the cache.

        Raises:
            InputError: Maps that differ in shape, a layer whose channels or gradients cannot be told, or a cache of a
                teacher that moves.
        """
        taps = self._watched(model, x)
        student = taps.take() if taps.saw(x) else None
        if student is None:
            with buffers_kept(taps.model):
                student = taps.run(x)
        source = self.features(x) if self.cache is None or rows is None else self._remembered(self.cache, x, rows)
        if len(source) != len(student):
            raise InputError(f"the source gives {len(source)} feature maps for {len(student)} layers: expected one each")
        axes, weights = self._axes(taps, x, student), self.weights or [None] * len(student)
        total = torch.stack([feature_distance(*layer) for layer in zip(student, source, weights, axes, strict=True)]).sum()
        return total / len(x) if self.reduction == "mean" else total

    @torch.no_grad()
    def features(self, x: Any) -> list[Tensor]:
        """The source's feature maps of ``x``, in the order of the layers."""
        if not isinstance(self.teacher, Teacher):
            return [t.detach() for t in self.teacher(x)]
        if not isinstance(x, list | tuple):
            self.teacher.network.to(x.device)
        chosen = self.teacher.choose(x, self.layers)
        self.layers = self.layers or chosen
        return self.teacher(x, self.source_dtype)

    def _remembered(self, cache: FeatureCache, x: Any, rows: Tensor) -> list[Tensor]:
        written = self.teacher.written if isinstance(self.teacher, Teacher) else 0
        if self._written not in (None, written):
            raise InputError(
                "the teacher has changed since its features were remembered: leave out cache, or take a copy of it"
            )
        found = cache.get(rows, lambda: self.features(x))
        self._written = written
        return found

    def cache_bytes(self, n: int, x: Tensor, dtype: torch.dtype = torch.float32) -> int:
        """Memory that a cache of ``n`` images like ``x`` would take, in bytes."""
        return FeatureCache(n, dtype=dtype).bytes(self.features(x[:1]))

    def penalty(self, step: Step) -> Tensor:
        """``alpha`` times the regulariser, for the loop of claimkit; a sum, whatever part of the batch this process has."""
        value = self.alpha * self.distance(step.inputs, step.model, step.rows)
        return parallel.summed(value) if self.reduction == "sum" else value

    @contextmanager
    def watch(self, model: nn.Module) -> Iterator[None]:
        """Catch the model's feature maps in its own forward passes; the hooks are removed at the end, whatever happens."""
        if self.layers is not None:
            self._attach(model)
        elif self.student_bn == "eval":
            self._switch = _Still(model)
        try:
            yield
        finally:
            self.close()

    def close(self) -> None:
        """Stop watching."""
        if self._taps is not None:
            self._taps.remove()
            self._taps = None
        if self._switch is not None:
            self._switch.remove()
            self._switch = None

    def _attach(self, model: nn.Module) -> Taps:
        assert self.layers is not None
        self.close()
        inner = unwrapped(model)
        self._taps = Taps(inner, find(inner, self.layers))
        self._switch = _Still(inner) if self.student_bn == "eval" else None
        return self._taps

    def _watched(self, model: nn.Module, x: Any) -> Taps:
        if self.layers is None:
            self.features(x[:1])
        if self._taps is None or self._taps.model is not unwrapped(model):
            return self._attach(model)
        return self._taps

    def _axes(self, taps: Taps, x: Any, student: Sequence[Tensor]) -> tuple[int, ...]:
        """Found once: by the source, or by the student where the source is a function."""
        if self.axes is None:
            for name, maps in zip(taps.layers, student, strict=True):
                check(name, maps, len(x))
            if self.axis is not None:
                self.axes = (self.axis,) * len(student)
            elif isinstance(self.teacher, Teacher):
                with self.teacher.within():
                    self.axes = channel_axes(self.teacher.network, self.teacher.choose(x, self.layers), x[:1])
            else:
                self.axes = channel_axes(taps.model, taps.layers, x[:1])
        return self.axes


class _Still:
    """Keeps a model's BatchNorm in eval mode in every pass, until it is removed."""

    def __init__(self, model: nn.Module) -> None:
        self.model, self.switched = model, set[nn.Module]()
        self.handle = model.register_forward_pre_hook(self._switch)

    def _switch(self, *_: object) -> None:
        for module in self.model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training:
                module.eval()
                self.switched.add(module)

    def remove(self) -> None:
        """Remove the hook, and put BatchNorm back to where the rest of the model is."""
        self.handle.remove()
        for module in self.switched:
            module.train(self.model.training)
