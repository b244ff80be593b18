"""Image sets from arrays, folders or torchvision, and how their pixels become a network's input."""

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageOps
from torch import Generator, Tensor
from torch.nn.functional import interpolate, pad

from claimkit.errors import InputError, one_of

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
IN_MEMORY = 2**32
"""Bytes of pixels up to which a set stays in memory; a larger one lives in a mapped temporary file."""


@dataclass(frozen=True)
class Images:
    """Labelled images of one size.

    Attributes:
        x: Pixels of shape ``(n, channel, height, width)``, uint8 in 0..255, or float32 in any scale.
        y: Labels of shape ``(n,)``, int64 in 0..len(classes)-1.
        classes: Names of the classes.
        name: What to call the set.
    """

    x: Tensor
    y: Tensor
    classes: tuple[str, ...]
    name: str = "images"

    def __post_init__(self) -> None:
        """Refuse what cannot be fine-tuned on."""
        if self.x.ndim != 4 or self.y.shape != self.x.shape[:1]:
            shapes = f"{tuple(self.x.shape)} and {tuple(self.y.shape)}"
            raise InputError(f"{self.name}: expected images (n, channel, height, width) and labels (n,), not {shapes}")
        if self.x.dtype != torch.uint8 and not self.x.is_floating_point():
            raise InputError(
                f"{self.name}: pixels of {self.x.dtype} have no known scale: give uint8 in 0..255, or floating-point numbers"
            )
        if len(self.classes) < 2:
            raise InputError(f"{self.name} has {len(self.classes)} class: classification needs at least two")
        if len(self.y) and not 0 <= int(self.y.min()) <= int(self.y.max()) < len(self.classes):
            raise InputError(f"{self.name}: labels must be 0..{len(self.classes) - 1}, one number a class")

    def __len__(self) -> int:
        """Number of images."""
        return len(self.y)

    def take(self, rows: Tensor) -> Self:
        """The images at ``rows``, an int64 vector."""
        return replace(self, x=self.x[rows], y=self.y[rows])

    def only(self, labels: Sequence[int]) -> Self:
        """The images of some classes, which become 0, 1, ... in the order given."""
        number = torch.full((len(self.classes),), -1)
        number[list(labels)] = torch.arange(len(labels))
        rows = (number[self.y] >= 0).nonzero().squeeze(1)
        return replace(self, x=self.x[rows], y=number[self.y[rows]], classes=tuple(self.classes[i] for i in labels))


def from_arrays(x: ArrayLike | Tensor, y: ArrayLike | Tensor, classes: Sequence[str] = (), name: str = "arrays") -> Images:
    """Images from numbers: ``(n, H, W)``, ``(n, C, H, W)``, or ``(n, H, W, C)`` with C of 1 or 3.

    Raises:
        InputError: Pixels that are not finite, labels that are not whole numbers, or other shapes than these.
    """
    try:
        pixels, given = torch.as_tensor(x), torch.as_tensor(y)
    except (TypeError, ValueError) as e:
        raise InputError(f"{name}: expected numbers ({e}); np.unique(y, return_inverse=True) numbers named classes") from e
    labels = given.long()
    if not torch.equal(labels.to(given.dtype), given):
        raise InputError(f"{name}: labels must be whole numbers, one a class; some have a fraction or are missing")
    if not pixels.isfinite().all():
        raise InputError(f"{name}: some pixels are not finite; replace them, or leave these images out")
    if pixels.ndim == 3:
        pixels = pixels[:, None]
    elif pixels.ndim == 4 and pixels.shape[1] not in (1, 3) and pixels.shape[3] in (1, 3):
        pixels = pixels.permute(0, 3, 1, 2)
    pixels = (pixels.float() if pixels.is_floating_point() else pixels).contiguous()
    count = int(labels.max()) + 1 if labels.numel() else 0
    return Images(pixels, labels, tuple(classes) or tuple(map(str, range(count))), name)


def from_folder(
    folder: Path, size: int, unreadable: Literal["refuse", "skip"] = "refuse", only: Sequence[str] = ()
) -> Images:
    """Images of ``folder/<class>/**/<image>``, each resized to ``size x size`` RGB as DELTA's released code does.

    Args:
        folder: With one folder a class.
        size: Height and width, in pixels.
        unreadable: Refuse the folder and name the files that cannot be read, or leave them out.
        only: Names of classes, the others are left out; all when empty.

    Raises:
        InputError: No such folder, fewer than two classes, no such class, a class without images, or files that
            cannot be read.
    """
    one_of("unreadable", unreadable, ("refuse", "skip"))
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: give one that holds a folder of images for each class")
    classes = sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    if missing := sorted(set(only) - set(classes)):
        raise InputError(f"{folder} has no class folder {missing[0]!r}: it has {', '.join(classes[:5])} ...")
    classes = [c for c in classes if c in only] if only else classes
    if len(classes) < 2:
        raise InputError(f"{folder} has {len(classes)} class folder(s), expected two or more: {folder}/CLASS/IMAGE.jpg")
    files: list[tuple[Path, int]] = []
    for label, name in enumerate(classes):
        found = sorted(p for p in (folder / name).rglob("*") if p.suffix.lower() in SUFFIXES)
        if not found:
            raise InputError(f"{folder / name} holds no image ({', '.join(SUFFIXES)}): add some or remove the folder")
        files += [(f, label) for f in found]

    def picture(i: int) -> tuple[Image.Image, int]:
        return Image.open(files[i][0]), files[i][1]

    x, y, broken = _decode(picture, len(files), size, workers=8)
    if broken and unreadable == "refuse":
        named = ", ".join(str(files[i][0].relative_to(folder)) for i in broken[:3])
        more = f" and {len(broken) - 3} more" if len(broken) > 3 else ""
        raise InputError(f"{folder}: cannot read {named}{more}: repair or remove them, or ask to skip unreadable files")
    if broken:
        x, y = x[y >= 0], y[y >= 0]
    return Images(x, y, tuple(classes), folder.name)


