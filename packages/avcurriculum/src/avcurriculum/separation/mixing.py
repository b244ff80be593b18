"""Mix and separate: sounds of two scenes are added, and a separator learns to take them apart by what each picture shows."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from avcurriculum.network.backbones import read_tensors
from avcurriculum.network.losses import check_finite
from avcurriculum.network.model import AVNet
from avcurriculum.scenes.packs import Pack
from avcurriculum.scenes.pools import Pool
from avcurriculum.separation.conditions import Reader, assign, heard_centers
from avcurriculum.separation.separate import Separator, analyse, mask_loss
from claimkit.errors import InputError
from claimkit.files import atomic_path


class Mix(NamedTuple):
    """Two sounds and the pictures of their things: class, sound, gain, and the scene of one source that shows it."""

    classes: tuple[int, int]
    sounds: tuple[int, int]
    gains: tuple[float, float]
    pictures: tuple[int, int]


Conditions = Callable[[Sequence[Mix], Tensor], Float[Tensor, "mixes 2 condition"]]
"""From mixes and their waves to what tells the sources apart."""


def draw_mix(pack: Pack, shown: Pool, rng: np.random.Generator) -> Mix:
    """Two different classes, a sound of each with a gain within 3 dB, and a scene of one source that shows each.

    Raises:
        InputError: Less than two classes are shown.
    """
    things = np.array([c[0] for c in shown.classes])
    if len(np.unique(things)) < 2:
        raise InputError(f"{len(shown)} scenes show one class: a mix needs things of two, from more scenes or a larger pack")
    a, b = rng.permutation(np.unique(things))[:2].tolist()
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


class SeparatorTrainer:
    """Trains a separator in place; its whole state can be saved and loaded between steps.

    Args:
        separator: What is trained; a blind one learns from the best order of its stems.
        pack: Sounds of the training split.
        shown: Scenes of one source of the same split.
        conditions: What tells the sources apart.
        steps: Steps of Adam; the rate falls to zero by a cosine.
        batch: Mixes a step.
        learning_rate: At the beginning.
        seed: Of the mixes.
    """

    def __init__(
        self,
        separator: Separator,
        pack: Pack,
        shown: Pool,
        conditions: Conditions,
        steps: int,
        batch: int = 8,
        learning_rate: float = 1e-3,
        seed: int = 0,
    ) -> None:
        self.separator, self.pack, self.shown, self.conditions = separator, pack, shown, conditions
        self.steps, self.batch, self.losses = steps, batch, list[float]()
        self.rng = np.random.default_rng([seed, 11])
        self.optimizer = torch.optim.Adam(separator.parameters(), learning_rate)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, max(steps, 1))

    def run(self) -> Iterator[float]:
        """Train to the last step, yielding the loss after every one."""
        while len(self.losses) < self.steps:
            self.separator.train()
            self.losses.append(self._advance())
            yield self.losses[-1]
        self.separator.eval()

    def save(self, path: Path) -> None:
        """Write the whole state, whole or not at all."""
        state = {
            "separator": self.separator.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "rng": self.rng.bit_generator.state,
            "losses": self.losses,
        }
        with atomic_path(path) as temporary:
            torch.save(state, temporary)

    def load(self, path: Path) -> None:
        """Go on from where :meth:`save` was called; all else is the caller's to keep.

        Raises:
            InputError: Not a checkpoint of such a separator.
        """
        state = read_tensors(path)
        try:
            self.separator.load_state_dict(state["separator"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.schedule.load_state_dict(state["schedule"])
            self.rng.bit_generator.state = state["rng"]
            self.losses = list(state["losses"])
        except (KeyError, RuntimeError, TypeError, ValueError) as e:
            raise InputError(f"{path} is not a checkpoint of this separator: start again in another folder") from e

    def _advance(self) -> float:
        settings = self.separator.settings
        mixes = [draw_mix(self.pack, self.shown, self.rng) for _ in range(self.batch)]
        waves = stems(self.pack, mixes)
        with torch.no_grad():
            z = self.conditions(mixes, waves.sum(1))
            sources = analyse(waves.flatten(0, 1), settings.rows).magnitude.unflatten(0, (-1, 2))
            mixture = analyse(waves.sum(1), settings.rows).magnitude
        loss = mask_loss(self.separator(mixture, z), sources, mixture, settings.blind, settings.masks)
        check_finite(loss, len(self.losses))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        return float(loss.detach())


def train_separator(
    separator: Separator, pack: Pack, shown: Pool, conditions: Conditions, steps: int, **more: Any
) -> list[float]:
    """Train from beginning to end; the loss of every step. Arguments as for :class:`SeparatorTrainer`."""
    return list(SeparatorTrainer(separator, pack, shown, conditions, steps, **more).run())


def constant_conditions(table: Float[Tensor, "rows condition"], by_class: bool) -> Conditions:
    """A row of a table for each source: that of its class, or of its place in the mix (which says nothing)."""
    return lambda mixes, _: torch.stack([table[list(m.classes)] if by_class else table[:2] for m in mixes])


@torch.no_grad()
def seen_centers(net: AVNet, shown: Pool) -> Float[Tensor, "scenes centers dim"]:
    """Visual centres of scenes of one source."""
    k = 1 + net.architecture.background
    return torch.cat([net.centers(net.embed_image(p), k).centers for p in shown.visual.split(128)])


def visual_conditions(net: AVNet, shown: Pool, reader: Reader | None = None) -> Conditions:
    """The visual centre of each source's picture, by the rule of :mod:`.conditions`: all that a user has.

    Args:
        net: Localiser whose centres are the conditions.
        shown: Scenes of one source.
        reader: From log-mel to what the network reads; log-mel itself when None.
    """
    net.eval()
    seen = seen_centers(net, shown)

    def conditions(mixes: Sequence[Mix], mixture: Tensor) -> Tensor:
        rows = []
        for m, heard in zip(mixes, heard_centers(net, mixture, 2, reader), strict=True):
            found = assign(heard, seen[list(m.pictures)])
            rows.append(found.center[np.argsort(found.thing)])  # from the order of the sounds to that of the pictures
        return torch.stack(rows)

    return conditions
