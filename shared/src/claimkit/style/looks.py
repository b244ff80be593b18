"""What a stylised picture looks like to a network that knows pictures, in numbers that have a gradient.

Distances between levels of features, as a rule those of :class:`Judge`, and the drawing that is kept; each is ``(batch,)``.
Needed by styleproj and photonet, whose decoders are trained by it.
"""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from claimkit.errors import InputError
from claimkit.style.encoders import VGG19, vgg19_state
from claimkit.style.metrics import LUMA, WINDOW, gram_distance, moments, rms


class Judge(nn.Module):
    """relu1_1, relu2_1, relu3_1 and relu3_4 of the original VGG-19, which padded with zeros.

    Args:
        vgg: File of VGG-19 in torchvision's keys, at least to conv3_4.
    """

    LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv3_4")

    def __init__(self, vgg: Path):
        super().__init__()
        state = vgg19_state(vgg)
        if "conv3_4.weight" not in state:
            raise InputError(f"{vgg} ends before conv3_4: give a VGG-19 that goes further")
        self.vgg = VGG19(4, "zeros")
        self.vgg.load_state_dict(state, strict=False)  # conv4_1 is never asked
        self.eval().requires_grad_(False)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Four levels."""
        found = []
        for name, y in self.vgg.activations(image):
            if name in self.LAYERS:
                found.append(F.relu(y))
            if name == self.LAYERS[-1]:
                break
        return found


def style_distance(result: list[Tensor], style: list[Tensor]) -> Float[Tensor, " b"]:
    """Root mean square difference of means and of deviations, over the style's own, averaged over levels of features."""

    def relative(f: Tensor, g: Tensor) -> Tensor:
        (m, d), (mean, deviation) = moments(f), moments(g)
        return (rms(m - mean) + rms(d - deviation)) / (rms(mean) + rms(deviation))

    return torch.stack([relative(f, g) for f, g in zip(result, style, strict=True)]).mean(0)


def style_gram_distance(result: list[Tensor], style: list[Tensor]) -> Float[Tensor, " b"]:
    """Relative distance of Gram matrices, averaged over levels of features."""
    return torch.stack([gram_distance(f, g) for f, g in zip(result, style, strict=True)]).mean(0)


def content_distance(result: Float[Tensor, "b c h w"], content: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
    """Norm of the difference of deep features over that of the content's, each channel at mean 0 and deviation 1.

    So that the contrast which a style has, or has not, does not count: 0 is the same drawing, about 1.4 another one.
    """

    def normalised(x: Tensor) -> Tensor:
        mean, deviation = moments(x)
        return ((x.float() - mean[..., None, None]) / deviation[..., None, None]).flatten(1)

    a, b = normalised(result), normalised(content)
    return rms(a - b) / rms(b)


def edge_similarity(a: Float[Tensor, "b 3 h w"], b: Float[Tensor, "b 3 h w"]) -> Float[Tensor, " b"]:
    """SSIM of Sobel magnitudes of luma as :func:`claimkit.style.metrics.ssim_edge` has it, with a gradient."""
    x, y = _edges(a), _edges(b)

    def mean(v: Tensor) -> Tensor:
        return F.avg_pool2d(v, WINDOW, 1)

    mx, my = mean(x), mean(y)
    sample = WINDOW**2 / (WINDOW**2 - 1)
    vx, vy, both = (sample * (mean(p) - q) for p, q in ((x * x, mx * mx), (y * y, my * my), (x * y, mx * my)))
    similarity = (2 * mx * my + 1e-4) * (2 * both + 9e-4) / ((mx * mx + my * my + 1e-4) * (vx + vy + 9e-4))
    return similarity.mean((1, 2, 3))


def _edges(picture: Tensor) -> Tensor:
    """Sobel magnitude, scaled as scikit-image scales it."""
    slope = torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]]) / 4
    kernels = torch.stack([slope, slope.T])[:, None].to(picture.device)
    both = F.conv2d(F.pad(luma(picture), (1, 1, 1, 1), mode="replicate"), kernels)
    return (both.square().mean(1, keepdim=True) + 1e-10).sqrt()


def luma(picture: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h w"]:
    """Weighted sum of the channels, of pictures about [0, 1]."""
    return (picture.float() * torch.tensor(LUMA).to(picture.device)[:, None, None]).sum(1, keepdim=True)
