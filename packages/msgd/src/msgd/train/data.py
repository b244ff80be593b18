"""Image data as tensors: the digits that come with scikit-learn, and folders that torchvision can read."""

import gzip
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from claimkit.errors import InputError

DatasetName = Literal["digits", "mnist", "fashion-mnist", "cifar10", "svhn"]
Split = Literal["standard", "paper"]

_IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
_FILES: dict[str, tuple[str, tuple[str, ...]]] = {
    "mnist": ("MNIST", _IDX),
    "fashion-mnist": ("FashionMNIST", _IDX),
    "cifar10": ("CIFAR10", (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta")),
    "svhn": ("SVHN", ("train_32x32.mat", "test_32x32.mat")),
}
_CALLED = {kind for kind, _ in _FILES.values()} | {"KMNIST", "QMNIST"}
"""Folders that say whose files they hold: torchvision's sets of this form are alike but for that."""
_PLACES = {"MNIST": "MNIST/raw", "FashionMNIST": "FashionMNIST/raw", "CIFAR10": "cifar-10-batches-py", "SVHN": ""}


@dataclass(frozen=True)
class ImageData:
    """Images ``(rows, channels, height, width)`` in float32 and classes ``(rows,)``, for training and for testing."""

    name: str
    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(max(self.train_y.max(), self.test_y.max())) + 1

    def to(self, device: str) -> "ImageData":
        """The same data on a device."""
        moved = (t.to(device) for t in (self.train_x, self.train_y, self.test_x, self.test_y))
        return ImageData(self.name, *moved)


def load(name: DatasetName, folder: Path | None = None, split: Split = "standard", rows: int | None = None) -> ImageData:
    """Load a data set.

    ``standard``: the usual split, pixels in [0, 1]. ``paper``: the splits of the authors' code, which trains on a part of
    the official *test* file and tests on the official *training* file (FashionMNIST: 1,000 rows, pixels in [0, 255]; SVHN:
    25,000 and 70,000 rows, in [0, 1]; the others as standard).

    Args:
        name: Data set.
        folder: Where its files are, at any depth, gzipped or not; not needed for ``digits``.
        split: Which split.
        rows: Keep only the first rows of the training part.

    Raises:
        InputError: A file is missing, or is not what its name says; digits and a folder, which they do not need.
    """
    if name == "digits":
        if folder is not None:
            raise InputError(f"digits come with the package: say with --dataset what {folder} holds, or leave --data out")
        data = _digits()
    else:
        if folder is None:
            raise InputError(f"{name} does not come with the package: give the folder that holds its files with --data")
        try:
            with _torchvision_folder(name, folder) as root:
                data = _read(name, root, split == "paper")
        except InputError:
            raise
        except Exception as e:  # readers of broken files raise anything
            raise InputError(f"{folder} does not hold a readable {name} data set ({type(e).__name__}: {e})") from e
    if rows is not None:
        if not 1 <= rows <= len(data.train_x):
            raise InputError(f"{rows} training rows asked for, {name} has {len(data.train_x)}")
        data = ImageData(data.name, data.train_x[:rows], data.train_y[:rows], data.test_x, data.test_y)
    return data


def _digits() -> ImageData:
    """1,797 images of 8x8 in [0, 1], in a fixed random order: 1,000 for training."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    images = torch.tensor(x[order] / 16, dtype=torch.float32).view(-1, 1, 8, 8)
    labels = torch.tensor(y[order], dtype=torch.int64)
    return ImageData("digits", images[:1000], labels[:1000], images[1000:], labels[1000:])


def _read(name: str, root: Path, paper: bool) -> ImageData:
    from torchvision import datasets

    def part(train: bool) -> tuple[Tensor, Tensor]:
        kind: Any = getattr(datasets, _FILES[name][0])
        if name == "svhn":
            d = kind(root, split="train" if train else "test")
            return torch.as_tensor(d.data), torch.as_tensor(d.labels)
        d = kind(root, train=train)
        x = torch.as_tensor(d.data)
        return (x[:, None] if x.ndim == 3 else x.permute(0, 3, 1, 2)), torch.as_tensor(d.targets)

    (train_x, train_y), (test_x, test_y) = part(True), part(False)
    if paper and name in ("fashion-mnist", "svhn"):
        keep, test = (1_000, 60_000) if name == "fashion-mnist" else (25_000, 70_000)
        train_x, train_y, test_x, test_y = test_x[:keep], test_y[:keep], train_x[:test], train_y[:test]
    scale = 1 if paper and name == "fashion-mnist" else 255
    labels = (train_y.long(), test_y.long())
    return ImageData(
        name, train_x.float().div_(scale).contiguous(), labels[0], test_x.float().div_(scale).contiguous(), labels[1]
    )


@contextmanager
def _torchvision_folder(name: str, folder: Path) -> Iterator[Path]:
    """A temporary folder in torchvision's own layout, whose files are links to, or unpacked from, the user's."""
    kind, files = _FILES[name]
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary) / _PLACES[kind]
        place.mkdir(parents=True, exist_ok=True)
        for file in files:
            found = _find(name, kind, folder, file)
            if found.suffix == ".gz":
                with gzip.open(found) as packed, (place / file).open("wb") as plain:
                    shutil.copyfileobj(packed, plain)
            else:
                (place / file).symlink_to(found.resolve())
        yield Path(temporary)


def _find(name: str, kind: str, folder: Path, file: str) -> Path:
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: give --data the folder that holds {file}")
    found = sorted(p for suffix in ("", ".gz") for p in folder.rglob(file + suffix))
    mine = [p for p in found if kind in p.parts] or found
    called = {p: [part for part in p.resolve().parts if part in _CALLED] for p in mine}
    mine = [p for p in mine if called[p][-1:] in ([], [kind])]  # of several folders that name a set the innermost counts
    if not mine:
        raise InputError(f"{folder} does not hold the file {file} (or {file}.gz) of {name}: give --data its folder")
    return mine[0]