def from_torchvision(dataset: Any, size: int, name: str = "") -> Images:
    """Images of any map-style data set of ``(PIL image, label)`` pairs, such as ``torchvision.datasets.Flowers102``."""
    x, y, broken = _decode(dataset.__getitem__, len(dataset), size)
    if broken:
        raise InputError(f"item {broken[0]} of the data set cannot be read: expected pairs of a PIL image and a label")
    classes = tuple(map(str, getattr(dataset, "classes", None) or range(int(y.max()) + 1)))
    return Images(x, y, classes, name or type(dataset).__name__)


def digest(*tensors: Tensor) -> str:
    """sha256 of images and weights as they were read, so that a finished run is known by its content, not by a path."""
    total = hashlib.sha256()
    for t in tensors:
        total.update(t.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return total.hexdigest()


def _decode(
    picture: Callable[[int], tuple[Image.Image, int]], n: int, size: int, workers: int = 1
) -> tuple[Tensor, Tensor, list[int]]:
    """Pixels, labels (-1 where an image cannot be read), and the positions of those."""
    shape = (n, 3, size, size)
    pixels: NDArray[np.uint8] = np.empty(shape, np.uint8) if np.prod(shape) <= IN_MEMORY else _mapped(shape)
    labels = np.full(n, -1)

    def one(i: int) -> None:
        try:
            image, label = picture(i)
            with image:
                small = _upright(image).resize((size, size), Image.Resampling.BILINEAR)
            pixels[i], labels[i] = np.asarray(small).transpose(2, 0, 1), int(label)
        except InputError:
            raise
        except (OSError, ValueError, SyntaxError, TypeError, AttributeError, Image.DecompressionBombError):
            pass  # the label stays -1: the caller names the file

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(one, range(n)))
    return torch.from_numpy(pixels), torch.from_numpy(labels), np.flatnonzero(labels < 0).tolist()


def _upright(image: Image.Image) -> Image.Image:
    """RGB of 8 bits, turned as the camera noted in its EXIF; grey of 16 bits is scaled: Pillow would cut it off at 255."""
    deep = image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG")  # "I": Pillow before 11
    if image.mode in ("I", "F") and not deep:
        raise InputError(
            f"{getattr(image, 'filename', '') or 'an image'} has pixels of 32 bits (mode {image.mode}), whose white is not "
            "known: save it with 8 or 16 bits"
        )
    image = ImageOps.exif_transpose(image)
    if deep:
        image = Image.fromarray(np.round(np.asarray(image) / 257).astype(np.uint8))
    return image.convert("RGB")


def _mapped(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    with tempfile.TemporaryFile() as file:  # the map outlives the name and the handle
        return np.memmap(file, np.uint8, "w+", shape=shape)


@dataclass(frozen=True)
class View:
    """How pixels become inputs: bytes scaled to [0, 1], normalised, cut to size.

    Attributes:
        size: Height and width of the input.
        pad: Pixels of zeros around a training image before the crop is drawn.
        flip: Mirror half of the training images.
        mean: Of each channel, subtracted.
        std: Of each channel, divided by.
    """

    size: int
    pad: int = 0
    flip: bool = True
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)

    def test(self, x: Tensor) -> Tensor:
        """Inputs ``(n, channel, size, size)`` without chance: the whole image, resized."""
        x = self._normalised(x)
        if x.shape[-2:] != (self.size, self.size):
            x = interpolate(x, (self.size, self.size), mode="bilinear", antialias=True)
        return x

    def train(self, x: Tensor, generator: Generator) -> Tensor:
        """Inputs with a crop of ``size`` and a mirror image drawn for each image."""
        x = self._normalised(x)
        x = pad(x, (self.pad,) * 4) if self.pad else x
        n, channels, height, width = x.shape
        if min(height, width) < self.size:
            raise InputError(f"images of {height} x {width} are smaller than the crop of {self.size}: load them larger")
        top, left = (torch.randint(s - self.size + 1, (n, 1), generator=generator) for s in (height, width))
        mirrored = torch.rand((n, 1), generator=generator) < (0.5 if self.flip else 0)
        along = torch.arange(self.size)
        rows, columns = (i.to(x.device) for i in (top + along, left + torch.where(mirrored, along.flip(0), along)))
        image, channel = torch.arange(n, device=x.device), torch.arange(channels, device=x.device)
        return x[image[:, None, None, None], channel[:, None, None], rows[:, None, :, None], columns[:, None, None, :]]

    def _normalised(self, x: Tensor) -> Tensor:
        if x.dtype != torch.uint8 and x.numel() and self.mean == View.mean and float(x.max()) > 10:
            raise InputError(
                f"pixels reach {float(x.max()):g}, but the view's mean and std are those of ImageNet's pixels in [0, 1]: "
                "give uint8, divide the pixels by 255, or give the view a mean= and std= of your pixels"
            )
        mean, std = (torch.tensor(v, device=x.device)[:, None, None] for v in (self.mean, self.std))
        return ((x.float() / 255 if x.dtype == torch.uint8 else x) - mean) / std
