"""What a baseline does to features: given a style's, a function of the content's; the style's side is computed once."""

from collections.abc import Callable

from torch import Tensor

from paperkit.style.transforms import Regularization, Statistics, wct_map
from photonet.baselines.reference import wct_svd64

Towards = Callable[[Tensor], Tensor]
Transform = Callable[[Tensor], Towards]


def whitening(regularization: Regularization = "none") -> Transform:
    """WCT as affine map, covariances in single and factors in double precision: the transform that photonet itself uses."""

    def prepare(style: Tensor) -> Towards:
        known = Statistics.of(style)
        known.root  # noqa: B018 - the eigenvectors are the style's side, too
        return lambda x: wct_map(Statistics.of(x), known, regularization)(x)

    return prepare


def whitening_svd64(regularization: Regularization = "none") -> Transform:
    """WCT as PhotoNAS's public code computes it, style and all at every call."""
    return lambda style: lambda x: wct_svd64(x, style, regularization)


def unchanged(style: Tensor) -> Towards:
    """No transform: what is left is the convolutions."""
    return lambda x: x
