"""The tasks of the arena: strokes, which are drawn, and public sets that the user has in a folder."""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from torch import nn

from claimkit.experiment import Job
from claimkit.transfer.arena import strokes
from claimkit.transfer.arena.folders import SETS, above
from claimkit.transfer.arena.ring import Ring, measured_again, shots
from claimkit.transfer.data import Images, View
from claimkit.transfer.loop import FineTuning
from claimkit.transfer.networks import create


@dataclass(frozen=True)
class Target:
    """A task, and how every arm of it is trained.

    Attributes:
        name: ``strokes``, ``caltech101``, ``flowers12`` or ``tiny-imagenet``.
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
        network: Where a seed starts that sees pictures: ``squeezenet1_1`` or ``mobilenet_v2``, trained on ImageNet, or
            ``small-resnet``, trained on the half of Tiny ImageNet's classes that no target has.
        stem: Its first stages that stay as they are in every arm, computed once an image and without augmentation.
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
    network: str = "squeezenet1_1"
    stem: int = 0

    def ring(self, job: Job) -> Ring:
        """The seed's classes, images and source."""
        if self.name == "strokes":
            images, view, source = strokes.target(job.seed, self.classes), strokes.VIEW, strokes.source()
            job.assets.note("strokes", strokes.digest(strokes.target(0, self.classes)))
        else:
            images, view, source = self._pictures(job)
        split = shots(images, job.seed, self.per_class, most=self.most)
        source = measured_again(source, view.test(split.train.x))
        augment = self.name != "strokes" and not self.stem
        settings = FineTuning(self.steps, self.batch, self.learning_rate, augment=augment, seed=job.seed, clip=self.clip)
        several = f"{self.name}, {self.per_class} a class" if self.network == "small-resnet" else self.name
        return Ring(several, source, split, view, settings, self.rates, job.device, self.feature_scale)

    def _pictures(self, job: Job) -> tuple[Images, View, nn.Module]:
        folder, names = SETS[self.name].find(job.assets)
        learnt, others = SETS[self.name].halves(names)
        drawn = sorted(map(str, np.random.default_rng(job.seed).permutation(others)[: self.classes]))
        weights = job.assets.find(f"weights/{self.network}_{self.name if learnt else 'imagenet'}.pt")
        return _pictures(self.name, folder, tuple(drawn), self.size, self.network, weights, self.stem)


@lru_cache(1)
def _pictures(
    name: str, folder: Path, classes: tuple[str, ...], size: int, network: str, weights: Path, stem: int
) -> tuple[Images, View, nn.Module]:
    """What is the same for all seeds of equal classes: images or their maps, how they are seen, and the source."""
    images = SETS[name].read(folder, SETS[name].side or size * 9 // 8, classes)
    half = (0.5, 0.5, 0.5)
    view = View(size, mean=half, std=half) if network == "mobilenet_v2" else View(size)
    source = create(network, weights)
    if not stem:
        return images, view, source
    source, maps = above(source, stem, images, view)
    return maps, View(maps.x.shape[-1], flip=False, mean=(0.0,), std=(1.0,)), source


SMOKE = Target(steps=4, most=8, rates=())
"""Shows the wiring."""
PICTURES = Target("", 80, 0.016, (0.008, 0.016, 0.032), per_class=15, size=112, feature_scale=1e-4, clip=1.0, stem=9)
"""Four fire modules of SqueezeNet and its head learn; rate and weights were found with seeds 1000 and up."""
FLOWERS = replace(PICTURES, name="flowers12", classes=12, most=65)
CALTECH = replace(PICTURES, name="caltech101", classes=20, most=40)
"""15 images a class; all the others of the flowers validate and test, and of Caltech-101's large classes 40."""
HALF = Target("tiny-imagenet", 160, 0.06, (0.06, 0.12), 20, 30, 200, 16, 64, 0.1, 1.0, "small-resnet", stem=3)
"""Twenty classes of Tiny ImageNet, from a source that has learnt a hundred others; its last two blocks and head learn."""
