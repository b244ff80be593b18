"""A transfer task that comes with the libraries: digits 5-9 of scikit-learn, from three sources of the same network."""

import hashlib
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Generator, Tensor

from claimkit.errors import InputError
from claimkit.transfer.data import Images, View, from_arrays
from claimkit.transfer.loop import FineTuning, finetune
from claimkit.transfer.networks import SmallCNN
from claimkit.transfer.regularizers import Regularizer
from claimkit.transfer.tasks import Split, Task

SOURCES = ("appropriate", "other domain", "inappropriate")
VIEW = View(8, flip=False, mean=(0.3,), std=(0.4,))
POOL = 40
"""Images of each target class that a seed may draw from; the others are the test set."""
SOURCE_TRAINING = FineTuning(400, 64, 0.05, head_decay=1e-4, schedule="step", augment=False)


@cache
def digits() -> Images:
    """The 1,797 digits of scikit-learn, 8 x 8, values in [0, 1]."""
    from sklearn.datasets import load_digits

    found: Any = load_digits()
    return from_arrays(found.images / 16, found.target, name="digits")


def digest() -> str:
    """sha256 of the digits' pixels."""
    return hashlib.sha256(digits().x.numpy().tobytes()).hexdigest()


@cache
def photograph_patches(each: int = 150) -> Images:
    """Grey patches of 8 x 8 from scikit-learn's two photographs; the class is the photograph and the band of height."""
    from sklearn.datasets import load_sample_images

    rng = np.random.default_rng(0)
    x, y = [], []
    for i, photograph in enumerate(load_sample_images().images):
        image = Image.fromarray(photograph).convert("L")
        small = np.asarray(image.resize((image.width // 4, image.height // 4)), np.float32) / 255
        height, width = small.shape
        for band in range(3):
            for _ in range(each):
                top = rng.integers(band * height // 3, (band + 1) * height // 3 - 8)
                left = rng.integers(width - 8)
                x.append(small[top : top + 8, left : left + 8])
                y.append(3 * i + band)
    return from_arrays(np.stack(x), np.array(y), name="photograph patches")


def _labels_drawn(images: Images) -> Images:
    labels = torch.randint(len(images.classes), images.y.shape, generator=Generator().manual_seed(0))
    return Images(images.x, labels, images.classes, f"{images.name}, labels drawn at random")


@cache
def source(kind: str) -> SmallCNN:
    """A network of 24,000 weights, trained on digits 0-4, on photographs, or on digits 0-4 with labels drawn at random.

    Raises:
        InputError: Another kind.
    """
    images: dict[str, Callable[[], Images]] = {
        "appropriate": lambda: digits().only(range(5)),
        "other domain": photograph_patches,
        "inappropriate": lambda: _labels_drawn(digits().only(range(5))),
    }
    if kind not in images:
        raise InputError(f"source {kind!r} is none of {', '.join(images)}")
    train = images[kind]()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = SmallCNN(1, classes=len(train.classes))
    nothing = train.take(torch.zeros(0, dtype=torch.int64))
    finetune(model, Split(train, nothing, nothing), VIEW, SOURCE_TRAINING, Regularizer())
    return model


@cache
def task(kind: str) -> Task:
    """Digits 5-9 from one source: ten images of each class to train on, ten to validate on, 700 to test on."""
    target = digits().only(range(5, 10))
    pool, test = _first(target.y, POOL)
    return Task("digits", source(kind), target.take(pool), target.take(test), VIEW, per_class=20, validation=0.5)


def _first(y: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Positions of the first ``count`` images of each class, and of the others."""
    chosen = torch.cat([(y == label).nonzero().squeeze(1)[:count] for label in y.unique()])
    rest = torch.ones(len(y), dtype=torch.bool)
    rest[chosen] = False
    return chosen, rest.nonzero().squeeze(1)
