"""Scenes out of videos with sound: two seconds each, grouped by the complexity that is estimated from the sound."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from numpy.typing import NDArray

from avcurriculum import audio
from avcurriculum.network.model import AVNet
from avcurriculum.scenes.packs import SAMPLES, SECONDS, Pack, loudness
from avcurriculum.scenes.pools import Pool, audio_features, visual_features
from avcurriculum.training.counting import SourceCounter
from avcurriculum.video.apply import square
from avcurriculum.video.media import read_clip, sample_frames
from claimkit import run
from claimkit.errors import InputError


@dataclass(frozen=True)
class VideoScenes:
    """Two seconds of a video each: the middle frame and the sound.

    Attributes:
        pool: What a network reads; a scene's only class is the number of its video, and its boxes are not known.
        pictures: Middle frames, ``(scenes, canvas, canvas, 3)``.
        sounds: With root mean square 0.1, ``(scenes, samples)``.
    """

    pool: Pool
    pictures: UInt8[NDArray, "scenes canvas canvas 3"]
    sounds: Float[NDArray, "scenes samples"]

    def take(self, index: Int[NDArray, " some"]) -> "VideoScenes":
        """Some of the scenes."""
        return VideoScenes(self.pool.take(index), self.pictures[index], self.sounds[index])

    @property
    def videos(self) -> Int[NDArray, " scenes"]:
        """Number of each scene's video."""
        return np.array([c[0] for c in self.pool.classes])


def video_scenes(paths: Sequence[Path], model: AVNet, backbones: bool = False) -> tuple[VideoScenes, list[str]]:
    """Every two seconds of every video that are not silent; and one sentence for each file that cannot be used.

    Args:
        paths: Videos with picture and sound.
        model: Whose backbones see the scenes.
        backbones: Hold the outputs of the model's frozen backbones.

    Raises:
        InputError: No scene at all.
    """
    pictures, sounds, videos, skipped = [], [], [], []
    for number, path in enumerate(run.progress(paths, "videos", unit="video")):
        try:
            clip = read_clip(path)
            shown = clip.sound[: round(clip.seconds * audio.RATE)]  # a sound may go on when the picture has ended
            starts = range(0, shown.size - SAMPLES + 1, SAMPLES)
            moments = [s / audio.RATE + SECONDS / 2 for s in starts]
            frames = [square(f, model.architecture.canvas) for f in sample_frames(path, moments)]
        except InputError as e:
            skipped.append(str(e))
            continue
        for start, frame in zip(starts, frames, strict=True):
            wave = clip.sound[start : start + SAMPLES]
            if audio.rms(wave) >= audio.SILENCE:
                pictures.append(frame)
                sounds.append(loudness(wave))
                videos.append((number,))
    if not sounds:
        first = f": {skipped[0]}" if skipped else ""
        raise InputError(f"none of {len(paths)} video(s) has two seconds of picture with sound{first}")
    images, waves, none = torch.stack(pictures), np.stack(sounds), [np.zeros((0, 4), np.int64)] * len(sounds)
    visual, mel = images, audio.log_mel(torch.from_numpy(waves), model.mel)
    sound = audio_features(model, mel) if backbones else mel
    visual = visual_features(model, visual) if backbones else visual
    pool = Pool(visual, sound, mel, none, videos, none, model.architecture.canvas)
    return VideoScenes(pool, images.numpy(), waves), skipped


def hold_out(scenes: VideoScenes) -> tuple[VideoScenes, Pool | None]:
    """Scenes to train on, and those of every tenth video to validate on; None where there are at most ten videos."""
    number = np.unique(scenes.videos, return_inverse=True)[1]
    if number.max() < 10:
        return scenes, None
    tenth = number % 10 == 0
    return scenes.take(np.flatnonzero(~tenth)), scenes.pool.take(np.flatnonzero(tenth))


def complexity(scenes: Pool, counter: SourceCounter | None, hardest: int, batch: int) -> Int[NDArray, " scenes"]:
    """Estimated number of sources of each scene.

    Args:
        scenes: Of videos.
        counter: Estimates the number of sources; without one it is 1.
        hardest: Largest number; lowered until every number has ``batch`` scenes.
        batch: Scenes that a step needs.

    Raises:
        InputError: Fewer scenes than a batch in all.
    """
    if len(scenes) < batch:
        raise InputError(f"the videos give {len(scenes)} scenes of two seconds with sound, fewer than a batch of {batch}")
    level = np.ones(len(scenes), int) if counter is None else counter.estimate_sources(scenes.mel)
    while hardest > 1 and min(np.bincount(np.minimum(level, hardest), minlength=hardest + 1)[1:]) < batch:
        hardest -= 1
    return np.minimum(level, hardest)


def sounding_videos(scenes: VideoScenes, simple: Bool[NDArray, " scenes"]) -> tuple[Pack, Pool]:
    """The simple scenes as a pack whose classes are the videos, and as scenes of one source: what is mixed and separated.

    Raises:
        InputError: Fewer than two videos have simple scenes.
    """
    chosen = scenes.take(np.flatnonzero(simple))
    number = np.unique(chosen.videos, return_inverse=True)[1]
    if number.max(initial=0) < 1:
        raise InputError("a separator mixes the sounds of two videos: fewer than two have scenes with one sound")
    groups = {f"{v:06d}": np.flatnonzero(number == v) for v in range(number.max() + 1)}
    sounds = {name: list(chosen.sounds[i]) for name, i in groups.items()}
    pictures = {name: list(chosen.pictures[i]) for name, i in groups.items()}
    pack = Pack("train", sounds, pictures, {}, {}, list(chosen.pictures[:1]))
    return pack, replace(chosen.pool, classes=[(int(v),) for v in number])
