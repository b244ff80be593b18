"""How near two pictures, and two sets of features, are. Pictures are (3, H, W) in [0, 1], features (B, C, H, W)."""

import numpy as np
import torch
from jaxtyping import Float
from skimage.filters import sobel
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from claimkit.errors import InputError

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
WINDOW = 7  # pixels, of SSIM
EPSILON = 1e-5  # under the root of a variance, as AdaIN has it


def psnr(a: Float[Tensor, "3 h w"], b: Float[Tensor, "3 h w"]) -> float:
    """Peak signal-to-noise ratio in dB, range 1; infinite for equal pictures."""
    x, y = _arrays(a, b)
    with np.errstate(divide="ignore"):
        return float(peak_signal_noise_ratio(x, y, data_range=1.0))


def ssim(a: Float[Tensor, "3 h w"], b: Float[Tensor, "3 h w"]) -> float:
    """Structural similarity, window 7, averaged over channels; 1 for equal pictures."""
    return float(structural_similarity(*_arrays(a, b), win_size=WINDOW, data_range=1.0, channel_axis=0))  # type: ignore[arg-type]


def ssim_edge(a: Float[Tensor, "3 h w"], b: Float[Tensor, "3 h w"]) -> float:
    """SSIM (window 7, range 1) of the Sobel magnitudes of luma: is the drawing the same? 1 for equal pictures."""
    edges = [sobel(np.tensordot(LUMA, x, axes=1)) for x in _arrays(a, b)]
    return float(structural_similarity(*edges, win_size=WINDOW, data_range=1.0))  # type: ignore[arg-type]


def gram(features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c c"]:
    """Inner products of channels, averaged over positions."""
    x = features.float().flatten(2)
    return x @ x.mT / x.shape[2]


def gram_distance(f: Float[Tensor, "b c h w"], g: Float[Tensor, "b c H W"]) -> Float[Tensor, " b"]:
    """Frobenius norm of the difference of Gram matrices over that of ``g``'s."""
    a, b = gram(f), gram(g)
    return torch.linalg.matrix_norm(a - b) / torch.linalg.matrix_norm(b).clamp_min(torch.finfo(b.dtype).tiny)


def moments(features: Float[Tensor, "b c h w"]) -> tuple[Float[Tensor, "b c"], Float[Tensor, "b c"]]:
    """Mean and standard deviation of each channel over positions."""
    variance, mean = torch.var_mean(features.float(), (2, 3), correction=0)
    return mean, (variance + EPSILON).sqrt()


def moment_distance(a: tuple[Tensor, Tensor], b: tuple[Tensor, Tensor]) -> Float[Tensor, " b"]:
    """Root mean square over channels of the difference of means, plus that of standard deviations."""
    return rms(a[0] - b[0]) + rms(a[1] - b[1])


def mean_std_distance(f: Float[Tensor, "b c h w"], g: Float[Tensor, "b c H W"]) -> Float[Tensor, " b"]:
    """The :func:`moment_distance` of features."""
    return moment_distance(moments(f), moments(g))


def sliced_wasserstein(
    f: Float[Tensor, "b c h w"], g: Float[Tensor, "b c H W"], directions: int = 64, seed: int = 0
) -> Float[Tensor, " b"]:
    """Mean Wasserstein-1 distance of the positions' values along random unit directions of channel space.

    Sizes may differ: quantile functions are then compared at the midpoints of the finer of the two.
    """
    if f.shape[:2] != g.shape[:2]:
        raise InputError(f"features need equal batch and channels, not {tuple(f.shape[:2])} and {tuple(g.shape[:2])}")
    generator = torch.Generator().manual_seed(seed)
    along = torch.randn(directions, f.shape[1], generator=generator)
    along = (along / along.norm(dim=1, keepdim=True)).to(f)
    a, b = ((along @ x.flatten(2)).sort(2).values for x in (f, g))
    n = max(a.shape[2], b.shape[2])
    at = (torch.arange(n, device=f.device) + 0.5) / n
    a, b = (x if x.shape[2] == n else x[..., (at * x.shape[2]).long()] for x in (a, b))
    return (a - b).abs().mean((1, 2))


def rms(x: Float[Tensor, "b n"]) -> Float[Tensor, " b"]:
    """Root mean square of each row; its gradient at zero is zero."""
    return (x.square().mean(1) + EPSILON**2).sqrt()


def _arrays(a: Tensor, b: Tensor) -> tuple[np.ndarray, np.ndarray]:
    if a.shape != b.shape or a.ndim != 3 or a.shape[0] != 3:
        raise InputError(f"expected two pictures (3, H, W) of one size, not {tuple(a.shape)} and {tuple(b.shape)}")
    if min(a.shape[1:]) < WINDOW:
        raise InputError(f"pictures need at least {WINDOW} pixels each way, not {tuple(a.shape[1:])}")
    return a.detach().double().cpu().numpy(), b.detach().double().cpu().numpy()
