"""The transfer tasks of the claims: a source network, and a target set of images of the same kind with other classes."""

import hashlib
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import torch
from torch import nn

from claimkit.assets import Assets
from claimkit.transfer.data import View, from_arrays, from_folder
from claimkit.transfer.loop import FineTuning, finetune
from claimkit.transfer.networks import SmallCNN, create, reinitialise
from claimkit.transfer.tasks import Split, Task

DIGITS = View(8, pad=1, flip=False, mean=(4.9,), std=(6.0,))
POOL = 60
"""Digits of each class to draw training images from; the rest are for testing."""


def digits(per_class: int, assets: Assets) -> Task:
    """Scikit-learn's digits: a network that has learnt 0 to 4 learns 5 to 9."""
    from sklearn.datasets import load_digits

    loaded: Any = load_digits()
    assets.note("scikit-learn digits", hashlib.sha256(loaded.images.tobytes()).hexdigest())
    new = from_arrays(loaded.images.astype("float32"), loaded.target, name="digits").only(range(5, 10))
    order = torch.cat([(new.y == label).nonzero().squeeze(1)[:POOL] for label in range(5)])
    rest = torch.ones(len(new), dtype=torch.bool)
    rest[order] = False
    return Task("digits", _digits_source(), new.take(order), new.take(rest.nonzero().squeeze(1)), DIGITS, per_class)


@cache
def _digits_source() -> nn.Module:
    """A network of 24,000 weights, trained on all digits 0 to 4; the same for every seed."""
    from sklearn.datasets import load_digits

    loaded: Any = load_digits()
    known = from_arrays(loaded.images.astype("float32"), loaded.target).only(range(5))
    none = known.take(known.y[:0])
    model = reinitialise(SmallCNN(1, (16, 32, 64), 5), 0)
    finetune(model, Split(known, none, none), DIGITS, FineTuning(300, 32, 0.05))
    return model.eval()


def tiny_imagenet(per_class: int, assets: Assets) -> Task:
    """Tiny ImageNet, 30 classes at 32 pixels, from a ResNet-20 that has learnt CIFAR-10."""
    folder = assets.find("datasets/tiny_imagenet30")
    source = create("cifar-resnet20", assets.find("weights/cifar10_resnet20.pt"))
    pool, test = from_folder(folder / "train", 32), from_folder(folder / "val", 32)
    return Task("tiny-imagenet, ResNet-20", source, pool, test, View(32, pad=4), per_class)


def flowers_mobilenet(per_class: int, assets: Assets) -> Task:
    """Five kinds of flowers at 64 pixels, from a MobileNetV2 that has learnt ImageNet."""
    folder = assets.find("datasets/flowers5_128")
    source = create("mobilenet_v2", assets.find("weights/mobilenet_v2_imagenet.pt"))
    pool, test = from_folder(folder / "train", 72), from_folder(folder / "val", 72)
    return Task("flowers, MobileNetV2", source, pool, test, View(64, mean=(0.5,) * 3, std=(0.5,) * 3), per_class)


def flowers_squeezenet(per_class: int, assets: Assets) -> Task:
    """Five kinds of flowers at 96 pixels, from a SqueezeNet 1.1 that has learnt ImageNet."""
    folder = assets.find("datasets/flowers5_128")
    source = create("squeezenet1_1", assets.find("weights/squeezenet1_1_imagenet.pt"))
    pool, test = from_folder(folder / "train", 108), from_folder(folder / "val", 108)
    return Task("flowers, SqueezeNet", source, pool, test, View(96), per_class)


TASKS: Mapping[str, Callable[[int, Assets], Task]] = {
    "digits": digits,
    "tiny_imagenet": tiny_imagenet,
    "flowers_mobilenet": flowers_mobilenet,
    "flowers_squeezenet": flowers_squeezenet,
}
