"""What the eye objects to in a picture that was given another light, in numbers: halos beside edges, bands in smooth places.

Both compare a result with its content, ``(3, height, width)`` in [0, 1], and are 0 for the content itself.
"""

import numpy as np
import torch
from jaxtyping import Float
from scipy.ndimage import binary_dilation, maximum_filter, minimum_filter
from skimage.filters import sobel
from torch import Tensor

from claimkit.errors import InputError
from claimkit.style.metrics import LUMA
from photonet.regions.guided_filter import guided_filter

LOCAL = 8  # radius in pixels of the windows in which a change of light is one affine map
AROUND = 3  # pixels: halos are looked for so far from an edge, and compared with the range so far around
STRONG = 0.9  # quantile of the content's gradients from which they are strong edges
FLAT = 2.0  # levels of 255: neighbours of the content that differ by no more are smooth to the eye
STEP = 4.0  # levels of 255 beyond the content's own: a step that is seen in a smooth place


def halo(result: Float[Tensor, "3 h w"], content: Float[Tensor, "3 h w"]) -> float:
    """Mean overshoot of luma beside the content's strong edges, in levels of 255.

    Around every pixel the result's luma is fitted by an affine map of the content's colours (windows of 17 x 17): what a
    change of light may do. Overshoot is how far luma leaves the range of that fit in 7 x 7 pixels, above or below, within 3
    pixels of the strongest tenth of the content's edges. A map of colours has next to none; outlines have.

    Raises:
        InputError: Sizes differ.
    """
    picture, original = _luma(result, content), _luma(content, content)
    guide = content.detach().double().cpu()
    fitted = guided_filter(torch.from_numpy(picture)[None], guide, LOCAL, 1e-6)[0].numpy()
    size = 2 * AROUND + 1
    above, below = picture - maximum_filter(fitted, size), minimum_filter(fitted, size) - picture
    over = np.maximum(np.maximum(above, below), 0)
    edges = sobel(original)
    near: np.ndarray = binary_dilation(edges >= max(np.quantile(edges, STRONG), 1e-9), iterations=AROUND)
    return float(255 * over[near].mean()) if near.any() else 0.0


def banding(result: Float[Tensor, "3 h w"], content: Float[Tensor, "3 h w"]) -> float:
    """Share of smooth places where the result has a step that is seen.

    Of all pairs of neighbours that differ by at most two levels of 255 in every channel of the content, those that differ by
    over four levels more in some channel of the result, both rounded to 8 bits: bands of a sky, blocks of JPEG,
    blown-up noise.

    Raises:
        InputError: Sizes differ.
    """
    _luma(result, content)
    a, b = ((x.detach().double().cpu().clamp(0, 1) * 255).round() for x in (content, result))
    seen = smooth = 0
    for axis in (1, 2):
        mine, theirs = (x.diff(dim=axis).abs().amax(0) for x in (a, b))
        flat = mine <= FLAT
        smooth += int(flat.sum())
        seen += int((flat & (theirs > mine + STEP)).sum())
    return seen / smooth if smooth else 0.0


def _luma(picture: Tensor, content: Tensor) -> np.ndarray:
    if picture.shape != content.shape or picture.ndim != 3 or picture.shape[0] != 3:
        raise InputError(f"expected two pictures (3, h, w) of one size, not {tuple(picture.shape)}, {tuple(content.shape)}")
    return np.tensordot(LUMA, picture.detach().double().cpu().clamp(0, 1).numpy(), axes=1)
