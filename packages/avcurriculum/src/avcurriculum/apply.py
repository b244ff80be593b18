"""A user's video: where its sounds come from, and the sounds one by one."""

import functools
import importlib.resources
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from avcurriculum import audio
from avcurriculum.media import Clip, Frame, sample_frames
from avcurriculum.model import AVNet, grid_of, read_out, resize
from avcurriculum.packs import SAMPLES, loudness
from avcurriculum.separate import Separator, load_separator
from avcurriculum.training import load_model
from claimkit import run
from claimkit.errors import InputError

COLORS = torch.tensor([[255, 70, 20], [20, 190, 255], [70, 235, 60], [240, 60, 230], [250, 220, 40]], dtype=torch.int16)
"""Of the first, second ... sound."""
BATCH = 32


@functools.cache
def shipped_localizer() -> AVNet:
    """The small network that comes with the package (its model card is in the README)."""
    return load_model(Path(str(importlib.resources.files("avcurriculum") / "data" / "localizer.pt")))


@functools.cache
def shipped_separator() -> Separator:
    """The separator that comes with the package; its conditions are visual centres of :func:`shipped_localizer`."""
    return load_separator(Path(str(importlib.resources.files("avcurriculum") / "data" / "separator.pt")))


@dataclass(frozen=True)
class HeatMaps:
    """Maps of a clip's sounds over time.

    Attributes:
        times: Seconds, ascending, ``(times,)``.
        maps: In [0, 1] on the network's grid, ``(times, sounds, h, w)``; zero where the clip is silent.
        silent: Whether the two seconds around each time are silent.
    """

    times: Float[NDArray, " times"]
    maps: Float[NDArray, "times sounds h w"]
    silent: NDArray[np.bool_]

    def at(self, time: float) -> Float[NDArray, "sounds h w"]:
        """The maps at any time, linear between those computed."""
        i = int(np.clip(np.searchsorted(self.times, time) - 1, 0, max(len(self.times) - 2, 0)))
        j = min(i + 1, len(self.times) - 1)
        gap = self.times[j] - self.times[i]
        share = float(np.clip((time - self.times[i]) / gap, 0, 1)) if gap > 0 else 0.0
        return (1 - share) * self.maps[i] + share * self.maps[j]

    def places(self) -> list[dict[str, object]]:
        """For every time and sound: share of the picture that is lit, and the centre of the light (x, y) in [0, 1]."""
        h, w = self.maps.shape[-2:]
        y, x = (np.mgrid[:h, :w] + 0.5) / np.array([h, w])[:, None, None]
        rows = []
        for time, maps, silent in zip(self.times, self.maps, self.silent, strict=True):
            centers = [[round(float((m * c).sum() / max(m.sum(), 1e-9)), 3) for c in (x, y)] for m in maps]
            lit = [round(float(m.mean()), 3) for m in maps]
            rows.append({"time": round(float(time), 3), "silent": bool(silent), "center": centers, "area": lit})
        return rows


