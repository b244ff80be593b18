"""A decoder trained with the transfer in the loop, on grades with a truth; and its twin, trained alike without.

The C-step (1912.02398) trains decoders on features that no transfer has touched. Here a photograph's crop is the content,
another crop of it under a random grade the style, the content under that grade the truth. With the transfer in the loop the
decoder is given the content's features as the transfer leaves them, without it the truth's own. All else is the same.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from claimkit.errors import InputError
from claimkit.run import seed_everything
from claimkit.training.crops import Crops
from claimkit.training.loop import Loop
from photonet.colour.grades import Grade, graded_by_light
from photonet.network.auto_encoder import PhotoNet
from photonet.training.likeness import Likeness
from photonet.transforms import resolve
from photonet.weights import save_networks

TRANSFER = "ot"


@dataclass(frozen=True)
class Graded(Likeness):
    """Settings of the training.

    Attributes:
        in_loop: Whether the transfer is.
        batch: Photographs a step; the last is under light that changes from above to below.
        crop: Side of content and style in pixels, a multiple of 32; they share half of their width.
        learning_rate: Of Adam.
        seed: Of crops and grades.
    """

    in_loop: bool = True
    batch: int = 4
    crop: int = 128
    learning_rate: float = 5e-4
    seed: int = 0


def examples(crops: Crops, settings: Graded, step: int) -> tuple[Tensor, Tensor, Tensor]:
    """Content, style and truth of a step, each ``(batch, 3, crop, crop)``."""
    side, rng = settings.crop, np.random.default_rng([settings.seed, step])
    pictures = crops.at(step).draw(settings.batch, side * 3 // 2, 2.2)[:, :, :side]
    graded = [Grade.draw(rng)(x) for x in pictures[:-1]] + [graded_by_light(pictures[-1], Grade.draw(rng), Grade.draw(rng))]
    result = torch.stack(graded)
    parts = pictures[..., :side], result[..., side // 2 :], result[..., :side]
    content, style, truth = (x.contiguous(memory_format=torch.channels_last) for x in parts)
    return content, style, truth


def train_graded(
    network: PhotoNet,
    judge: Callable[[Tensor], list[Tensor]],
    photographs: list[Path],
    out: Path,
    steps: int,
    settings: Graded,
    resume: bool = False,
) -> Path:
    """Train the decoder, not the encoder.

    Args:
        network: What to go on from; its transfers are all on features of the encoder.
        judge: Gives the levels of features that pictures are compared by.
        photographs: Files.
        out: Folder of checkpoint.pt, log.jsonl, samples/ and network.safetensors.
        steps: In all.
        settings: What to do.
        resume: Go on from the checkpoint in ``out``.

    Returns:
        The file of the trained network, under the name ``graded``.

    Raises:
        InputError: The network has a transfer before a stage of the decoder.
    """
    levels = {int(n[1]) for n in network.architecture.transfers if not n.startswith("stage")}
    if len(levels) < len(network.architecture.transfers):
        raise InputError("the network has transfers before stages of its decoder: this training knows those on features")
    seed_everything(settings.seed)
    encoder, decoder = network.encoder.eval().requires_grad_(False), network.decoder.train().requires_grad_(True)
    network.to(memory_format=torch.channels_last)
    crops, transfer = Crops(photographs, seed=settings.seed), resolve(TRANSFER)

    @torch.no_grad()
    def features(content: Tensor, style: Tensor, truth: Tensor) -> dict[int, Tensor]:
        if not settings.in_loop:
            return network.encode(truth)
        found, wanted = network.encode(content), network.encode(style)
        return {k: transfer(x.float(), wanted[k].float()) if k in levels else x for k, x in found.items()}

    def step(i: int) -> dict[str, Tensor]:
        content, style, truth = examples(crops, settings, i)
        with torch.autocast("cpu", torch.bfloat16):
            made = decoder(features(content, style, truth)).float()
        return settings.losses(judge, made, truth, i)

    shown = examples(crops, settings, 2**31)

    def sample() -> Tensor:
        rows = (*shown, network(*shown[:2], TRANSFER).clamp(0, 1))
        return torch.cat([torch.cat(list(x), 2) for x in rows], 1)

    loop = Loop(
        decoder, out, steps, settings.learning_rate, sample_every=200, checkpoint_every=50, identity=asdict(settings)
    )
    loop.run(step, sample, resume)
    path = out / "network.safetensors"
    save_networks(encoder, {"graded": decoder}, path, {"steps": str(steps), "seconds": f"{loop.seconds:.0f}"})
    return path
