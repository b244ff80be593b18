"""What the projection is compared with: transforms of features under one signature, ``(x, s, alpha) -> z``."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from claimkit.errors import InputError
from claimkit.style.transforms import Statistics, adain, ot_map, wct
from styleproj.operator.projection import project

Transform = Callable[[Tensor, Tensor, float], Tensor]


def efdm(x: Tensor, s: Tensor, alpha: float = 1.0) -> Tensor:
    """Sort matching as EFDM's authors compute it (2203.07740): two sorts, an argsort of the order, and a gather.

    The same map as the projection, without an order among ties; sizes must be equal.
    """
    if x.shape != s.shape:
        raise InputError(f"EFDM matches features of one shape, not {tuple(x.shape)} and {tuple(s.shape)}")
    order = x.flatten(-2).sort(-1).indices
    values = s.flatten(-2).sort(-1).values
    z = values.gather(-1, order.argsort(-1)).view(x.shape)
    return z if alpha == 1 else alpha * z + (1 - alpha) * x


def adain_reference(x: Tensor, s: Tensor, alpha: float = 1.0) -> Tensor:
    """AdaIN in four operations of torch, the yardstick of speed: two ``var_mean``, a scale and one ``addcmul``."""
    (var_x, mean_x), (var_s, mean_s) = (torch.var_mean(v, (-2, -1), keepdim=True, correction=0) for v in (x, s))
    scale = ((var_s + 1e-5) / (var_x + 1e-5)).sqrt()
    z = torch.addcmul(mean_s - mean_x * scale, x, scale)
    return z if alpha == 1 else alpha * z + (1 - alpha) * x


def optimal_transport(x: Tensor, s: Tensor, alpha: float = 1.0) -> Tensor:
    """The optimal map between Gaussian distributions (Monge-Kantorovich; 1906.00668)."""
    return ot_map(Statistics.of(x), Statistics.of(s)).blend(alpha)(x)


def histogram_matching(x: Tensor, s: Tensor, alpha: float = 1.0) -> Tensor:
    """scikit-image's ``match_histograms``, channel by channel: equal values stay equal, by interpolated quantiles."""
    from skimage.exposure import match_histograms

    z = [match_histograms(a.cpu().numpy(), b.cpu().numpy(), channel_axis=0) for a, b in zip(x, s, strict=True)]
    return alpha * torch.stack([torch.from_numpy(a) for a in z]).to(x) + (1 - alpha) * x


TRANSFORMS: dict[str, Transform] = {
    "projection": project,
    "AdaIN": adain,
    "WCT": partial(wct, regularization="none"),
    "OT": optimal_transport,
}
"""Transforms of the claims, by the name that tables and pictures use; WCT undamped, where its covariance is exact."""
