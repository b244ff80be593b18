"""Tasks of preset ``full``: real networks and pictures from ``--data``.

``tiny-imagenet`` takes CIFAR ResNet-20s to 15 classes of Tiny ImageNet at 32 x 32: *appropriate* is a CIFAR-10 network,
*other domain* one trained here on MNIST, and *inappropriate* the CIFAR-10 network with each tensor's weights shuffled, which
keeps their statistics and no knowledge. ``flowers`` takes an ImageNet MobileNetV2 to five kinds of flowers at 64 x 64.
"""

import gzip
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Generator, nn
from torch.nn.functional import interpolate

from claimkit.assets import Assets
from claimkit.errors import InputError
from claimkit.transfer.data import Images, View, from_arrays, from_folder
from claimkit.transfer.loop import FineTuning, finetune
from claimkit.transfer.networks import CifarResNet, create
from claimkit.transfer.tasks import Split, Task

FILES = {
    "tiny-imagenet": ("datasets/tiny_imagenet30", "weights/cifar10_resnet20.pt", "datasets/mnist/MNIST/raw"),
    "flowers": ("datasets/flowers5_128", "weights/mobilenet_v2_imagenet.pt"),
}


def find(name: str, assets: Assets) -> list[Path]:
    """The files of a task: pictures first, then weights."""
    return [assets.find(file) for file in FILES[name]]


def task(name: str, source: str, assets: Assets) -> Task:
    """A task by its name and its source's.

    Raises:
        NotAvailableError: Its files are not there.
    """
    files = find(name, assets)
    if name == "flowers":
        return _flowers(*files)
    return _tiny_imagenet(*files, source)


@cache
def _flowers(pictures: Path, weights: Path) -> Task:
    train, test = (from_folder(pictures / part, 72) for part in ("train", "val"))
    view = View(64, mean=(0.5,) * 3, std=(0.5,) * 3)
    return Task("flowers", create("mobilenet_v2", weights), train, test, view, per_class=24, validation=1 / 6)


@cache
def _pictures(folder: Path) -> tuple[Images, Images]:
    train, test = (from_folder(folder / part, 36).only(range(15)) for part in ("train", "val"))
    return train, test


@cache
def _tiny_imagenet(pictures: Path, weights: Path, mnist: Path, source: str) -> Task:
    train, test = _pictures(pictures)
    network = create("cifar-resnet20", weights)
    if source == "other domain":
        network = _mnist_network(mnist)
    elif source == "inappropriate":
        shuffle(network, View(32).test(train.x[::20]))
    elif source != "appropriate":
        raise InputError(f"tiny-imagenet has no source {source!r}")
    return Task("tiny-imagenet", network, train, test, View(32), per_class=12, validation=1 / 6)


@torch.no_grad()
def shuffle(network: nn.Module, x: torch.Tensor) -> None:
    """Shuffle each parameter's elements, and measure BatchNorm's statistics again on ``x``."""
    generator = Generator().manual_seed(0)
    for p in network.parameters():
        p.copy_(p.flatten()[torch.randperm(p.numel(), generator=generator)].view_as(p))
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    for m in norms:
        m.reset_running_stats()
        m.momentum = None  # a plain average over the batches
    network.train()
    for part in x.split(128):
        network(part)
    network.eval()
    for m in norms:
        m.momentum = 0.1


def _mnist_network(folder: Path) -> nn.Module:
    """A ResNet-20 trained on 6,400 images of MNIST, each once."""
    x, y = (_idx(folder / f"train-{part}-ubyte.gz") for part in ("images-idx3", "labels-idx1"))
    grey = interpolate(torch.from_numpy(x[:6400])[:, None].float(), (32, 32), mode="bilinear").byte()
    images = from_arrays(grey.expand(-1, 3, -1, -1), y[:6400].astype(np.int64), name="mnist")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = CifarResNet(20)
    nothing = images.take(torch.zeros(0, dtype=torch.int64))
    settings = FineTuning(200, 32, 0.05, head_decay=1e-4, augment=False)
    finetune(network, Split(images, nothing, nothing), View(32), settings)
    return network


def _idx(path: Path) -> np.ndarray:
    """An array in MNIST's format: two bytes of zeros, type, number of axes, their lengths, then bytes."""
    raw = gzip.decompress(path.read_bytes())
    axes = raw[3]
    shape = np.frombuffer(raw, ">i4", axes, 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * axes).reshape(shape).copy()
