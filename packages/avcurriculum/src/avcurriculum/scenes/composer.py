"""Scenes with known answers: sounding and silent things on a background, the mixture of the sounds, boxes and stems.

Scene ``index`` of a composer depends on its seed and the index alone, so neither order nor the number of workers matters.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from torch import Tensor

from avcurriculum import audio
from avcurriculum.scenes.packs import SAMPLES, Pack
from claimkit.errors import InputError

CACHED_TILES, CACHED_SPECTRA = 8192, 2048
"""Of a composer; a transform of the small network's takes 258 KB, so that they take half a gigabyte at most."""
MIXED = 4
"""Mixtures whose transforms are held at once: what stays in a processor's cache (a megabyte of the small network's)."""
GREY = 128


@dataclass(frozen=True)
class Level:
    """How complex scenes are: sources, silent distractors, and whether a sound comes from outside the picture."""

    sources: int
    distractors: int = 0
    offscreen: bool = False


LEVELS = {1: Level(1, 0), 2: Level(2, 1), 3: Level(3, 1), 4: Level(4, 2, True)}
"""From simple to complex."""


@dataclass(frozen=True)
class Scene:
    """One scene; boxes are ``[x0, y0, x1, y1)`` in pixels.

    Attributes:
        image: RGB, ``(canvas, canvas, 3)``.
        mixture: Sum of the stems, ``(samples,)`` at 16 kHz.
        stems: Sound of each source, then the off-screen one if there is one, ``(sources [+ 1], samples)``.
        boxes: Of each source, ``(sources, 4)``.
        classes: Class of each source; indices into the pack's classes.
        distractors: Boxes of silent things, ``(distractors, 4)``.
        items: Index of each source's sound within its class; a stem is that sound times its gain.
        gains: Linear gain of each stem.
    """

    image: UInt8[NDArray, "canvas canvas 3"]
    mixture: Float[NDArray, " samples"]
    stems: Float[NDArray, "stems samples"]
    boxes: NDArray[np.int64]
    classes: tuple[int, ...]
    distractors: NDArray[np.int64]
    items: tuple[int, ...]
    gains: tuple[float, ...]


class Plan(NamedTuple):
    """What is drawn for a scene before anything is rendered."""

    background: int
    tiles: list[tuple[int, int, int, int, int, bool]]
    """Group, item, x, y, side, flipped; groups are the classes, then the silent ones."""
    sounds: list[tuple[int, int, float]]
    """Class (classes, then off-screen ones), item, gain."""
    depth: Sequence[int] = ()
    """Tiles from the back to the front, where they overlap."""


class Batch(NamedTuple):
    """Scenes ready for a network."""

    images: UInt8[Tensor, "batch canvas canvas 3"]
    features: Float[Tensor, "batch frames bands"]
    boxes: list[NDArray[np.int64]]
    classes: list[tuple[int, ...]]
    distractors: list[NDArray[np.int64]]


