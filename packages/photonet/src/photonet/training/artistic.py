"""ArtNet's decoder trained by what its pictures look like to VGG-19 and by their edges, not by pixels alone.

A decoder that is trained by mean squared error gives the mean of all pictures that its bottleneck allows, which is blurred,
and what ArtNet's transfers hand on are the statistics of decoded pictures: a blurred style's. So a decoded picture, painting
or photograph, is to keep edges, features and Gram matrices. No transfer is in the loop: WCT's five maps are nearly singular,
and the gradient of a stylised picture was 100 to 5,000 times that of a decoded one, which nothing else came up against.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from claimkit.run import seed_everything
from claimkit.style.looks import Judge
from claimkit.training.crops import Crops
from claimkit.training.loop import Loop
from photonet.network.auto_encoder import PhotoNet
from photonet.training.likeness import Likeness
from photonet.weights import save_networks


@dataclass(frozen=True)
class Artistic(Likeness):
    """Settings of the training.

    Attributes:
        photographs: Of them a step.
        paintings: Of them a step.
        crop: Side of the crops in pixels, a multiple of 32.
        learning_rate: Of Adam.
        seed: Of crops.
    """

    photographs: int = 3
    paintings: int = 1
    crop: int = 128
    learning_rate: float = 1e-3
    seed: int = 0


def train_artistic(
    network: PhotoNet,
    judge: Judge,
    photographs: list[Path],
    paintings: list[Path],
    out: Path,
    steps: int,
    settings: Artistic,
    resume: bool = False,
) -> Path:
    """Train the decoder, not the encoder, which other networks share; every other step is judged at half the size.

    Args:
        network: What to go on from.
        judge: Whose features the distances are measured in.
        photographs: Files.
        paintings: Files.
        out: Folder of checkpoint.pt, log.jsonl, samples/ and network.safetensors.
        steps: In all.
        settings: What to do.
        resume: Go on from the checkpoint in ``out``.

    Returns:
        The file of the trained network, under the name ``artnet``.
    """
    seed_everything(settings.seed)
    encoder, decoder = network.encoder.eval().requires_grad_(False), network.decoder.train().requires_grad_(True)
    network.to(memory_format=torch.channels_last)
    photos, painted = Crops(photographs, seed=settings.seed), Crops(paintings, seed=settings.seed + 1)

    def draw(step: int) -> Tensor:
        both = ((photos, settings.photographs), (painted, settings.paintings))
        x = torch.cat([crops.at(step).draw(count, settings.crop, 2.2) for crops, count in both])
        return x.contiguous(memory_format=torch.channels_last)

    def step(i: int) -> dict[str, Tensor]:
        x = draw(i)
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                levels = dict(enumerate(encoder(x), start=1))
            y = decoder(levels).float()
        return settings.losses(judge, y, x, i)

    shown = draw(2**31)

    def sample() -> Tensor:
        return torch.cat([torch.cat(list(row), 2) for row in (shown, network.reconstruct(shown).clamp(0, 1))], 1)

    rate, identity = settings.learning_rate, asdict(settings)
    loop = Loop(decoder, out, steps, rate, sample_every=200, checkpoint_every=50, identity=identity)
    loop.run(step, sample, resume)
    path = out / "network.safetensors"
    save_networks(encoder, {"artnet": decoder}, path, {"steps": str(steps), "seconds": f"{loop.seconds:.0f}"})
    return path
