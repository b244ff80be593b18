"""What the claims share: scenes of a preset, generated or of the real pack, trained networks, the interval over both."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from avcurriculum.evaluation.composed import pair_accuracy
from avcurriculum.network.model import Architecture, AVNet, build
from avcurriculum.scenes.composer import LEVELS, Composer
from avcurriculum.scenes.generated import generate_pack
from avcurriculum.scenes.packs import Pack, Split, load_pack
from avcurriculum.scenes.pools import Pool, fill, solo_sounds
from avcurriculum.training.curriculum import Curriculum, Order, make
from avcurriculum.training.trainer import History, Training, train
from claimkit.claims import Estimate
from claimkit.experiment import Job, Settings

PAPER = "2001.09414"
PACK = "av"
WEIGHTS = ("weights/mobilenet_v2_imagenet.pt", "weights/yamnet_audioset.pt")
HARDEST = 3
_SPLITS: tuple[Split, ...] = ("train", "val", "test")
RESAMPLES = 9_999

PRETRAINED = Architecture("pretrained", canvas=160)
"""Frozen MobileNetV2 and YAMNet below trained projections."""
SMALL = Architecture("small")
PRETRAINED_RUN: dict[str, Any] = {"real": True, "architecture": PRETRAINED, "steps": 400, "scenes": 1024}
"""What the claims with pretrained networks share at full."""


@dataclass(frozen=True, kw_only=True)
class Scenes(Settings):
    """Sizes that the experiments share.

    Attributes:
        real: Scenes of the development pack; else of the generated one.
        architecture: Of the network.
        training: Rates and batch.
        steps: Of a whole curriculum.
        scenes: Training scenes of each number of sources.
        held_out: Validation and test scenes of each number of sources.
    """

    threads: int | None = 1
    real: bool = False
    architecture: Architecture = SMALL
    training: Training = field(default_factory=Training)
    steps: int = 400
    scenes: int = 1024
    held_out: int = 240


@dataclass(frozen=True)
class Data:
    """Scenes of all splits and levels, and sounds alone, as the network reads them."""

    model: AVNet
    """With its backbones; its projections are not used."""
    pools: Mapping[tuple[Split, int], Pool]
    solo: Mapping[Split, Mapping[int, Tensor]]

    def training(self) -> dict[int, Pool]:
        """Training scenes by number of sources."""
        return {k: pool for (split, k), pool in self.pools.items() if split == "train"}

    def network(self, architecture: Architecture, seed: int) -> AVNet:
        """A network with fresh projections (and backbones, unless pretrained) of the given seed."""
        if architecture.backbone != "pretrained":
            return build(architecture, seed)
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(seed)
            return AVNet(
                architecture, self.model.visual, self.model.audio, self.model.channels, self.model.mel
            ).without_backbones()


def scenes(s: Scenes, job: Job) -> Data:
    """Compose the scenes of a preset, once a process; the frozen backbones' outputs are held in their place."""
    folder = weights = None
    if s.real:
        folder = job.assets.find(PACK)
    if s.architecture.backbone == "pretrained":
        weights = (job.assets.find(WEIGHTS[0]), job.assets.find(WEIGHTS[1]))
    return _compose(s.architecture, s.scenes, s.held_out, folder, weights)


def pack(s: Scenes, job: Job, split: Split) -> Pack:
    """The pack of a preset."""
    return load_pack(job.assets.find(PACK), split) if s.real else generate_pack(split)


def composer(pack: Pack, k: int, model: AVNet, grey: bool = False) -> Composer:
    """Of a split's scenes of k sources; ``grey`` hides what the things are."""
    seed = 100 * _SPLITS.index(pack.split) + k
    return Composer(pack, LEVELS[k], model.architecture.canvas, seed, model.mel, grey=grey)


@functools.lru_cache(maxsize=1)
def _compose(
    architecture: Architecture, scenes: int, held_out: int, folder: Path | None, weights: tuple[Path, Path] | None
) -> Data:
    model = build(architecture, 0, weights).eval()
    frozen = architecture.backbone == "pretrained"
    pools, solo = {}, {}
    for split in _SPLITS:
        pack = load_pack(folder, split) if folder else generate_pack(split)
        for k in range(1, HARDEST + 1):
            pools[split, k] = fill(composer(pack, k, model), scenes if split == "train" else held_out, model, frozen)
        solo[split] = solo_sounds(Composer(pack, 1, architecture.canvas, 0, model.mel), model, frozen)
    return Data(model, pools, solo)


def curriculum_network(
    s: Scenes, data: Data, seed: int, order: Order = "easy_to_hard", curriculum: Curriculum | None = None
) -> tuple[AVNet, History]:
    """Train one network; validated by the pair accuracy of the hardest validation scenes."""
    model = data.network(s.architecture, seed)
    held_out = data.pools["val", HARDEST]
    history = train(
        model,
        data.training(),
        curriculum or make(order, s.steps, HARDEST),
        replace(s.training, seed=seed),
        lambda m: pair_accuracy(m, held_out, HARDEST),
    )
    return model, history


def crossed_interval(difference: ArrayLike, name: str, unit: str = "") -> Estimate:
    """Mean of a ``(seeds, scenes)`` table with its 95 % bootstrap interval; seeds and scenes are both drawn again.

    >>> str(crossed_interval([[1.0, 1.0], [1.0, 1.0]], "gain"))
    'gain 1 [1, 1]'
    """
    table: NDArray[np.float64] = np.asarray(difference, float)
    rng = np.random.default_rng(0)
    seeds, columns = table.shape
    by_seed = rng.multinomial(seeds, np.full(seeds, 1 / seeds), RESAMPLES) / seeds
    by_scene = rng.multinomial(columns, np.full(columns, 1 / columns), RESAMPLES) / columns
    means = np.einsum("rs,sc,rc->r", by_seed, table, by_scene, optimize=True)
    low, high = np.quantile(means, [0.025, 0.975])
    return Estimate(name, float(table.mean()), float(low), float(high), unit)


def by_scene(scene: NDArray[np.int64], hits: NDArray[np.float64], scenes: int) -> list[float]:
    """Mean over the queries of each scene."""
    total = np.bincount(scene, hits, scenes) / np.bincount(scene, minlength=scenes)
    return [round(float(x), 4) for x in total]
