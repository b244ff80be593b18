"""The networks that the shipped weights learn from: true VGG-19 as far as it is given, its 16x-compressed kin beyond.

The files are development data and are not part of the package. The compressed one is from Collaborative Distillation
(Wang et al., 2003.08436): ``SE4.*`` an encoder to relu4_1, ``SE4.*_aux`` 1x1 maps to VGG's own channels, ``SD4.*`` a
decoder.
"""

from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional as F

from claimkit.errors import InputError
from claimkit.style.encoders import VGG_CHANNELS, LevelEncoder, load_vgg19, read_state
from styleproj.networks.network import Decoder, StyleNetwork

CHANNELS = (16, 32, 64, 128)
CONVOLUTIONS = (2, 2, 4)


def compressed_pair(path: Path) -> StyleNetwork:
    """The compressed encoder to relu4_1 with its decoder, frozen."""
    state = read_state(path)
    if "SE4.conv41.weight" not in state:
        raise InputError(f"{path} is not the compressed VGG-19: expected keys such as SE4.conv41.weight")
    names = [f"{b}{i}" for b, n in enumerate((*CONVOLUTIONS, 1), start=1) for i in range(1, n + 1)]
    network = StyleNetwork(LevelEncoder(CHANNELS, CONVOLUTIONS), Decoder(CHANNELS, CONVOLUTIONS, (4,)))
    wanted = {}
    for part in ("weight", "bias"):
        wanted[f"encoder.input.{part}"] = state[f"SE4.conv0.{part}"]
        for n in names:
            wanted[f"encoder.conv{n[0]}_{n[1]}.{part}"] = state[f"SE4.conv{n}.{part}"]
            wanted[f"decoder.conv{n[0]}_{n[1]}.{part}"] = state[f"SD4.conv{n}.{part}"]
    network.load_state_dict(wanted)
    return network.eval().requires_grad_(False)


class CompressedTeacher(nn.Module):
    """Features at relu1_1 .. relu4_1 as the compressed network maps them to VGG's channels; a tenth of VGG's cost."""

    def __init__(self, compressed: Path):
        super().__init__()
        state = read_state(compressed)
        self.encoder = compressed_pair(compressed).encoder
        for level, (c, full) in enumerate(zip(CHANNELS, VGG_CHANNELS, strict=False), start=1):
            head = nn.Conv2d(c, full, 1)
            head.load_state_dict({part: state[f"SE4.conv{level}1_aux.{part}"] for part in ("weight", "bias")})
            self.add_module(f"head{level}", head)
        self.eval().requires_grad_(False)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Four levels."""
        levels = enumerate(self.encoder(image), start=1)
        return [F.relu(getattr(self, f"head{k}")(x)) for k, x in levels]

    def deepest(self, image: Tensor) -> Tensor:
        """relu4_1 alone."""
        return F.relu(self.get_submodule("head4")(self.encoder(image)[3]))


class Teacher(nn.Module):
    """Features at relu1_1 .. relu4_1 of the normalised VGG-19: the first three exact, the fourth the compressed network's.

    Args:
        vgg: File of the normalised VGG-19 to conv3_1.
        compressed: File of the compressed networks.
    """

    def __init__(self, vgg: Path, compressed: Path):
        super().__init__()
        self.shallow = load_vgg19(vgg, 3)
        self.deep = CompressedTeacher(compressed)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Four levels."""
        return [*self.shallow(image), self.deepest(image)]

    def deepest(self, image: Tensor) -> Tensor:
        """relu4_1 alone: cheap, where only the content loss is wanted."""
        return self.deep.deepest(image)
