"""Pictures in four manners of painting, drawn by rule: styles for the demo and the page that belong to nobody."""

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.spatial import KDTree
from torch.nn import functional as F

from claimkit.errors import InputError

PAINTINGS = ("impasto", "marbling", "mosaic", "ink")
PALETTES = {
    "impasto": ((28, 52, 96), (64, 110, 160), (222, 178, 66), (240, 226, 170), (52, 84, 70)),
    "marbling": ((122, 30, 44), (226, 120, 60), (246, 214, 150), (40, 92, 110), (18, 40, 60)),
    "mosaic": ((196, 60, 40), (236, 190, 70), (40, 110, 130), (240, 232, 210), (60, 70, 110)),
    "ink": ((24, 22, 26), (240, 232, 214)),
}


def painting(name: str, side: int = 512) -> NDArray[np.uint8]:
    """One of :data:`PAINTINGS`, ``(side, side, 3)``, always the same.

    Raises:
        InputError: No such painting.
    """
    if name not in PAINTINGS:
        raise InputError(f"there is no painting {name!r}: choose from {', '.join(PAINTINGS)}")
    random = np.random.default_rng(PAINTINGS.index(name))
    palette = np.array(PALETTES[name], np.float64)
    if name == "marbling":
        return _marbling(random, palette, side)
    return {"impasto": _impasto, "mosaic": _mosaic, "ink": _ink}[name](random, palette, side)


def _field(random: np.random.Generator, cells: int, side: int) -> NDArray[np.float64]:
    """Smooth noise of about unit deviation, ``(side, side)``."""
    coarse = torch.from_numpy(random.standard_normal((1, 1, cells, cells)))
    smooth = F.interpolate(coarse, (side, side), mode="bicubic", align_corners=True)[0, 0].numpy()
    return (smooth - smooth.mean()) / smooth.std()


def _impasto(random: np.random.Generator, palette: NDArray[np.float64], side: int) -> NDArray[np.uint8]:
    """Short thick strokes along a flow, each with its own shade."""
    angle, tone = _field(random, 5, side), _field(random, 4, side)
    image = Image.new("RGB", (side, side), tuple(int(v) for v in palette[0]))
    draw = ImageDraw.Draw(image)
    for x, y in random.uniform(0, side, (9000, 2)):
        at = int(y), int(x)
        which = int(np.clip((tone[at] + 2) / 4 * len(palette) + random.normal(0, 0.5), 0, len(palette) - 1))
        colour = tuple(int(v) for v in np.clip(palette[which] + random.normal(0, 14), 0, 255))
        length = side / 36 * random.uniform(0.6, 1.4)
        dx, dy = length * np.cos(1.6 * angle[at]), length * np.sin(1.6 * angle[at])
        draw.line(
            [(x - dx, y - dy), (x + dx, y + dy)], fill=colour, width=max(1, round(side / 110 * random.uniform(0.6, 1.5)))
        )
    return np.asarray(image)


def _marbling(random: np.random.Generator, palette: NDArray[np.float64], side: int) -> NDArray[np.uint8]:
    """Bands of colour, bent twice by noise."""
    y, x = np.mgrid[:side, :side] / side
    bands = 5 * (x + 0.3 * _field(random, 6, side)) + 3 * y + 1.2 * _field(random, 12, side)
    place = (np.sin(bands * 2) + 1) / 2 * (len(palette) - 1)
    low = np.minimum(place.astype(int), len(palette) - 2)
    share = np.clip((place - low - 0.5) * 4 + 0.5, 0, 1)[..., None]
    return (palette[low] * (1 - share) + palette[low + 1] * share).round().astype(np.uint8)


def _mosaic(random: np.random.Generator, palette: NDArray[np.float64], side: int) -> NDArray[np.uint8]:
    """Cells of one colour each, dark joints between them."""
    seeds = random.uniform(0, side, (900, 2))
    place = np.mgrid[:side, :side].reshape(2, -1).T
    distance, which = (np.asarray(found) for found in KDTree(seeds).query(place, 2))
    tone = np.clip((_field(random, 4, side)[tuple(seeds.astype(int).T)] + 2) / 4 * len(palette), 0, len(palette) - 1).astype(
        int
    )
    colours = np.clip(palette[tone] + random.normal(0, 10, (len(seeds), 1)), 0, 255)
    joint = np.clip((distance[:, 1] - distance[:, 0]) / (side / 200), 0, 1)[:, None]
    return (colours[which[:, 0]] * joint + 40 * (1 - joint)).round().astype(np.uint8).reshape(side, side, 3)


def _ink(random: np.random.Generator, palette: NDArray[np.float64], side: int) -> NDArray[np.uint8]:
    """Hatching of two directions on paper, denser where it is dark."""
    y, x = np.mgrid[:side, :side] / side
    tone, bend = _field(random, 5, side), 0.02 * _field(random, 6, side)
    lines = [np.sin(2 * np.pi * 45 * (a * x + b * y + bend)) - edge for a, b, edge in ((1, 1, tone), (1, -0.7, tone + 0.9))]
    ink = np.clip(np.maximum(*lines) * 3 + 0.5, 0, 1)[..., None]
    return (palette[0] * ink + palette[1] * (1 - ink)).round().astype(np.uint8)
