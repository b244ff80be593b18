"""What tells a separator its sources apart: one rule at training, at testing and in the command.

The sounds of a mixture are clustered into as many centres as there are sources; each is given to one thing that is seen,
one to one, so that the distances add up to the least; the condition is the nearest visual centre of that thing. A blind
separator is told nothing, and its stems are given to the things by the same rule.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from avcurriculum import audio
from avcurriculum.network.model import AVNet
from avcurriculum.scenes.packs import SAMPLES, loudness
from avcurriculum.separation.separate import Separator

Reader = Callable[[Float[Tensor, "sounds frames bands"]], Tensor]
"""From log-mel to what the network reads: a frozen backbone's features, or log-mel itself."""


class Assigned(NamedTuple):
    """Which thing each sound comes from.

    Attributes:
        thing: Of each sound, all different.
        center: The thing's visual centre that is nearest to the sound.
        distance: To it.
    """

    thing: Int[NDArray, " sounds"]
    center: Float[Tensor, "sounds dim"]
    distance: Float[Tensor, " sounds"]


def assign(heard: Float[Tensor, "sounds dim"], seen: Float[Tensor, "things centers dim"]) -> Assigned:
    """Give each sound a thing of its own so that the sum of the distances is least; at least as many things as sounds.

    >>> heard = torch.tensor([[0.0, 0.0], [0.4, 0.0]])
    >>> seen = torch.tensor([[[0.1, 0.0]], [[2.0, 0.0]]])  # both sounds are nearest to the first thing
    >>> assign(heard, seen).thing.tolist()
    [0, 1]
    """
    d = torch.cdist(heard[None], seen)  # (things, sounds, centers)
    least, which = d.min(-1)
    _, thing = linear_assignment(least.T)
    index = torch.from_numpy(thing)
    sounds = torch.arange(len(heard))
    return Assigned(thing, seen[index, which[index, sounds]], least[index, sounds])


def linear_assignment(cost: Float[Tensor, "rows columns"]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and their columns, one to one, with the least sum."""
    if len(cost) == 1:  # without loading scipy, which takes longer than all looks at a clip
        return np.zeros(1, np.int64), cost.argmin(1).cpu().numpy()
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(cost.detach().cpu().double().numpy())
    return rows, columns


@torch.no_grad()
def heard_centers(
    net: AVNet, waves: Float[Tensor, "sounds samples"], k: int, reader: Reader | None = None
) -> Float[Tensor, "sounds k dim"]:
    """Centres of K sounds in each of some waves of two seconds, at the loudness that K sounds have in training."""
    level = waves.square().mean(-1, keepdim=True).sqrt().clamp(min=audio.SILENCE)
    mel = audio.log_mel(waves * (0.1 * k**0.5 / level), net.mel)
    return net.centers(net.embed_audio(reader(mel) if reader else mel), k).centers


@torch.no_grad()
def clip_centers(net: AVNet, wave: NDArray[np.float32], k: int) -> Float[Tensor, "k dim"]:
    """Centres of K sounds in a whole clip: every two seconds that are not silent, at most 64 of them, clustered together.

    They begin every second, and the last ones end with the clip.
    """
    padded = np.pad(wave, (0, max(SAMPLES - wave.size, 0)))
    starts = sorted({*range(0, padded.size - SAMPLES + 1, SAMPLES // 2), padded.size - SAMPLES})
    loud = [c for c in (padded[i : i + SAMPLES] for i in starts) if audio.rms(c) >= audio.SILENCE]
    chosen = np.linspace(0, len(loud) - 1, min(len(loud), 64)).round().astype(int)
    some = np.stack([loudness(loud[i], 0.1 * k**0.5) for i in chosen])
    positions = net.embed_audio(audio.log_mel(torch.from_numpy(some), net.mel)).flatten(0, 2)[None]
    return net.cluster(positions, k).centers[0]


def assigned_stems(
    net: AVNet,
    separator: Separator,
    mixture: Float[Tensor, "mixes samples"],
    seen: Sequence[Tensor],
    reader: Reader | None = None,
) -> Float[Tensor, "mixes sources samples"]:
    """Blind stems of two seconds in the order of the things that are seen.

    Args:
        net: Localiser.
        separator: A blind one.
        mixture: Of each mix.
        seen: Visual centres of the things of each mix, ``(things, centers, dim)``.
        reader: As in :func:`heard_centers`.
    """
    stems = separator.stems(mixture)
    heard = heard_centers(net, stems.flatten(0, 1), 1, reader).unflatten(0, stems.shape[:2])[:, :, 0]
    return torch.stack([s[np.argsort(assign(h, v).thing)] for s, h, v in zip(stems, heard, seen, strict=True)])
