"""Composed scenes in memory: what a network reads (pixels and log-mel, or frozen backbones' features), and the answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avcurriculum import audio
from avcurriculum.network.model import AVNet
from avcurriculum.scenes.composer import Composer
from claimkit import run
from claimkit.training import parallel

CHUNK = 64
ENDLESS = 2**31


@dataclass(frozen=True)
class Pool:
    """Scenes of one complexity.

    Attributes:
        visual: Bytes ``(scenes, S, S, 3)``, or features ``(scenes, channels, h, w)`` in half precision.
        audio: Log-mel ``(scenes, frames, bands)``, or features ``(scenes, channels, t, f)`` in half precision.
        mel: Log-mel in either case: what sounds are counted by.
        boxes: Of the sources of each scene, in pixels.
        classes: Of the sources of each scene.
        distractors: Boxes of silent things.
        canvas: Side of the pictures.
    """

    visual: Tensor
    audio: Tensor
    mel: Tensor
    boxes: Sequence[NDArray[np.int64]]
    classes: Sequence[tuple[int, ...]]
    distractors: Sequence[NDArray[np.int64]]
    canvas: int

    def __len__(self) -> int:
        return len(self.visual)

    def draw(self, rng: np.random.Generator, number: int) -> tuple[Tensor, Tensor]:
        """What a network reads of some different scenes (of this process's share of them)."""
        chosen = parallel.share(torch.from_numpy(rng.choice(len(self), number, replace=False)))
        return self.visual[chosen], self.audio[chosen]

    def take(self, index: Sequence[int] | NDArray[np.int64]) -> "Pool":
        """Some of the scenes."""
        chosen = [int(i) for i in index]
        boxes, silent = ([x[i] for i in chosen] for x in (self.boxes, self.distractors))
        classes = [self.classes[i] for i in chosen]
        visual, sound, mel = (x[chosen] for x in (self.visual, self.audio, self.mel))
        return Pool(visual, sound, mel, boxes, classes, silent, self.canvas)


class Stream:
    """Scenes that are composed when they are asked for, so that none comes twice; not for frozen backbones.

    Args:
        composer: Its log-mel front end must be the model's.
    """

    def __init__(self, composer: Composer) -> None:
        self.composer = composer

    def __len__(self) -> int:
        """As many as there are seeds."""
        return ENDLESS

    def draw(self, rng: np.random.Generator, number: int) -> tuple[Tensor, Tensor]:
        """Pictures and log-mel of scenes that follow each other from a random one on."""
        start = int(rng.integers(ENDLESS - number))
        batch = self.composer.batch(parallel.share(torch.arange(start, start + number)).tolist())
        return batch.images, batch.features


def fill(composer: Composer, scenes: int, model: AVNet, backbones: bool = False, start: int = 0) -> Pool:
    """Compose scenes ``start ... start + scenes - 1``.

    Args:
        composer: Its log-mel front end must be the model's.
        scenes: How many.
        model: Whose backbones see the scenes.
        backbones: Hold the outputs of the model's backbones, which are then not needed again; for frozen ones.
        start: First scene.
    """
    visual, sound, mel, boxes, classes, silent = [], [], [], [], [], []
    for first in run.progress(range(start, start + scenes, CHUNK), "compose", unit="batch"):
        batch = composer.batch(range(first, min(first + CHUNK, start + scenes)))
        visual.append(visual_features(model, batch.images) if backbones else batch.images)
        mel.append(batch.features)
        if backbones:
            sound.append(audio_features(model, batch.features))
        boxes += batch.boxes
        classes += batch.classes
        silent += batch.distractors
    mels = torch.cat(mel)
    return Pool(torch.cat(visual), torch.cat(sound) if backbones else mels, mels, boxes, classes, silent, composer.canvas)


def solo_sounds(composer: Composer, model: AVNet, backbones: bool = False) -> Mapping[int, Tensor]:
    """Every sound of the composer's pack alone: class to what the model reads, ``(sounds, ...)``."""
    pack = composer.pack
    out = {}
    for c, name in enumerate(pack.classes):
        features = audio.log_mel(torch.from_numpy(np.stack(pack.sounds[name])), composer.mel)
        out[c] = audio_features(model, features) if backbones else features
    return out


@torch.inference_mode()
def visual_features(model: AVNet, images: Tensor) -> Tensor:
    """Outputs of the visual backbone on bytes, in half precision."""
    device = next(model.parameters()).device
    return model.visual(images.to(device).permute(0, 3, 1, 2).float() / 255).half().cpu()


@torch.inference_mode()
def audio_features(model: AVNet, features: Tensor) -> Tensor:
    """Outputs of the audio backbone on log-mel, in half precision."""
    device = next(model.parameters()).device
    return model.audio(features.to(device)[:, None]).half().cpu()
