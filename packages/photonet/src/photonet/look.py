"""A look that can be kept: a table of colours, as Lightroom, Resolve, darktable and ffmpeg read it, and its error.

A table gives every colour one other colour. What a method of colours does is such a map; what a network does is not, so the
error of its table is measured and said. Files: ``.cube`` (red varies fastest, as Adobe's specification has it), and a Hald
picture, the table of a picture that holds every colour once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from scipy import sparse
from scipy.sparse.linalg import cg
from torch import Tensor
from torch.nn import functional as F

from claimkit.errors import InputError
from claimkit.files import write_atomic

SIZE = 33  # entries each way, what most programs read
SMOOTH = 0.1  # pixels: what neighbours in the table count for each other against what the pictures say
SAMPLE = 1 << 17  # pixels that are looked at
LARGEST = 129
HALD = 8  # level: 512 x 512 pixels, 64 entries each way


@dataclass(frozen=True)
class Table:
    """Colours (blue, green, red, 3) at an even grid of colours from ``low`` to ``high``; between them trilinear.

    Values outside [0, 1] are cut when the table is used, not before: a map that leaves the range then leaves it sharply.
    """

    values: Float[Tensor, "n n n 3"]
    low: tuple[float, float, float] = (0.0, 0.0, 0.0)
    high: tuple[float, float, float] = (1.0, 1.0, 1.0)
    name: str = "look"

    def __call__(self, picture: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 h w"]:
        """The picture with every colour exchanged, in [0, 1]."""
        low, high = (torch.tensor(x).view(3, 1, 1) for x in (self.low, self.high))
        at = 2 * (picture.cpu() - low) / (high - low) - 1
        grid = at.permute(1, 2, 0)[None, None]
        table = self.values.permute(3, 0, 1, 2)[None].to(picture.dtype)
        return F.grid_sample(table, grid, mode="bilinear", padding_mode="border", align_corners=True)[0, :, 0].clamp(0, 1)

    @classmethod
    def fit(
        cls, content: Float[Tensor, "3 h w"], result: Float[Tensor, "3 h w"], size: int = SIZE, name: str = "look"
    ) -> "Table":
        """The table that makes the result of the content as nearly as a table can.

        An affine map first, fitted where nothing is cut to [0, 1]; then what it leaves, by least squares on the trilinear
        weights with neighbours tied: sum of (W t - r)^2 + :data:`SMOOTH` * sum over neighbours of (t_i - t_j)^2.

        Args:
            content: In [0, 1].
            result: In [0, 1], of its size.
            size: Entries each way.
            name: For the file.

        Raises:
            InputError: Sizes differ, or a table too small or too large.
        """
        if content.shape != result.shape:
            raise InputError(f"a table needs two pictures of one size, not {tuple(content.shape)} and {tuple(result.shape)}")
        if not 2 <= size <= LARGEST:
            raise InputError(f"size = {size}: a table has 2 to {LARGEST} entries each way")
        step = -(-content[0].numel() // SAMPLE)
        x, y = (p.flatten(1)[:, ::step].double().cpu().numpy().T for p in (content, result))
        affine = _affine(x, y)
        wanted = np.column_stack([x, np.ones(len(x))]) @ affine
        left = y - wanted
        left[((y >= 1) & (wanted >= 1)) | ((y <= 0) & (wanted <= 0))] = 0  # cut: the affine map need not be pulled back
        axis = np.linspace(0, 1, size)
        blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")
        grid = np.column_stack([red.ravel(), green.ravel(), blue.ravel(), np.ones(size**3)])
        weights = _weights(x, size)
        normal = (weights.T @ weights + SMOOTH * _ties(size)).tocsr()
        rest = np.column_stack([cg(normal, b, rtol=1e-4, maxiter=400)[0] for b in (weights.T @ left).T])
        values = torch.from_numpy(grid @ affine + rest).float().view(size, size, size, 3)
        return cls(values, name=name)

    def error(self, content: Float[Tensor, "3 h w"], result: Float[Tensor, "3 h w"]) -> tuple[float, float, float]:
        """Mean, 95 % quantile and maximum of the largest difference of a channel to the result, in levels of 255."""
        apart = 255 * (self(content) - result.cpu()).abs().amax(0).flatten().double().numpy()
        return float(apart.mean()), float(np.quantile(apart, 0.95)), float(apart.max())

    def save(self, path: Path) -> None:
        """Write a ``.cube`` file, whole or not at all."""
        head = [f'TITLE "{self.name}"', f"LUT_3D_SIZE {len(self.values)}"]
        for key, colour in (("DOMAIN_MIN", self.low), ("DOMAIN_MAX", self.high)):
            head.append(" ".join([key, *(f"{x:g}" for x in colour)]))
        rows = (" ".join(f"{x:.6f}" for x in row) for row in self.values.view(-1, 3).tolist())
        write_atomic(path, "\n".join([*head, *rows]) + "\n")

    @classmethod
    def load(cls, path: Path) -> "Table":
        """Read a ``.cube`` file of three dimensions, whoever wrote it.

        Raises:
            InputError: No such file, or one that the format does not allow.
        """
        try:
            lines = [line.split("#")[0].split() for line in path.read_text(encoding="utf-8-sig").splitlines()]
        except (OSError, UnicodeDecodeError) as e:
            raise InputError(f"{path} cannot be read as a .cube table: give a text file with LUT_3D_SIZE") from e
        size, low, high, rows = 0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), []
        try:
            for words in filter(None, lines):
                if words[0] == "LUT_3D_SIZE":
                    size = int(words[1])
                elif words[0] == "LUT_1D_SIZE":
                    raise InputError(f"{path} is a table of one dimension: give one with LUT_3D_SIZE")
                elif words[0] == "DOMAIN_MIN":
                    low = _triple(words[1:])
                elif words[0] == "DOMAIN_MAX":
                    high = _triple(words[1:])
                elif words[0] == "LUT_3D_INPUT_RANGE":
                    low, high = (_triple([w] * 3) for w in words[1:3])
                elif words[0][0] in "+-.0123456789":
                    rows.append(_triple(words))
        except (ValueError, IndexError) as e:
            raise InputError(f"{path} is no .cube table: a line of it is not what the format allows ({e})") from e
        values = torch.tensor(rows)
        if not 2 <= size <= 256 or len(rows) != size**3 or not values.isfinite().all() or not _ordered(low, high):
            raise InputError(f"{path} is no whole .cube table of numbers: LUT_3D_SIZE {size}, and {len(rows)} colours")
        return cls(values.view(size, size, size, 3), low, high, path.stem)

    def hald(self, level: int = HALD) -> Float[Tensor, "3 n n"]:
        """The Hald picture of a level: every colour of a grid of level^2 entries each way, exchanged."""
        entries = level * level
        axis = torch.linspace(0, 1, entries)
        blue, green, red = torch.meshgrid(axis, axis, axis, indexing="ij")
        return self(torch.stack([red, green, blue]).view(3, level**3, level**3))


def _ordered(low: tuple[float, float, float], high: tuple[float, float, float]) -> bool:
    return bool(np.isfinite([low, high]).all() and np.less(low, high).all())


def _affine(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Matrix and shift (4, 3) from colours to colours, fitted where none is cut if that says enough."""
    inside = ((y > 0) & (y < 1)).all(1)
    if inside.sum() >= 100:
        x, y = x[inside], y[inside]
    return np.linalg.lstsq(np.column_stack([x, np.ones(len(x))]), y, rcond=1e-6)[0]


