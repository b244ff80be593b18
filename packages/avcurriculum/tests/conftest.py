"""What the tests share: one thread, small generated packs, a video."""

import numpy as np
import pytest
import torch

import claimkit.testing.fixtures  # noqa: F401  no deadline for hypothesis
from avcurriculum.audio import RATE
from avcurriculum.scenes.generated import generate_pack
from avcurriculum.video import media


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def packs():
    return {split: generate_pack(split, items=4) for split in ("train", "val", "test")}


@pytest.fixture(autouse=True)
def same_weights():
    """What a test draws without a seed of its own is the same in every order of the tests."""
    torch.manual_seed(0)


def moving_square(frames=30, side=(96, 128)):
    for i in range(frames):
        picture = np.full((*side, 3), 40, np.uint8)
        picture[20:60, 10 + i : 50 + i] = (200, 60, 30)
        yield picture


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    """Three seconds, 128 x 96, ten frames a second; the last second is silent."""
    path = tmp_path_factory.mktemp("video") / "clip.mp4"
    t = np.arange(3 * RATE) / RATE
    sound = 0.3 * np.sin(2 * np.pi * 440 * t) * (t < 2)
    media.write_clip(path, moving_square(), 10, sound.astype(np.float32))
    return path


@pytest.fixture(scope="session")
def folder_of_videos(tmp_path_factory):
    """Three videos of six seconds, two in a folder of their own; beside them a text that is named like a video."""
    folder, t = tmp_path_factory.mktemp("videos"), np.arange(6 * RATE) / RATE
    for name, pitch, color in (
        ("a.mp4", 300, (200, 60, 30)),
        ("more/b.mkv", 900, (30, 200, 60)),
        ("more/c.mp4", 2000, (40, 60, 220)),
    ):
        pictures = np.full((60, 64, 64, 3), 30, np.uint8)
        pictures[:, 16:40, 8:32] = color
        (folder / name).parent.mkdir(exist_ok=True)
        media.write_clip(folder / name, pictures, 10, (0.3 * np.sin(2 * np.pi * pitch * t)).astype(np.float32))
    (folder / "notes.mp4").write_text("not a video")
    return folder
