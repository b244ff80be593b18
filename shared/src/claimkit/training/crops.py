"""Training pictures, decoded once and kept in memory as bytes, and random square crops of them."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from claimkit.errors import InputError
from claimkit.style.images import fit, read_image


class Crops:
    """Random crops of pictures.

    Args:
        files: Pictures; those that cannot be read are left out and named in :attr:`skipped`.
        longest: Larger pictures are shrunk to this longer side.
        seed: Of the crops.

    Raises:
        InputError: None of the pictures can be read.
    """

    def __init__(self, files: Sequence[Path], longest: int = 512, seed: int = 0):
        self.pictures: list[Tensor] = []
        self.skipped: list[str] = []
        for file in tqdm(files, desc="pictures", disable=None, leave=False):
            try:
                self.pictures.append((fit(read_image(file), longest) * 255).round().byte())
            except InputError as e:
                self.skipped.append(str(e))
        if not self.pictures:
            raise InputError(
                f"none of {len(files)} pictures can be read; the first: {self.skipped[0] if self.skipped else 'none'}"
            )
        self.seed = seed
        self.generator = torch.Generator().manual_seed(seed)

    def at(self, step: int) -> "Crops":
        """Itself, with the random state of a step: an interrupted training draws what it would have drawn."""
        self.generator.manual_seed(self.seed * 1_000_003 + step)
        return self

    def draw(self, count: int, size: int, widest: float = 2.0) -> Tensor:
        """(count, 3, size, size) in [0, 1]: squares of ``size`` to ``widest * size`` pixels, shrunk, mirrored at random."""
        return torch.stack([self._one(size, widest) for _ in range(count)])

    def _uniform(self, low: float, high: float) -> float:
        return low + (high - low) * torch.rand((), generator=self.generator).item()

    def _one(self, size: int, widest: float) -> Tensor:
        picture = self.pictures[int(torch.randint(len(self.pictures), (), generator=self.generator))]
        height, width = picture.shape[1:]
        side = min(round(size * self._uniform(1, widest)), height, width)
        top, left = int(self._uniform(0, height - side + 1)), int(self._uniform(0, width - side + 1))
        crop = picture[:, top : top + side, left : left + side].float() / 255
        if side != size:
            crop = F.interpolate(crop[None], size=(size, size), mode="bilinear", antialias=True, align_corners=False)[0]
        return crop.flip(2) if self._uniform(0, 1) < 0.5 else crop
