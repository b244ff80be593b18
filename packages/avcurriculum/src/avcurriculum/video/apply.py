"""A user's video: where its sounds come from, and the sounds one by one."""

import functools
import importlib.resources
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from torch import Tensor

from avcurriculum import audio
from avcurriculum.network.model import AVNet, grid_of, resize
from avcurriculum.scenes.packs import SAMPLES
from avcurriculum.separation.conditions import assign, clip_centers, heard_centers
from avcurriculum.separation.separate import Separator, load_separator
from avcurriculum.training.trainer import load_model
from avcurriculum.video.media import Clip, Frame, sample_frames
from claimkit import run
from claimkit.errors import InputError

COLORS = torch.tensor([[255, 70, 20], [20, 190, 255], [70, 235, 60], [240, 60, 230], [250, 220, 40]], dtype=torch.int16)
"""Of the first, second ... sound."""
BATCH, FRAMES = 8, 8
"""Pictures at once, which bounds the memory; frames that a whole clip is clustered by."""
STRIP = 64
"""Rows of a frame that are painted at once: what is in between stays small."""
MIX_LEVEL = 0.14
"""Root mean square of a training mix of two sounds."""


def shipped(name: str) -> Path:
    """A file of weights that the package carries."""
    return Path(str(importlib.resources.files("avcurriculum") / "data" / name))


@functools.cache
def film_localizer() -> AVNet:
    """The small network that looks where none is given, trained on scenes that look like films (model card: concepts.md)."""
    return load_model(shipped("film.pt"))


@functools.cache
def shipped_localizer() -> AVNet:
    """The small network that the shipped separator is told by, trained on tiles (its model card: concepts.md)."""
    return load_model(shipped("localizer.pt"))


@functools.cache
def shipped_separator() -> Separator:
    """The separator that comes with the package; its conditions are visual centres of :func:`shipped_localizer`."""
    return load_separator(shipped("separator.pt"))


@dataclass(frozen=True)
class HeatMaps:
    """Maps of a clip's sounds over time; a sound keeps its number, and two sounds are never at one place.

    Attributes:
        times: Seconds, ascending, ``(times,)``.
        maps: In [0, 1] on the network's grid, ``(times, sounds, h, w)``; zero where the clip is silent or the sound absent.
        silent: Whether the two seconds around each time are silent.
        absent: Whether nothing in the picture is near enough to the sound, ``(times, sounds)``; never where the model was
            not calibrated on off-screen sounds.
    """

    times: Float[NDArray, " times"]
    maps: Float[NDArray, "times sounds h w"]
    silent: NDArray[np.bool_]
    absent: NDArray[np.bool_]

    def at(self, time: float) -> Float[NDArray, "sounds h w"]:
        """The maps at any time, linear between those computed."""
        i = int(np.clip(np.searchsorted(self.times, time) - 1, 0, max(len(self.times) - 2, 0)))
        j = min(i + 1, len(self.times) - 1)
        gap = self.times[j] - self.times[i]
        share = float(np.clip((time - self.times[i]) / gap, 0, 1)) if gap > 0 else 0.0
        return (1 - share) * self.maps[i] + share * self.maps[j]

    def places(self) -> list[dict[str, object]]:
        """For every time and sound: share of the picture that is lit, and the light's centre (x, y), None without any."""
        h, w = self.maps.shape[-2:]
        y, x = (np.mgrid[:h, :w] + 0.5) / np.array([h, w])[:, None, None]
        rows = []
        for time, maps, silent, absent in zip(self.times, self.maps, self.silent, self.absent, strict=True):
            lit = [round(float(m.mean()), 3) for m in maps]
            centers = [[round(float((m * c).sum() / m.sum()), 3) for c in (x, y)] if m.any() else None for m in maps]
            row = {"time": round(float(time), 3), "silent": bool(silent), "in_picture": (~absent).tolist()}
            rows.append(row | {"center": centers, "area": lit})
        return rows


