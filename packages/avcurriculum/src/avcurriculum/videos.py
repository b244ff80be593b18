"""Scenes out of videos with sound, ordered by the complexity that is estimated from the sound."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from avcurriculum import audio
from avcurriculum.apply import square
from avcurriculum.counting import SourceCounter
from avcurriculum.media import read_clip, sample_frames
from avcurriculum.model import AVNet
from avcurriculum.packs import SAMPLES, SECONDS, loudness
from avcurriculum.pools import Pool, audio_features, visual_features
from paperkit import run
from paperkit.errors import InputError


def video_pools(
    paths: Sequence[Path], model: AVNet, counter: SourceCounter, hardest: int, batch: int, backbones: bool = False
) -> dict[int, Pool]:
    """Every two seconds of every video as a scene (middle frame, sound), grouped by the estimated number of sources.

    Args:
        paths: Videos with picture and sound.
        model: Whose backbones see the scenes.
        counter: Estimates the number of sources.
        hardest: Largest number; lowered until every number has ``batch`` scenes.
        batch: Scenes that a step needs.
        backbones: Hold the outputs of the model's frozen backbones.

    Raises:
        InputError: Fewer scenes than a batch in all.
    """
    pictures, sounds = [], []
    for path in run.progress(paths, "videos", unit="video"):
        clip = read_clip(path)
        starts = range(0, clip.sound.size - SAMPLES + 1, SAMPLES)
        times = [s / audio.RATE + SECONDS / 2 for s in starts]
        for start, frame in zip(starts, sample_frames(path, times), strict=True):
            wave = clip.sound[start : start + SAMPLES]
            if audio.rms(wave) >= audio.SILENCE:
                pictures.append(square(frame, model.architecture.canvas))
                sounds.append(loudness(wave))
    if len(sounds) < batch:
        raise InputError(f"the videos give {len(sounds)} scenes of two seconds with sound, fewer than a batch of {batch}")
    visual, mel = torch.stack(pictures), audio.log_mel(torch.from_numpy(np.stack(sounds)), model.mel)
    if backbones:
        visual, mel = visual_features(model, visual), audio_features(model, mel)
    none = np.zeros((0, 4), np.int64)
    n = len(sounds)
    everything = Pool(visual, mel, [none] * n, [()] * n, [none] * n, model.architecture.canvas)
    level = counter.estimate_sources(mel)
    while hardest > 1 and min(np.bincount(np.minimum(level, hardest), minlength=hardest + 1)[1:]) < batch:
        hardest -= 1
    level = np.minimum(level, hardest)
    return {k: everything.take(np.flatnonzero(level == k)) for k in range(1, hardest + 1)}
