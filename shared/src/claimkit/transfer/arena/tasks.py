"""The tasks of the arena: strokes, which are drawn, and public sets that the user has in a folder."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from claimkit.assets import Assets
from claimkit.errors import InputError
from claimkit.experiment import Job
from claimkit.files import sha256
from claimkit.transfer.arena import strokes
from claimkit.transfer.arena.ring import Ring, measured_again, shots
from claimkit.transfer.data import SUFFIXES, View, from_folder
from claimkit.transfer.loop import FineTuning
from claimkit.transfer.networks import create


@dataclass(frozen=True)
class FolderSet:
    """A complete public set of pictures, one folder a class, as its makers give it; the pictures are the user's.

    Attributes:
        folder: Its name below ``--data``.
        classes: How many there are.
        images: How many there are.
        digest: sha256 over the names and digests of the pictures of its classes, in sorted order.
        without: Folders in it that are no class.
    """

    folder: str
    classes: int
    images: int
    digest: str
    without: tuple[str, ...] = ()

    def find(self, assets: Assets) -> tuple[Path, tuple[str, ...]]:
        """The folder and the names of the classes, after every picture was compared with the digest.

        Raises:
            NotAvailableError: The user gave no such folder.
            InputError: Another set than the one that was recorded.
        """
        folder = assets.find(self.folder)
        names = sorted(p.name for p in folder.iterdir() if p.is_dir() and p.name not in self.without)
        files = sorted(p for n in names for p in (folder / n).rglob("*") if p.suffix.lower() in SUFFIXES)
        lines = [f"{p.relative_to(folder).as_posix()} {sha256(p)}\n" for p in files]
        found = hashlib.sha256("".join(lines).encode()).hexdigest()
        if (len(names), len(files), found) != (self.classes, self.images, self.digest):
            raise InputError(
                f"{folder} holds {len(files)} pictures of {len(names)} classes with digest {found[:12]}..., expected "
                f"{self.images} of {self.classes} with {self.digest[:12]}...: get the set again, as its makers give it"
            )
        return folder, tuple(names)


CALTECH101 = FolderSet(
    "101_ObjectCategories",
    101,
    8_677,
    "ee092cd9f1e01b00445f2d9f0c6ccdfced4275198a4080bba898bf870511dc51",
    without=("BACKGROUND_Google",),
)


@dataclass(frozen=True)
class Target:
    """A task, and how every arm of it is trained.

    Attributes:
        name: ``strokes``, or the network that a seed of Caltech-101 starts from, ``squeezenet1_1`` or ``mobilenet_v2``.
        steps: Of fine-tuning.
        learning_rate: The one that the search found for plain L2.
        rates: Those that were tried.
        classes: A seed draws so many.
        per_class: Training images of each.
        most: At most so many more of each validate and test.
        batch: Images a step.
        size: Height and width of the input.
        feature_scale: Factor of the weights on feature maps.
        clip: Largest norm of the gradient of a step; any when None.
    """

    name: str = "strokes"
    steps: int = 80
    learning_rate: float = 0.03
    rates: tuple[float, ...] = (0.015, 0.03, 0.06)
    classes: int = 10
    per_class: int = 5
    most: int = 200
    batch: int = 16
    size: int = strokes.SIZE
    feature_scale: float = 1.0
    clip: float | None = None

    def ring(self, job: Job) -> Ring:
        """The seed's classes, images and source."""
        if self.name == "strokes":
            images, view, source = strokes.target(job.seed, self.classes), strokes.VIEW, strokes.source()
            job.assets.note("strokes", strokes.digest(strokes.target(0, self.classes)))
        else:
            folder, names = CALTECH101.find(job.assets)
            drawn = np.random.default_rng(job.seed).permutation(names)[: self.classes]
            images = from_folder(folder, self.size * 9 // 8, only=tuple(map(str, drawn)))
            half = (0.5, 0.5, 0.5)
            view = View(self.size, mean=half, std=half) if self.name == "mobilenet_v2" else View(self.size)
            source = create(self.name, job.assets.find(f"weights/{self.name}_imagenet.pt"))
        split = shots(images, job.seed, self.per_class, most=self.most)
        source = measured_again(source, view.test(split.train.x))
        augment = self.name != "strokes"
        settings = FineTuning(self.steps, self.batch, self.learning_rate, augment=augment, seed=job.seed, clip=self.clip)
        return Ring(self.name, source, split, view, settings, self.rates, job.device, self.feature_scale)


SMOKE = Target(steps=4, most=8, rates=())
"""Shows the wiring."""
