"""The networks that the shipped encoder learns from: true VGG-19 as far as it is given, its 16x-compressed kin beyond.

The files are development data and are not part of the package. The compressed one is from Collaborative Distillation
(Wang et al., 2003.08436): ``SE5.*`` is an encoder to relu5_1, ``SE5.*_aux`` are 1x1 maps to VGG's own channels.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from claimkit.errors import InputError
from claimkit.style.encoders import VGG19, VGG_CHANNELS, VGG_CONVOLUTIONS, LevelEncoder, load_vgg19, read_state, vgg19_state


class Teacher(nn.Module):
    """Features at relu1_1 .. relu5_1 of the normalised VGG-19: the first three exact, the others the compressed network's.

    Args:
        weights: Folder of the three files.
    """

    def __init__(self, weights: Path):
        super().__init__()
        self.shallow = load_vgg19(weights / "vgg19_normalised_conv3_1.pt", 3)
        self.further = VGG19(4)
        self.further.load_state_dict(vgg19_state(weights / "vgg19_imagenet_conv3_4.pt"), strict=False)
        path = weights / "vgg19_distilled16x.pt"
        state = read_state(path)
        self.deep = compressed_encoder(state, path)
        channels = self.deep.channels
        self.heads = nn.ModuleList(nn.Conv2d(channels[b - 1], VGG_CHANNELS[b - 1], 1) for b in (4, 5))
        for head, b in zip(self.heads, (4, 5), strict=True):
            head.load_state_dict({p: state[f"SE5.conv{b}1_aux.{p}"] for p in ("weight", "bias")})
        self.eval().requires_grad_(False)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Five levels."""
        deep = self.deep(image)
        return [*self.shallow(image), *(F.relu(head(deep[b - 1])) for head, b in zip(self.heads, (4, 5), strict=True))]

    @torch.no_grad()
    def activations(self, image: Tensor) -> dict[str, Tensor]:
        """What each convolution of the student imitates, by the student's names: two a block, one in the last."""
        found = {name: F.relu(y) for name, y in self.shallow.activations(image)}
        further = dict(self.further.activations(image, 4))
        deep = dict(self.deep.activations(image))
        levels = self(image)
        found["conv3_2"] = F.relu(further["conv3_4"])
        found["conv4_1"], found["conv4_2"], found["conv5_1"] = levels[3], F.relu(deep["conv4_4"]), levels[4]
        return found


def compressed_encoder(state: Mapping[str, Tensor], path: Path) -> LevelEncoder:
    """The compressed VGG-19 to relu5_1.

    Args:
        state: What the file at ``path`` holds.
        path: For the message.

    Raises:
        InputError: It is another file.
    """
    if "SE5.conv51.weight" not in state:
        raise InputError(f"{path} is not the compressed VGG-19: expected keys such as SE5.conv51.weight")
    encoder = LevelEncoder([state[f"SE5.conv{b}1.weight"].shape[0] for b in range(1, 6)], VGG_CONVOLUTIONS)
    names = [(f"conv{b}_{i}", f"conv{b}{i}") for b, n in enumerate(encoder.convolutions, start=1) for i in range(1, n + 1)]
    pairs = [("input", "conv0"), *names]
    encoder.load_state_dict({f"{to}.{p}": state[f"SE5.{old}.{p}"] for to, old in pairs for p in ("weight", "bias")})
    return encoder
