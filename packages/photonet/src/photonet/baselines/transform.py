"""What a baseline does to features: given a style's, a function of the content's; the style's side is computed once."""

from collections.abc import Callable

from torch import Tensor

from claimkit.style.transforms import Regularization
from photonet.baselines.reference import wct_svd64
from photonet.execution.lazy import measure
from photonet.transforms import TRANSFORMS

Towards = Callable[[Tensor], Tensor]
Transform = Callable[[Tensor], Towards]


def affine(name: str = "wct") -> Transform:
    """A transform of photonet's own registry, by the kernels that photonet itself uses."""
    rule = TRANSFORMS[name]

    def prepare(style: Tensor) -> Towards:
        known = measure(style)
        known.root  # noqa: B018 - the eigenvectors are the style's side, too
        return lambda x: rule.fit(measure(x), known)(x)

    return prepare


def whitening_svd64(regularization: Regularization = "none") -> Transform:
    """WCT as PhotoNAS's public code computes it, style and all at every call."""
    return lambda style: lambda x: wct_svd64(x, style, regularization)


def unchanged(style: Tensor) -> Towards:
    """No transform: what is left is the convolutions."""
    return lambda x: x
