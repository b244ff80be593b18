"""The public VGG-19 pair of equal depth with ArtNet: relu5_1 and back, compressed 16 times.

It is from Collaborative Distillation (Wang et al., 2003.08436); the file is development data and not part of the package.
"""

from pathlib import Path

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from claimkit.errors import InputError
from claimkit.style.encoders import read_state
from photonet.training.teachers import compressed_encoder

FILE = "vgg19_distilled16x.pt"
ENLARGED = ("conv51", "conv41", "conv31", "conv21")
"""Convolutions after which the decoder doubles height and width."""


class CompressedPair(nn.Module):
    """Encoder and decoder without skips; a ReLU follows every convolution, the last included.

    Args:
        path: The file.

    Raises:
        InputError: Another file.
    """

    def __init__(self, path: Path):
        super().__init__()
        state = read_state(path)
        self.encoder = compressed_encoder(state, path)
        self.decoder = nn.ModuleDict()
        for key, weight in state.items():
            if key.startswith("SD5.") and weight.ndim == 4:
                name = key.split(".")[1]
                layer = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1, padding_mode="reflect")
                layer.load_state_dict({part: state[f"SD5.{name}.{part}"] for part in ("weight", "bias")})
                self.decoder[name] = layer
        if not self.decoder:
            raise InputError(f"{path} has no decoder: expected keys such as SD5.conv51.weight")
        self.eval().requires_grad_(False)

    def reconstruct(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """The picture encoded and decoded; height and width are multiples of 16."""
        x = self.encoder(image)[-1]
        for name, layer in self.decoder.items():
            x = F.relu(layer(x))
            if name in ENLARGED:
                x = F.interpolate(x, scale_factor=2)
        return x
