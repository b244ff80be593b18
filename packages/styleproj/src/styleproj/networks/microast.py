"""A peer beside which pictures are put: MicroAST (Wang et al., AAAI 2023), as its published weights compute it.

Not used by the package itself. The weights are a flat file of tensors ``content_encoder.*, style_encoder.*, modulator.*,
decoder.*``; the arithmetic is written here for inference alone, and a test holds it to hand-computed values.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from claimkit.style.encoders import read_state

Levels = tuple[Tensor, Tensor]


class MicroAST:
    """A picture in the style of another by MicroAST.

    Args:
        weights: Names and tensors.
    """

    def __init__(self, weights: Mapping[str, Tensor]):
        self.weights = {name: x.float() for name, x in weights.items()}

    @classmethod
    def load(cls, file: Path) -> "MicroAST":
        """From a file that torch reads with ``weights_only``."""
        return cls(read_state(file))

    @torch.inference_mode()
    def prepare(self, style: Float[Tensor, "3 H W"]) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """What the style gives: its two levels of features, and a weight and a bias a channel for either."""
        levels = self._encode(style[None], "style_encoder")

        def pooled(kind: str) -> list[Tensor]:
            return [self._convolve(x, f"modulator.{kind}{n}.0").mean((2, 3), keepdim=True) for n, x in enumerate(levels, 1)]

        return list(levels), pooled("weight"), pooled("bias")

    @torch.inference_mode()
    def stylize(
        self, content: Float[Tensor, "3 h w"], style: Tensor | tuple[list[Tensor], list[Tensor], list[Tensor]]
    ) -> Float[Tensor, "3 h w"]:
        """The content in the style, at full strength; sides that are no multiples of 4 are cut from a padded picture."""
        levels, weights, biases = self.prepare(style) if isinstance(style, Tensor) else style
        height, width = content.shape[1:]
        padded = F.pad(content[None], (0, -width % 4, 0, -height % 4), mode="replicate")
        _, x = self._encode(padded, "content_encoder")
        for block, level in (("dec1", 1), ("dec2", 0)):
            x = self._modulated(_adain(x, levels[level]), f"decoder.{block}", weights[level], biases[level])
        for first, second in ((1, 3), (6, 8)):
            x = F.interpolate(x, scale_factor=2, mode="bilinear")
            x = F.relu(self._convolve(x, f"decoder.dec3.{first}"))
            x = F.relu(self._convolve(x, f"decoder.dec3.{second}"))
        return self._convolve(x, "decoder.dec3.10")[0, :, :height, :width].clamp(0, 1)

    def _encode(self, x: Tensor, encoder: str) -> Levels:
        for layer, stride in ((0, 1), (2, 2), (4, 1), (6, 2), (8, 1)):
            x = F.relu(self._convolve(x, f"{encoder}.enc1.{layer}", stride))
        first = self._residual(x, f"{encoder}.enc1.10")
        return first, self._residual(first, f"{encoder}.enc2.0")

    def _residual(self, x: Tensor, name: str) -> Tensor:
        return x + self._convolve(F.relu(self._convolve(x, f"{name}.conv1")), f"{name}.conv2")

    def _modulated(self, x: Tensor, name: str, weight: Tensor, bias: Tensor) -> Tensor:
        """A residual block whose convolutions the style scales, and whose inputs it adds in part."""
        y = F.relu(weight * self._convolve(x, f"{name}.conv1") + bias * x)
        return x + weight * self._convolve(y, f"{name}.conv2") + bias * y

    def _convolve(self, x: Tensor, name: str, stride: int = 1) -> Tensor:
        """With a mirrored border; how many groups there are follows from the weights."""
        weight, bias = (self.weights[f"{name}.conv_layer.{kind}"] for kind in ("weight", "bias"))
        border = weight.shape[-1] // 2
        padded = F.pad(x, (border,) * 4, mode="reflect")
        return F.conv2d(padded, weight, bias, stride, groups=x.shape[1] // weight.shape[1])


def _adain(x: Tensor, style: Tensor) -> Tensor:
    """The means and deviations of the style's channels, deviations of samples as the peer takes them."""
    (variance, mean), (wanted, middle) = (torch.var_mean(y, (2, 3), keepdim=True) for y in (x, style))
    return (x - mean) / (variance + 1e-5).sqrt() * (wanted + 1e-5).sqrt() + middle