def localize_clip(clip: Clip, model: AVNet, sounds: int = 1, every: float = 0.25, prior: float = 0.0) -> HeatMaps:
    """Look every ``every`` seconds for the sound of the two seconds around, or for the clip's sounds where there are more.

    Args:
        clip: Video with sound.
        model: Localiser.
        sounds: Number of sounds K_a.
        every: Seconds between looks.
        prior: As for :func:`track`.

    Raises:
        InputError: The clip is silent, or numbers out of range.
    """
    if sounds < 1 or not 0 < every < np.inf or not 0 <= prior <= 1:
        raise InputError(
            f"sounds = {sounds}, every = {every}, prior = {prior}: expected at least one sound, a positive time and a share"
        )
    wave = audio.audible(clip.sound, f"the sound of {clip.path}")
    times = np.arange(0, max(clip.seconds, every), every)
    frames = run.progress(sample_frames(clip.path, times), "look", total=len(times), unit="frame")
    images = torch.stack([square(p, model.architecture.canvas) for p in frames])
    return track(model, images, wave, times, sounds, prior)


@torch.inference_mode()
def track(
    model: AVNet,
    images: UInt8[Tensor, "times canvas canvas 3"],
    wave: Float[NDArray, " samples"],
    times: Float[NDArray, " times"],
    sounds: int,
    prior: float = 0.0,
) -> HeatMaps:
    """Maps of pictures at some times of a sound.

    One sound is heard anew at every look. Several are clustered once over the whole clip, and each is given a visual
    cluster of the whole clip (by ``conditions.assign``, as in :func:`separate_clip`); at every look it is
    where the cluster of this look is that resembles it most, one to one. So a sound is the same one at every look, and
    its place does not jump with what is heard.

    Args:
        model: Localiser.
        images: Pictures.
        wave: The clip's sound at 16 kHz.
        times: Seconds of the pictures, ascending.
        sounds: Number of sounds K_a.
        prior: Share of :meth:`AVNet.objects` in the maps of what sounds: ``(1 - prior) map + prior objects``.
    """
    padded = np.pad(wave, (SAMPLES // 2, SAMPLES))
    starts = np.minimum((times * audio.RATE).astype(int), len(padded) - SAMPLES)
    windows = np.lib.stride_tricks.sliding_window_view(padded, SAMPLES)
    silent = np.array([audio.rms(windows[s]) < audio.SILENCE for s in starts])
    k = sounds + model.architecture.background
    same = clip_centers(model, wave, sounds) if sounds > 1 else None
    target = torch.empty(0)
    if same is not None:
        some = np.linspace(0, len(images) - 1, min(len(images), FRAMES)).round().astype(int)
        target = assign(same, _clip_clusters(model, images[some], k)[:, None]).center
    maps, distances = [], []
    for i in run.progress(range(0, len(times), BATCH), "localize", unit="batch"):
        positions = model.embed_image(images[i : i + BATCH])
        things = model.objects(images[i : i + BATCH]) if prior else positions.new_zeros(len(positions), 1, 1)
        seen = model.centers(positions, k)
        near = torch.from_numpy(windows[starts[i : i + BATCH]])
        heard = heard_centers(model, near, 1) if same is None else same.expand(len(near), -1, -1)
        for centers, assigned, h, shown in zip(seen.centers, seen.assign, heard, things, strict=True):
            thing = torch.from_numpy(assign(h if same is None else target, centers[:, None]).thing)
            map_ = assigned[thing].unflatten(-1, grid_of(positions))
            maps.append(((1 - prior) * map_ + prior * shown).numpy())
            distances.append((h - centers[thing]).norm(dim=-1).numpy())
    limit = model.offscreen[sounds - 1] if len(model.offscreen) >= sounds else np.inf
    absent = (np.stack(distances) > limit) & ~silent[:, None]
    out = np.stack(maps)
    out[silent] = 0
    out[absent] = 0
    return HeatMaps(times, out, silent, absent)


def paint(frame: Frame, maps: Float[NDArray, "sounds h w"], strength: float = 0.6, in_place: bool = False) -> Frame:
    """A frame with each sound's map laid over it in its own colour; ``in_place`` changes the frame itself, 25 MB at 4K.

    Raises:
        InputError: The frame is not of bytes.
    """
    if frame.dtype != np.uint8:
        raise InputError(f"a frame of {frame.dtype}: maps are laid over bytes of sRGB")
    height, width = frame.shape[:2]
    grid = torch.from_numpy(np.ascontiguousarray(maps, np.float32)) * (strength * 128)
    down, across = _spread(grid.shape[1], height), _spread(grid.shape[2], width, 3)
    inks = [COLORS[i % len(COLORS)].repeat(width) for i in range(len(grid))]
    out = torch.from_numpy(frame if in_place else frame.copy()).view(height, 3 * width)
    for rows in (slice(top, top + STRIP) for top in range(0, height, STRIP)):
        strip = out[rows].to(torch.int16)
        for ink, alpha in zip(inks, (down[:, rows].T @ grid @ across).to(torch.int16), strict=True):
            strip += (ink - strip).mul_(alpha) >> 7  # |ink - strip| < 256 and alpha <= 128: the product fits 16 bits
        out[rows] = strip.to(torch.uint8)
    return out.view(height, width, 3).numpy()


@functools.cache
def _spread(cells: int, pixels: int, channels: int = 1) -> Float[Tensor, "cells values"]:
    """What each cell of a side gives to each of its pixels by bilinear interpolation, once for every channel."""
    return resize(torch.eye(cells)[None, None], (cells, pixels))[0, 0].repeat_interleave(channels, 1)


def _clip_clusters(model: AVNet, images: UInt8[Tensor, "frames s s 3"], k: int) -> Float[Tensor, "k dim"]:
    """Visual clusters of some frames together."""
    return model.cluster(model.embed_image(images).flatten(0, 2)[None], k).centers[0]


@torch.inference_mode()
def separate_clip(
    clip: Clip, model: AVNet, separator: Separator, sounds: int = 2
) -> tuple[Float[NDArray, "sounds samples"], Float[NDArray, "sounds h w"]]:
    """The sounds of a clip one by one, which sum to its sound, and where each is in its middle frame.

    Raises:
        InputError: The clip is silent or too short, or the separator does not fit the localiser or the number of sounds.
    """
    if sounds < 2:
        raise InputError(f"sounds = {sounds}: expected at least two, one sound is the clip's own")
    blind, size = separator.settings.blind, separator.settings.condition
    if blind and size != sounds:
        raise InputError(f"sounds = {sounds}, but the separator takes {size} sounds apart: ask for {size}")
    if not blind and size != model.architecture.dim:
        raise InputError(
            f"the separator wants conditions of size {size}, the localiser gives {model.architecture.dim}: give a pair that "
            "was trained together"
        )
    wave = audio.audible(clip.sound, f"the sound of {clip.path}")
    k = sounds + model.architecture.background
    moments = np.linspace(0, clip.seconds, FRAMES, endpoint=False)
    shown = torch.stack([square(p, model.architecture.canvas) for p in sample_frames(clip.path, moments)])
    seen = _clip_clusters(model, shown, k)[:, None]
    level = max(audio.rms(wave), audio.SILENCE) / MIX_LEVEL
    mixture = torch.from_numpy(wave / np.float32(level))[None]
    if blind:
        waves = separator.stems(mixture)[0]
        audible = [clip_centers(model, w.numpy(), 1) if audio.rms(w.numpy()) >= audio.SILENCE else seen[0] for w in waves]
        found = assign(torch.cat(audible), seen)
    else:
        found = assign(clip_centers(model, wave, sounds), seen)
        waves = separator.separate(mixture, found.center[None])[0]
    (middle,) = sample_frames(clip.path, [clip.seconds / 2])
    positions = model.embed_image(square(middle, model.architecture.canvas)[None])
    now = model.centers(positions, k)
    maps = now.assign[0, torch.from_numpy(assign(found.center, now.centers[0][:, None]).thing)]
    return (waves * level).numpy(), maps.unflatten(-1, grid_of(positions)).numpy()


def square(frame: Frame, side: int) -> Tensor:
    """A frame stretched to a square, bytes ``(side, side, 3)``."""
    from PIL import Image

    return torch.from_numpy(
        np.array(Image.fromarray(frame).resize((side, side), Image.Resampling.BILINEAR, reducing_gap=2.0))
    )