def _weights(x: np.ndarray, size: int) -> sparse.csr_matrix:
    """Trilinear weights (pixels, entries) of colours (pixels, red green blue)."""
    at = np.clip(x, 0, 1) * (size - 1)
    base = np.minimum(at.astype(int), size - 2)
    share = at - base
    columns, values = [], []
    for corner in _corners():
        place = base + corner
        columns.append((place[:, 2] * size + place[:, 1]) * size + place[:, 0])
        values.append(np.where(corner, share, 1 - share).prod(1))
    rows = np.tile(np.arange(len(x)), 8)
    return sparse.csr_matrix((np.concatenate(values), (rows, np.concatenate(columns))), (len(x), size**3))


def _corners() -> Iterator[np.ndarray]:
    return (np.array([i & 1, i >> 1 & 1, i >> 2]) for i in range(8))


def _ties(size: int) -> sparse.csr_matrix:
    """The Laplacian of the grid: differences of neighbours along each axis, squared and summed."""
    between = -np.ones(size - 1)
    once = sparse.diags_array(np.r_[1, np.full(size - 2, 2.0), 1])
    path = once + sparse.diags_array(between, offsets=1) + sparse.diags_array(between, offsets=-1)
    one = sparse.eye_array(size)
    along = [(path, one, one), (one, path, one), (one, one, path)]
    return sparse.csr_matrix(sum(sparse.kron(sparse.kron(a, b), c) for a, b, c in along))


def _triple(words: list[str]) -> tuple[float, float, float]:
    red, green, blue = map(float, words)
    return red, green, blue
