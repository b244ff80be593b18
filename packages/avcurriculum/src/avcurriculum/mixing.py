"""Mix and separate: sounds of two scenes are added, and a separator learns to take them apart by what each picture shows."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from avcurriculum import audio
from avcurriculum.model import AVNet
from avcurriculum.packs import Pack
from avcurriculum.pools import Pool
from avcurriculum.separate import Separator, analyse, mask_loss
from claimkit import run


class Mix(NamedTuple):
    """Two sounds and the pictures of their things: class, sound, gain, and the scene of one source that shows it."""

    classes: tuple[int, int]
    sounds: tuple[int, int]
    gains: tuple[float, float]
    pictures: tuple[int, int]


Conditions = Callable[[Sequence[Mix], Tensor], Float[Tensor, "mixes 2 condition"]]
"""From mixes and their waves to what tells the sources apart."""


def draw_mix(pack: Pack, shown: Pool, rng: np.random.Generator) -> Mix:
    """Two different classes, a sound of each with a gain within 3 dB, and a scene of one source that shows each."""
    a, b = rng.permutation(len(pack.classes))[:2].tolist()
    things = np.array([c[0] for c in shown.classes])
    pictures = [int(rng.choice(np.flatnonzero(things == c))) for c in (a, b)]
    sounds = [int(rng.integers(len(pack.sounds[pack.classes[c]]))) for c in (a, b)]
    gains = (10 ** (rng.uniform(-3, 3, 2) / 20)).tolist()
    return Mix((a, b), (sounds[0], sounds[1]), (gains[0], gains[1]), (pictures[0], pictures[1]))


def stems(pack: Pack, mixes: Sequence[Mix]) -> Float[Tensor, "mixes 2 samples"]:
    """The waves of each mix."""
    waves = [
        [pack.sounds[pack.classes[c]][i] * np.float32(g) for c, i, g in zip(m.classes, m.sounds, m.gains, strict=True)]
        for m in mixes
    ]
    return torch.from_numpy(np.array(waves))


def train_separator(
    separator: Separator,
    pack: Pack,
    shown: Pool,
    conditions: Conditions,
    steps: int,
    batch: int = 8,
    learning_rate: float = 1e-3,
    seed: int = 0,
    free: bool = False,
) -> list[float]:
    """Train a separator in place; the loss of every step.

    Args:
        separator: What is trained.
        pack: Sounds of the training split.
        shown: Scenes of one source of the same split.
        conditions: What tells the sources apart.
        steps: Steps of Adam; the rate falls to zero by a cosine.
        batch: Mixes a step.
        learning_rate: At the beginning.
        seed: Of the mixes.
        free: Blind: the better order of the two sources counts.
    """
    rng = np.random.default_rng([seed, 11])
    optimizer = torch.optim.Adam(separator.parameters(), learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    rows, losses = separator.settings.rows, []
    separator.train()
    for _ in run.progress(range(steps), "separator", unit="step"):
        mixes = [draw_mix(pack, shown, rng) for _ in range(batch)]
        waves = stems(pack, mixes)
        with torch.no_grad():
            z = conditions(mixes, waves.sum(1))
            sources = analyse(waves.flatten(0, 1), rows).magnitude.unflatten(0, (-1, 2))
            mixture = analyse(waves.sum(1), rows).magnitude
        loss = mask_loss(separator(mixture, z), sources, mixture, free)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
    separator.eval()
    return losses


def constant_conditions(table: Float[Tensor, "rows condition"], by_class: bool) -> Conditions:
    """A row of a table for each source: that of its class, or of its place in the mix (which says nothing)."""
    return lambda mixes, _: torch.stack([table[list(m.classes)] if by_class else table[:2] for m in mixes])


@torch.inference_mode()
def visual_conditions(
    net: AVNet,
    shown: Pool,
    solo: Mapping[int, Tensor],
    heard: bool,
    features: Callable[[Tensor], Tensor] | None = None,
) -> Conditions:
    """The visual centre of each source's picture that is nearest to the sound.

    Args:
        net: Localiser whose centres are the conditions.
        shown: Scenes of one source.
        solo: Class to sounds alone, as the network reads them.
        heard: The sound is the mixture (all that a user has); else the source's own, as in training.
        features: From log-mel to what the network reads; identity when None.
    """
    net.eval()
    k = 1 + net.architecture.background
    seen = torch.cat([net.centers(net.embed_image(p), k).centers for p in shown.visual.split(128)])
    alone = {c: net.centers(net.embed_audio(x), 1).centers for c, x in solo.items()}

    def conditions(mixes: Sequence[Mix], mixture: Tensor) -> Tensor:
        with torch.no_grad():
            centers = mixture_centers(mixture) if heard else None
            rows = []
            for n, m in enumerate(mixes):
                for c, i, p in zip(m.classes, m.sounds, m.pictures, strict=True):
                    d = torch.cdist(seen[p], alone[c][i] if centers is None else centers[n])
                    rows.append(seen[p][d.amin(1).argmin()])
            return torch.stack(rows).unflatten(0, (-1, 2)).clone()

    def mixture_centers(mixture: Tensor) -> Tensor:
        mel = audio.log_mel(mixture, net.mel)
        return net.centers(net.embed_audio(features(mel) if features else mel), 2).centers

    return conditions
