"""Public sets of pictures that the user has in a folder, known by their digest, and their maps within a network."""

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from claimkit.assets import Assets
from claimkit.errors import InputError
from claimkit.files import sha256
from claimkit.transfer.data import SUFFIXES, Images, View, from_folder
from claimkit.transfer.maps.features import still


@dataclass(frozen=True)
class FolderSet:
    """A complete public set of pictures, one folder a class, as its makers give it; the pictures are the user's.

    Attributes:
        folder: Its name below ``--data``.
        classes: How many there are.
        images: How many there are.
        digest: sha256 over the names and digests of the pictures of its classes, in sorted order.
        without: Folders in it that are no class.
        parts: Folders in it that each hold all classes; the set itself when there is one part without a name.
        learnt: Of so many classes a source trained here has seen pictures; targets have the others.
        side: Height and width of its pictures, where they all have one.
    """

    folder: str
    classes: int
    images: int
    digest: str
    without: tuple[str, ...] = ()
    parts: tuple[str, ...] = ("",)
    learnt: int = 0
    side: int = 0

    def find(self, assets: Assets) -> tuple[Path, tuple[str, ...]]:
        """The folder and the names of the classes, after every picture was compared with the digest.

        Raises:
            NotAvailableError: The user gave no such folder.
            InputError: Another set than the one that was recorded.
        """
        folder = assets.find(self.folder)
        names, files, found = _content(folder, self.parts, self.without, assets.used[self.folder])
        if (len(names), files, found) != (self.classes, self.images, self.digest):
            raise InputError(
                f"{folder} holds {files} pictures of {len(names)} classes with digest {found[:12]}..., expected "
                f"{self.images} of {self.classes} with {self.digest[:12]}...: get the set again, as its makers give it"
            )
        return folder, names

    def halves(self, names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The classes of a source trained here, and those of targets; drawn once and for all from the sorted names."""
        order = np.random.default_rng(0).permutation(sorted(names))
        return tuple(sorted(map(str, order[: self.learnt]))), tuple(sorted(map(str, order[self.learnt :])))

    def read(self, folder: Path, size: int, classes: Sequence[str]) -> Images:
        """The pictures of some classes in a folder that was found, ``(n, 3, size, size)``."""
        read = [from_folder(folder / part, size, only=classes) for part in self.parts]
        return Images(torch.cat([r.x for r in read]), torch.cat([r.y for r in read]), read[0].classes, self.folder)


@lru_cache
def _content(
    folder: Path, parts: tuple[str, ...], without: tuple[str, ...], _state: str
) -> tuple[tuple[str, ...], int, str]:
    """Names of the classes, number of the pictures, and their digest; a folder is read once while its state is the same."""
    places = [folder / part for part in parts]
    names = {p.name for place in places if place.is_dir() for p in place.iterdir() if p.is_dir()}.difference(without)
    inside = [p for place in places for n in names for p in (place / n).rglob("*")]
    files = sorted(p for p in inside if p.suffix.lower() in SUFFIXES)
    lines = [f"{p.relative_to(folder).as_posix()} {sha256(p)}\n" for p in files]
    return tuple(sorted(names)), len(files), hashlib.sha256("".join(lines).encode()).hexdigest()


SETS = {
    "caltech101": FolderSet(
        "101_ObjectCategories",
        101,
        8_677,
        "ee092cd9f1e01b00445f2d9f0c6ccdfced4275198a4080bba898bf870511dc51",
        without=("BACKGROUND_Google",),
    ),
    "flowers12": FolderSet(
        "flowers", 12, 960, "fe4ee8d62ef55497c2a3fd9a6c75b70db5cd89949f09da920ee1152ea9014a58", parts=("train", "test")
    ),
    "tiny-imagenet": FolderSet(
        "tiny-imagenet-200/train",
        200,
        100_000,
        "42bde3a2ae43391cd774f385da6d0864e7d3f9124aee21779c2476278feace6a",
        learnt=100,
        side=64,
    ),
}
"""Caltech-101 without its background, twelve Oxford flowers of 80 pictures each, and Tiny ImageNet's training pictures."""


def above(network: nn.Module, stages: int, images: Images, view: View, rows: int = 64) -> tuple[nn.Module, Images]:
    """A network without its first stages, and the maps that enter it in place of pictures; for stages that stay as they are.

    Args:
        network: With its stages in ``features``, as torchvision's SqueezeNet and MobileNetV2 have them; not changed.
        stages: So many of them are computed here, in eval mode, once an image.
        images: Pictures.
        view: How their pixels become inputs; nothing is augmented.
        rows: Pictures at a time.
    """
    whole, rest = network, copy.deepcopy(network)
    parts: Any = whole.features
    stem, rest.features = parts[:stages], copy.deepcopy(parts[stages:])
    with still(stem), torch.no_grad():
        maps: list[Tensor] = [stem(view.test(x)) for x in images.x.split(rows)]
    return rest, Images(torch.cat(maps), images.y, images.classes, images.name)
