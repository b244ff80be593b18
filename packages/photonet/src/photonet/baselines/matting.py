"""Smoothing with the matting Laplacian, as PhotoWCT does it (Li et al., 1802.06474, section 3.2; Levin et al., 2006).

The affinity of two pixels is, over all windows ω of 3x3 pixels that hold both,
W_ij = Σ_ω 1/9 (1 + (I_i - μ)ᵀ (Σ + ε/9 1)^-1 (I_j - μ)), with μ and Σ of the content's colours in the window.
The result R minimises Σ_ij W_ij |R_i/√d_i - R_j/√d_j|²/2 + λ Σ_i |R_i - Y_i|² for the stylised picture Y, d_i = Σ_j W_ij:
R = (1-a) (1 - a S)^-1 Y with S = D^-1/2 W D^-1/2 and a = 1/(1+λ).
"""

from typing import Any, Literal, get_args

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from claimkit.errors import InputError
from photonet.regions.guided_filter import inverse

STRENGTH = 0.9999  # a and ε as the public code of PhotoWCT has them
EPSILON = 1e-7
TOLERANCE = 1e-3  # of conjugate gradients: bounds the root mean square error of the result relative to the picture's
OFFSETS = [(y, x) for y in (0, 1, 2) for x in (0, 1, 2)]

Solver = Literal["cg", "direct"]


def affinity(guide: Float[Tensor, "3 h w"], epsilon: float = EPSILON) -> Any:
    """W as a sparse matrix (h w, h w) of 25 diagonals, pixels row by row; W 1 - W is Levin's matting Laplacian.

    Raises:
        InputError: The guide is smaller than a window.
    """
    height, width = guide.shape[1:]
    if min(height, width) < 3:
        raise InputError(f"the matting Laplacian needs at least 3 x 3 pixels, not {height} x {width}")
    windows = guide.double().unfold(1, 3, 1).unfold(2, 3, 1).flatten(3)
    colours = (windows - windows.mean(3, keepdim=True)).permute(0, 3, 1, 2).contiguous()
    covariance = torch.einsum("ikyx,jkyx->ijyx", colours, colours) / 9
    covariance[range(3), range(3)] += epsilon / 9
    whitened = torch.einsum("ijyx,jkyx->ikyx", inverse(covariance), colours)
    bands = torch.zeros(5, 5, height, width, dtype=torch.float64)
    for i, (y, x) in enumerate(OFFSETS):
        for j, (v, u) in enumerate(OFFSETS):
            value = torch.addcmul(colours[0, i] * whitened[0, j], colours[1, i], whitened[1, j])
            value = torch.addcmul(value, colours[2, i], whitened[2, j]).add_(1).div_(9)
            bands[2 + v - y, 2 + u - x, y : y + height - 2, x : x + width - 2] += value
    diagonals = [(v - 2) * width + u - 2 for v in range(5) for u in range(5)]
    # scipy stores W[k - d, k] at column k of diagonal d: W is symmetric, so that is the band of -d, in reverse order here
    data = bands.flip(0, 1).reshape(25, -1).numpy()
    if len(set(diagonals)) < 25:  # narrower than five pixels, diagonals coincide
        matrices = [scipy.sparse.dia_array((data[k : k + 1], [d]), (data.shape[1],) * 2) for k, d in enumerate(diagonals)]
        return sum(matrices[1:], matrices[0]).todia()
    return scipy.sparse.dia_array((data, diagonals), (data.shape[1],) * 2)


def matting_laplacian(guide: Float[Tensor, "3 h w"], epsilon: float = EPSILON) -> Any:
    """L = D - W, sparse (h w, h w)."""
    w = affinity(guide, epsilon)
    return scipy.sparse.diags_array(w.sum(1)) - w


def matting_smoothing(
    picture: Float[Tensor, "c h w"],
    guide: Float[Tensor, "3 h w"],
    strength: float = STRENGTH,
    epsilon: float = EPSILON,
    solver: Solver = "cg",
) -> Float[Tensor, "c h w"]:
    """The picture, smooth wherever the content is, both in [0, 1]; the result is not clamped.

    Args:
        picture: Y, the stylised picture.
        guide: I, the content.
        strength: a, in [0, 1); 0 changes nothing.
        epsilon: ε.
        solver: Conjugate gradients from the picture on, or SuperLU's factorisation as PhotoWCT's code uses it.

    Raises:
        InputError: Sizes differ, ``strength`` is out of range, or there is no such solver.
    """
    if picture.shape[1:] != guide.shape[1:]:
        raise InputError(f"picture and guide need one size, not {tuple(picture.shape[1:])} and {tuple(guide.shape[1:])}")
    if not 0 <= strength < 1:
        raise InputError(f"strength must be at least 0 and less than 1, not {strength}")
    if solver not in get_args(Solver):
        raise InputError(f"solver must be one of {', '.join(get_args(Solver))}, not {solver!r}")
    w = affinity(guide, epsilon)
    root = scipy.sparse.diags_array(1 / np.sqrt(w.sum(1)))
    system = scipy.sparse.eye_array(w.shape[0]) - strength * (root @ w @ root)
    y = picture.double().flatten(1).numpy()
    smooth = _direct(system, y) if solver == "direct" else _conjugate_gradients(system, y, 1 - strength)
    return torch.from_numpy((1 - strength) * smooth).to(picture.dtype).view_as(picture)


def _direct(system: Any, y: NDArray[np.float64]) -> NDArray[np.float64]:
    factors = scipy.sparse.linalg.splu(system.tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0)
    return np.ascontiguousarray(factors.solve(y.T).T)


def _conjugate_gradients(system: Any, y: NDArray[np.float64], least: float) -> NDArray[np.float64]:
    """One channel after the other; ``least`` is the smallest eigenvalue, so that y/least has the result's size."""
    solved = [scipy.sparse.linalg.cg(system, row, x0=row / least, rtol=TOLERANCE, maxiter=10_000) for row in y]
    if any(info for _, info in solved):
        raise RuntimeError("conjugate gradients did not converge in ten thousand steps")
    return np.stack([x for x, _ in solved])