@torch.inference_mode()
def localize_clip(clip: Clip, model: AVNet, sounds: int = 1, every: float = 0.25) -> HeatMaps:
    """Look every ``every`` seconds for the sounds of the two seconds around.

    Args:
        clip: Video with sound.
        model: Localiser.
        sounds: Number of sounds K_a.
        every: Seconds between looks.

    Raises:
        InputError: The clip is silent, or numbers out of range.
    """
    if sounds < 1 or not every > 0:
        raise InputError(f"sounds = {sounds}, every = {every}: expected at least one sound and a positive time")
    wave = audio.audible(clip.sound, f"the sound of {clip.path}")
    times = np.arange(0, max(clip.seconds, every), every)
    pictures = sample_frames(clip.path, times)
    padded = np.pad(wave, (SAMPLES // 2, SAMPLES))
    starts = np.minimum((times * audio.RATE).astype(int), len(padded) - SAMPLES)
    windows = [padded[s : s + SAMPLES] for s in starts]
    silent = np.array([audio.rms(w) < audio.SILENCE for w in windows])
    parts = []
    for i in run.progress(range(0, len(times), BATCH), "localize", unit="batch"):
        images = torch.stack([square(p, model.architecture.canvas) for p in pictures[i : i + BATCH]])
        mel = audio.log_mel(torch.from_numpy(np.stack([loudness(w) for w in windows[i : i + BATCH]])), model.mel)
        parts.append(model.localize(images, mel, sounds).maps.numpy())
    maps = np.concatenate(parts)
    maps[silent] = 0
    return HeatMaps(times, maps, silent)


def paint(frame: Frame, maps: Float[NDArray, "sounds h w"], strength: float = 0.6) -> Frame:
    """A frame with each sound's map laid over it in its own colour."""
    height, width = frame.shape[:2]
    grid = torch.from_numpy(np.ascontiguousarray(maps, np.float32))[None]
    alpha = resize(grid, (height, width))[0].mul(strength * 128).to(torch.int16)
    out = torch.from_numpy(frame).to(torch.int16)
    for i, a in enumerate(alpha):  # |color - out| < 256 and a <= 128: the product fits 16 bits
        out += (COLORS[i % len(COLORS)] - out) * a[..., None] >> 7
    return out.to(torch.uint8).numpy()


@torch.inference_mode()
def visual_centers(clip: Clip, model: AVNet, sounds: int, frames: int = 8) -> Float[Tensor, "sounds dim"]:
    """For each sound of the whole clip the visual centre that it comes from; different sounds get different centres.

    Raises:
        InputError: The clip is silent or too short.
    """
    from scipy.optimize import linear_sum_assignment

    wave = audio.audible(clip.sound, f"the sound of {clip.path}")
    times = np.linspace(0, clip.seconds, frames, endpoint=False)
    images = torch.stack([square(p, model.architecture.canvas) for p in sample_frames(clip.path, times)])
    cuts = np.lib.stride_tricks.sliding_window_view(np.pad(wave, (0, max(SAMPLES - wave.size, 0))), SAMPLES)[:: SAMPLES // 2]
    loud = np.stack([loudness(c) for c in cuts if audio.rms(c) >= audio.SILENCE][:64])
    v = model.embed_image(images).flatten(0, 2)[None]
    a = model.embed_audio(audio.log_mel(torch.from_numpy(loud), model.mel)).flatten(0, 2)[None]
    seen = model.cluster(v, sounds + model.architecture.background).centers[0]
    heard = model.cluster(a, sounds).centers[0]
    _, nearest = linear_sum_assignment(torch.cdist(heard, seen).numpy())
    return seen[torch.from_numpy(nearest)]


@torch.inference_mode()
def separate_clip(
    clip: Clip, model: AVNet, separator: Separator, sounds: int = 2
) -> tuple[Float[NDArray, "sounds samples"], Float[NDArray, "sounds h w"]]:
    """The sounds of a clip one by one, and where each is in its middle frame.

    Raises:
        InputError: The clip is silent or too short, or the separator does not fit the localiser.
    """
    if sounds < 1:
        raise InputError(f"sounds = {sounds}: expected at least one")
    if separator.settings.condition != model.architecture.dim:
        raise InputError(
            f"the separator wants conditions of size {separator.settings.condition}, the localiser gives "
            f"{model.architecture.dim}: give a pair that was trained together"
        )
    conditions = visual_centers(clip, model, sounds)
    level = max(audio.rms(clip.sound), audio.SILENCE) / 0.14  # the level of a training mix of two sounds
    waves = separator.separate(torch.from_numpy(clip.sound / np.float32(level))[None], conditions[None])[0] * level
    (middle,) = sample_frames(clip.path, [clip.seconds / 2])
    positions = model.embed_image(square(middle, model.architecture.canvas)[None])
    clusters = model.centers(positions, sounds + model.architecture.background)
    found = read_out(clusters, conditions[None], grid_of(positions))
    return waves.numpy(), found.maps[0].numpy()


def square(frame: Frame, side: int) -> Tensor:
    """A frame stretched to a square, bytes ``(side, side, 3)``."""
    from PIL import Image

    return torch.from_numpy(
        np.array(Image.fromarray(frame).resize((side, side), Image.Resampling.BILINEAR, reducing_gap=2.0))
    )


def evaluate_maps(
    maps: Sequence[Float[NDArray, "h w"]], truths: Sequence[Float[NDArray, "h w"]]
) -> dict[str, dict[str, float]]:
    """cIoU@0.5 and AUC with every published cut, beside the whole-picture and the centre baseline.

    Args:
        maps: One a picture, at the truth's size.
        truths: Consensus maps.
    """
    from avcurriculum.baselines import center_map, whole_map
    from avcurriculum.metrics import auc, binarize, consensus_iou, success_rate

    size = len(truths[0])
    candidates = {"model": maps, "whole picture": [whole_map(size)] * len(maps), "center": [center_map(size)] * len(maps)}
    out: dict[str, dict[str, float]] = {}
    for name, given in candidates.items():
        out[name] = {}
        for cut in ("median", "fixed", "max"):
            scores = [consensus_iou(binarize(m, cut), t) for m, t in zip(given, truths, strict=True)]
            out[name] |= {f"ciou@0.5 {cut}": success_rate(scores), f"auc {cut}": auc(scores)}
    return out
