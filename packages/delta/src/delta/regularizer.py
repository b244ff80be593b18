"""DELTA: DEep Learning Transfer using Feature Map with Attention for Convolutional Networks (arXiv 1901.09229).

    Omega' = sum_layers 1/2 sum_{b,c} C a_c || FM_c(x_b; w) - FM_c(x_b; w_s) ||_2^2 / (H W)

as in the released code: raw outputs of convolutions, a sum over the batch, attention ``a`` of one vector a layer, ``C
a_c`` of mean one. Without attention every ``C a_c`` is one: the same formula at the same scale.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from claimkit.errors import InputError
from claimkit.transfer.maps import FeatureMaps, Source
from claimkit.transfer.maps.cache import FeatureCache as FeatureCache
from claimkit.transfer.maps.layers import layers_for as layers_for
from claimkit.transfer.maps.teachers import Teacher as Teacher
from delta.attention import Attention


class DELTA(FeatureMaps):
    """The regulariser, for any training loop: ``loss = ce + alpha * reg(x, model)``.

    Args:
        source: The source network, of which a frozen copy is kept; a :class:`Teacher`, which is not copied; or a function
            from a batch to one feature map a layer.
        layers: Names of layers; chosen by :func:`delta.layers_for` at the first batch when None.
        attention: From :func:`delta.channel_attention` or a JSON; None is without attention, ``C a_c = 1``.
        alpha: Weight in :meth:`penalty`, which loops of claimkit use; ``reg(x, model)`` itself is not weighted.
        reduction: ``sum`` over the batch as released, or ``mean``: the sum divided by the batch size.
        student_bn: ``train`` as released, where the student normalises by its batch and the source by its running
            statistics, so that the distance is positive even at equal weights; ``eval`` keeps the student's in eval mode.
        source_dtype: Autocast the source's forward pass, for example to ``torch.bfloat16``; when None, as around the call.
        cache: Remember the source's features; needs ``rows`` in the call, and data that is not augmented.
        axis: Where the channels are, for layers where the network does not tell.

    Raises:
        InputError: A weight below zero, layers that the source does not have, or attention to other layers.
    """

    def __init__(  # the options of FeatureMaps by name, so that editors and --help show them
        self,
        source: Source,
        layers: Sequence[str] | None = None,
        attention: Attention | None = None,
        alpha: float = 0.01,
        reduction: Literal["sum", "mean"] = "sum",
        student_bn: Literal["train", "eval"] = "train",
        source_dtype: torch.dtype | None = None,
        cache: FeatureCache | None = None,
        axis: int | None = None,
    ) -> None:
        if layers is None and attention is not None:
            layers = attention.layers or None
        if attention is not None and layers is not None and len(attention.gaps) != len(layers):
            raise InputError(
                f"attention has {len(attention.gaps)} layers, {len(layers)} are named: fit it on the same layers"
            )
        fitted = () if attention is None or not isinstance(source, nn.Module) else attention.layers
        if fitted and tuple(layers or ()) != fitted:
            raise InputError(f"attention is of {', '.join(fitted)}, in this order: name the same layers, or leave them out")
        weights = None if attention is None else attention.weights()
        super().__init__(source, layers, alpha, weights, reduction, student_bn, source_dtype, cache, axis)

    def __repr__(self) -> str:
        kind = "without" if self.weights is None else "with"
        return f"DELTA({kind} attention, alpha={self.alpha}, {self.layers}, {self.reduction}, student_bn={self.student_bn})"

    def __call__(self, x: Any, model: nn.Module, rows: Tensor | None = None) -> Tensor:
        """The regulariser, a scalar in the graph of the model's last forward pass on ``x``.

        The first call watches the model from then on, and costs one more forward pass of it; with :meth:`watch` around
        the loop there is none.

        Args:
            x: The batch that the model has seen.
            model: The network in training, whose feature maps have the source's shapes.
            rows: Numbers of the images, ``(batch,)``, for the cache.
        """
        return self.distance(x, model, rows)
