"""Scenes of a video by value: which frame, which two seconds."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from avcurriculum.audio import RATE, rms
from avcurriculum.network.model import Architecture, build
from avcurriculum.scenes.pools import Pool
from avcurriculum.video import media
from avcurriculum.video.videos import complexity, video_scenes

COLORS = np.array([[220, 20, 20], [20, 220, 20], [20, 20, 220], [230, 230, 230]], np.uint8)


def test_a_scene_is_the_middle_frame_and_the_two_seconds_of_sound_around_it(tmp_path):
    """The colour changes at 0.5, 1.5 and 2.5 s, the pitch at 2 s: the middles of two scenes are green and white."""
    shown = np.repeat(COLORS, [5, 10, 10, 15], 0)
    t = np.arange(4 * RATE) / RATE
    wave = (0.3 * np.sin(2 * np.pi * np.where(t < 2, 400, 1500) * t)).astype(np.float32)
    pictures = np.broadcast_to(shown[:, None, None], (40, 64, 64, 3))
    media.write_clip(tmp_path / "x.mp4", [np.ascontiguousarray(p) for p in pictures], 10, wave)
    scenes, skipped = video_scenes([tmp_path / "x.mp4"], build(Architecture(widths=(4, 8, 8, 8), dim=8)).eval())
    assert not skipped and len(scenes.pool) >= 1
    middles = scenes.pictures[:, 32, 32].astype(int)
    for middle, sound, color, pitch in zip(middles, scenes.sounds, COLORS[[1, 3]], (400, 1500), strict=False):
        assert np.abs(middle - color).max() < 40
        assert abs(np.abs(np.fft.rfft(sound)).argmax() / 2 - pitch) < 3
        assert rms(sound) == pytest.approx(0.1, rel=1e-3), "as loud as in training"
    assert torch.isfinite(scenes.pool.mel).all()


def test_two_silent_seconds_are_no_scene(tmp_path):
    """Silent for four seconds; the encoder lets the sound after them be heard a little in the second two."""
    wave = np.concatenate([np.zeros(4 * RATE), 0.3 * np.sin(np.arange(2 * RATE) / 5)]).astype(np.float32)
    pictures = [np.full((64, 64, 3), shade, np.uint8) for shade in (40, 120, 200) for _ in range(20)]
    media.write_clip(tmp_path / "x.mp4", pictures, 10, wave)
    scenes, _ = video_scenes([tmp_path / "x.mp4"], build(Architecture(widths=(4, 8, 8, 8), dim=8)).eval())
    assert 1 <= len(scenes.pool) < 3 and scenes.pictures[-1].mean() > 160 and scenes.pictures.mean((1, 2, 3)).min() > 80


@pytest.mark.parametrize(("batch", "levels"), [(1, [1, 3, 2, 3, 1, 1]), (2, [1, 2, 2, 2, 1, 1]), (4, [1] * 6)])
def test_more_sounds_than_enough_scenes_have_are_taken_for_fewer(batch, levels):
    """A counter hears one to four sounds, three are asked for: each number that is left has a batch of scenes."""
    zero, nothing = torch.zeros(6, 1), [np.zeros((0, 4), np.int64)] * 6
    scenes = Pool(zero, zero, torch.tensor([1, 3, 2, 4, 1, 1]), nothing, [()] * 6, nothing, 64)
    counter = SimpleNamespace(estimate_sources=lambda mel: mel.numpy())
    assert complexity(scenes, counter, 3, batch).tolist() == levels