class Composer:
    """Composes scenes of a pack.

    Args:
        pack: Pictures and sounds; one split.
        level: How complex; or the number of sources as an int, without distractors.
        canvas: Side of the picture in pixels.
        seed: Seed of all scenes.
        mel: Features of :meth:`batch`.
        snr_db: Range of the mixture's level over the off-screen sound's.
        grey: Show a grey tile in the place of every thing. A control: scenes, sounds and borders are the same, but which
            tile sounds cannot be seen, so that nothing can do better than chance between the tiles.

    Raises:
        InputError: More sources than classes, no silent pictures or off-screen sounds where asked for, or too many tiles.
    """

    def __init__(
        self,
        pack: Pack,
        level: Level | int = 1,
        canvas: int = 64,
        seed: int = 0,
        mel: audio.MelSpec = audio.SMALL,
        snr_db: tuple[float, float] = (0.0, 10.0),
        grey: bool = False,
    ) -> None:
        self.pack, self.canvas, self.seed, self.mel, self.snr_db, self.grey = pack, canvas, seed, mel, snr_db, grey
        self.level = Level(level) if isinstance(level, int) else level
        self._groups = [*(pack.pictures[c] for c in pack.classes), *pack.distractors.values()]
        self._sounds = [*(pack.sounds[c] for c in pack.classes), *pack.offscreen.values()]
        self._check()
        self._tiles: dict[tuple[int, int, int], NDArray[np.uint8]] = {}
        self._backgrounds: dict[int, NDArray[np.uint8]] = {}
        self._spectra: dict[tuple[int, int], Tensor] = {}

    def scene(self, index: int) -> Scene:
        """Scene number ``index``, with its waves."""
        plan = self._plan(index)
        k = self.level.sources
        stems = np.stack([self._sounds[c][i] * np.float32(g) for c, i, g in plan.sounds])
        boxes = boxes_of(plan, self.canvas)
        return Scene(
            self._image(plan),
            stems.sum(0),
            stems,
            boxes[:k],
            tuple(c for c, _, _ in plan.sounds[:k]),
            boxes[k:],
            tuple(i for _, i, _ in plan.sounds[:k]),
            tuple(g for _, _, g in plan.sounds),
        )

    def batch(self, indices: Iterable[int]) -> Batch:
        """Pictures and log-mel features of several scenes; mixtures are sums of transforms computed once a sound."""
        plans = [self._plan(i) for i in indices]
        k = self.level.sources
        boxes = [boxes_of(p, self.canvas) for p in plans]
        mixtures = (torch.stack([self._mixture(p) for p in plans[i : i + MIXED]]) for i in range(0, len(plans), MIXED))
        return Batch(
            torch.from_numpy(np.stack([self._image(p) for p in plans])),
            torch.cat([audio.log_mel_of(m, self.mel) for m in mixtures]),
            [b[:k] for b in boxes],
            [tuple(c for c, _, _ in p.sounds[:k]) for p in plans],
            [b[k:] for b in boxes],
        )

    def _mixture(self, plan: Plan) -> Tensor:
        """Its transform."""
        first, *others = (self._spectrum(c, i) * g for c, i, g in plan.sounds)
        return sum(others, first)

    def _plan(self, index: int) -> Plan:
        rng = np.random.default_rng([self.seed, index])
        sides = 2 if self.level.sources + self.level.distractors <= 4 else 3
        cell = self.canvas / sides
        chosen = rng.permutation(len(self.pack.classes))[: self.level.sources].tolist()
        silent = rng.permutation(len(self.pack.distractors))[: self.level.distractors] + len(self.pack.classes)
        cells = rng.permutation(sides * sides)
        tiles = []
        for group, place in zip([*chosen, *silent.tolist()], cells.tolist(), strict=False):
            side = int(rng.uniform(0.36, 0.48) * self.canvas * 2 / sides)
            x = int(place % sides * cell + rng.uniform(0, cell - side))
            y = int(place // sides * cell + rng.uniform(0, cell - side))
            tiles.append((group, int(rng.integers(len(self._groups[group]))), x, y, side, bool(rng.integers(2))))
        sounds = [(c, int(rng.integers(len(self._sounds[c]))), float(10 ** (rng.uniform(-3, 3) / 20))) for c in chosen]
        if self.level.offscreen:
            sounds.append(self._offscreen(sounds, rng))
        return Plan(int(rng.integers(len(self.pack.backgrounds))), tiles, sounds)

    def _offscreen(self, sounds: Sequence[tuple[int, int, float]], rng: np.random.Generator) -> tuple[int, int, float]:
        """A sound whose thing is not seen, ``snr_db`` below the others."""
        c = int(rng.integers(len(self.pack.offscreen))) + len(self.pack.classes)
        i = int(rng.integers(len(self._sounds[c])))
        loud = sum(g * g for _, _, g in sounds) ** 0.5
        return c, i, float(loud * 10 ** (-rng.uniform(*self.snr_db) / 20))

    def _image(self, plan: Plan) -> NDArray[np.uint8]:
        if plan.background not in self._backgrounds:
            self._backgrounds[plan.background] = centre_square(self.pack.backgrounds[plan.background], self.canvas)
        image = self._backgrounds[plan.background].copy()
        for group, item, x, y, side, flipped in plan.tiles:
            if self.grey:
                image[y : y + side, x : x + side] = GREY
                continue
            image[y : y + side, x : x + side] = self._tile(group, item, side, flipped)
        return image

    def _tile(self, group: int, item: int, side: int, flipped: bool) -> NDArray[np.uint8]:
        key = (group, item, side)
        if key not in self._tiles:
            _make_room(self._tiles, CACHED_TILES)
            self._tiles[key] = centre_square(self._groups[group][item], side)
        return self._tiles[key][:, ::-1] if flipped else self._tiles[key]

    def _spectrum(self, group: int, item: int) -> Tensor:
        if (group, item) not in self._spectra:
            _make_room(self._spectra, CACHED_SPECTRA)
            self._spectra[group, item] = audio.spectrum(torch.from_numpy(self._sounds[group][item]), self.mel)
        return self._spectra[group, item]

    def _check(self) -> None:
        level, pack = self.level, self.pack
        if not 1 <= level.sources <= len(pack.classes):
            raise InputError(f"{level.sources} sources of {len(pack.classes)} classes: ask for 1 to {len(pack.classes)}")
        if level.distractors > len(pack.distractors):
            raise InputError(f"{level.distractors} distractors, but the pack has {len(pack.distractors)} silent classes")
        if level.sources + level.distractors > 9 or level.distractors < 0:
            raise InputError(f"{level.sources} sources and {level.distractors} distractors: at most nine fit in a picture")
        if level.offscreen and not pack.offscreen:
            raise InputError("the pack has no class that is heard and not seen: off-screen sounds need one")
        if self.canvas < 32:
            raise InputError(f"canvas = {self.canvas}: at least 32 pixels are needed to see anything")
        if any(s.shape != (SAMPLES,) for group in self._sounds for s in group):
            raise InputError(f"a pack's sounds have {SAMPLES} samples each")


def _make_room(cache: dict, most: int) -> None:
    """Forget what was kept first."""
    if len(cache) >= most:
        del cache[next(iter(cache))]


def boxes_of(plan: Plan, canvas: int) -> NDArray[np.int64]:
    """What of each tile is within the picture."""
    corners = [(x, y, x + side, y + side) for _, _, x, y, side, _ in plan.tiles]
    return np.array(corners, np.int64).reshape(-1, 4).clip(0, canvas)


def centre_square(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The centre square of a picture, resized."""
    from PIL import Image

    height, width = picture.shape[:2]
    cut = min(height, width)
    top, left = (height - cut) // 2, (width - cut) // 2
    square = Image.fromarray(picture[top : top + cut, left : left + cut])
    return np.asarray(square.resize((side, side), Image.Resampling.BILINEAR, reducing_gap=2.0))
