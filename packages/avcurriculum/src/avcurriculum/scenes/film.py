"""Scenes composed as films look: things at natural size before a whole background, partly hidden, with soft borders.

Sounds of a film need not be seen, and things in it need not sound: silent things and off-screen sounds come at random. A
scene depends on the composer's seed and its index alone, as in :mod:`avcurriculum.scenes.composer`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avcurriculum import audio
from avcurriculum.scenes.composer import Composer, Level, Plan, centre_square
from avcurriculum.scenes.packs import Pack
from claimkit.errors import InputError

TRIES, SMALLER = 100, 0.97
"""Arrangements that are tried until no thing is hidden too much; each draws sizes that are smaller by this factor."""


@dataclass(frozen=True)
class FilmLook:
    """What is drawn at random for a scene.

    Attributes:
        size: Range of a thing's side as a share of the picture's where it is alone; k things are smaller by ``k^(1/4)``.
        silent: Largest number of silent things.
        offscreen: Chance of a sound whose thing is not seen.
        hidden: Largest share of a thing that others, or the picture's edge, may cover.
        soft: Width of the blended border as a share of the thing's side.
    """

    size: tuple[float, float] = (0.25, 0.85)
    silent: int = 2
    offscreen: float = 0.3
    hidden: float = 0.5
    soft: float = 0.12

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn."""
        low, high = self.size
        shares = (self.offscreen, self.hidden, self.soft)
        if not 0 < low <= high <= 1 or self.silent < 0 or not all(0 <= s <= 1 for s in shares):
            raise InputError(f"{self}: sizes within (0, 1], shares within [0, 1], a number of silent things")


class FilmComposer(Composer):
    """Composes scenes of a pack as films look.

    Args:
        pack: Pictures and sounds; one split. Random windows of the sounds are the pack's (``load_pack(windows=...)``).
        sources: Sounding things a scene.
        canvas: Side of the picture in pixels.
        seed: Seed of all scenes.
        mel: Features of :meth:`batch`.
        look: What is drawn at random.
    """

    def __init__(
        self,
        pack: Pack,
        sources: int = 1,
        canvas: int = 64,
        seed: int = 0,
        mel: audio.MelSpec = audio.SMALL,
        look: FilmLook = FilmLook(),
    ) -> None:
        super().__init__(pack, Level(sources), canvas, seed, mel)
        self.look = look

    def _plan(self, index: int) -> Plan:
        rng, look, pack = np.random.default_rng([self.seed, index]), self.look, self.pack
        chosen = rng.permutation(len(pack.classes))[: self.level.sources].tolist()
        some = int(rng.integers(0, min(look.silent, len(pack.distractors)) + 1))
        silent = (rng.permutation(len(pack.distractors))[:some] + len(pack.classes)).tolist()
        things = [*chosen, *silent]
        low, high = (s * self.canvas / len(things) ** 0.25 for s in look.size)
        boxes = np.zeros((0, 4), np.int64)
        for shrunk in SMALLER ** np.arange(TRIES):
            sides = np.exp(rng.uniform(np.log(low), np.log(high), len(things))) * shrunk
            out = look.hidden * sides  # the most of a side that may be beyond the edge
            corners = rng.uniform(-out[:, None], (self.canvas - sides + out)[:, None], (len(things), 2)).round()
            boxes = np.concatenate([corners, corners + sides.round().clip(2)[:, None]], 1).astype(np.int64)
            if (covered(boxes, self.canvas) <= look.hidden).all():
                break
        depth = rng.permutation(len(things)).tolist()
        tiles = [
            (g, int(rng.integers(len(self._groups[g]))), int(b[0]), int(b[1]), int(b[2] - b[0]), bool(rng.integers(2)))
            for g, b in zip(things, boxes, strict=True)
        ]
        sounds = [(c, int(rng.integers(len(self._sounds[c]))), float(10 ** (rng.uniform(-3, 3) / 20))) for c in chosen]
        if pack.offscreen and rng.random() < look.offscreen:
            sounds.append(self._offscreen(sounds, rng))
        return Plan(int(rng.integers(len(pack.backgrounds))), tiles, sounds, depth)

    def _image(self, plan: Plan) -> NDArray[np.uint8]:
        canvas = self.canvas
        if plan.background not in self._backgrounds:
            self._backgrounds[plan.background] = centre_square(self.pack.backgrounds[plan.background], canvas)
        image = self._backgrounds[plan.background].astype(np.float32)
        for i in plan.depth:
            group, item, x, y, side, flipped = plan.tiles[i]
            x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + side, canvas), min(y + side, canvas)
            inside = np.s_[y0 - y : y1 - y, x0 - x : x1 - x]
            alpha = soft_edge(side, self.look.soft)[inside][..., None]
            here = image[y0:y1, x0:x1]
            here += alpha * (self._tile(group, item, side, flipped)[inside] - here)
        return image.round().astype(np.uint8)


def soft_edge(side: int, soft: float) -> NDArray[np.float32]:
    """Opacity of a square thing with round corners: 1 within, falling to 0 over a share ``soft`` of its side.

    >>> soft_edge(8, 0.25)[4].tolist()
    [0.25, 0.75, 1.0, 1.0, 1.0, 1.0, 0.75, 0.25]
    """
    x = np.abs((np.arange(side, dtype=np.float32) + 0.5) / side - 0.5)
    width = max(soft, 1e-6)
    beyond = np.maximum(x - (0.5 - width), 0)
    return np.clip(1 - np.hypot(beyond[:, None], beyond) / width, 0, 1).astype(np.float32)


def covered(boxes: NDArray[np.int64], canvas: int) -> NDArray[np.float64]:
    """Share of each box that the picture's edge or any other box covers.

    >>> covered(np.array([[0, 0, 4, 4], [2, 0, 6, 4], [-2, 6, 2, 8]]), 8).tolist()
    [0.5, 0.5, 0.5]
    """
    grid = np.arange(canvas) + 0.5
    inside = (grid > boxes[:, :2, None]) & (grid < boxes[:, 2:, None])  # (boxes, xy, canvas)
    masks = inside[:, 1, :, None] & inside[:, 0, None, :]
    alone = masks & (masks.sum(0) == 1)
    whole = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return 1 - alone.sum((1, 2)) / whole
