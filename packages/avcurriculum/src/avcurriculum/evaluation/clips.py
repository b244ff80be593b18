"""The pictures and sounds of annotated clips, from folders of videos, or of pictures and sounds."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from avcurriculum import audio
from avcurriculum.evaluation.annotations import Annotated
from avcurriculum.evaluation.field import Sample
from avcurriculum.network.model import AVNet
from avcurriculum.scenes.packs import SAMPLES, Picture, Sound, loudness, read_picture
from avcurriculum.video import media
from avcurriculum.video.apply import square
from claimkit.errors import InputError

PICTURES, SOUNDS = (".jpg", ".jpeg", ".png"), (".wav", ".flac", ".ogg", ".mp3")
FOLDERS = ("", "frames", "images", "audio", "audio_wav", "videos")
"""Where the references keep files below the data set's folder."""


def read_samples(entries: Sequence[Annotated], clips: Path, net: AVNet, missing: list[str]) -> Iterator[Sample]:
    """Whatever is there of some annotated clips, in order.

    Args:
        entries: What is annotated.
        clips: Folder of videos NAME.mp4, or of NAME.jpg and NAME.wav (also in ``frames/`` and ``audio/``).
        net: Whose canvas the pictures are stretched to.
        missing: Gets one sentence for each entry that cannot be used.

    Raises:
        InputError: None can be used.
    """
    files = _index(clips)
    for entry in entries:
        try:
            picture, wave = _material(entry, files, clips)
        except InputError as e:
            missing.append(str(e))
            continue
        yield Sample(entry, square(picture, net.architecture.canvas), wave)
    if missing and len(missing) == len(entries):
        raise InputError(f"none of the {len(entries)} annotated clips could be used: {missing[0]}")


def _index(folder: Path) -> dict[tuple[str, str], Path]:
    """Files below a folder, and below the folders that the references use, by name without suffix and by suffix."""
    known = {*PICTURES, *SOUNDS, *media.SUFFIXES}
    out: dict[tuple[str, str], Path] = {}
    for path in sorted(folder.rglob("*")):
        if (suffix := path.suffix.lower()) in known:
            name = path.relative_to(folder)
            inner = name.relative_to(name.parts[0]) if len(name.parts) > 1 and name.parts[0] in FOLDERS else name
            for n in (name, inner):
                out.setdefault((n.with_suffix("").as_posix(), suffix), path)
    return out


def _material(entry: Annotated, files: Mapping[tuple[str, str], Path], clips: Path) -> tuple[Picture, Sound]:
    """The annotated picture, and two seconds of its sound: around it in a video, else the middle of the sound file."""
    name = entry.name
    if Path(name).suffix.lower() in (*PICTURES, ".mp4"):
        name = name[: -len(Path(name).suffix)]
    heard = entry.sound or name
    picture, sound = _find(files, name, PICTURES), _find(files, heard, SOUNDS)
    video = _find(files, name, media.SUFFIXES) or _find(files, name.split("/")[0], media.SUFFIXES)
    needed = picture is None or (sound is None and not entry.sound)
    clip = media.read_clip(video) if video is not None and needed else None
    moment = 0.0 if clip is None else clip.seconds / 2 if entry.frame is None else entry.frame / float(clip.rate)
    if picture is not None:
        image = read_picture(picture)
    elif clip is not None:
        (image,) = media.sample_frames(clip.path, [moment])
    else:
        raise InputError(f"{clips} holds no picture and no video {name}")
    other = None if sound is not None else _find(files, heard, media.SUFFIXES)
    if sound is not None:
        wave, moment = audio.load(sound), None
    elif clip is not None and not entry.sound:
        wave = clip.sound
    elif other is not None:
        wave, moment = media.read_clip(other).sound, None
    else:
        raise InputError(f"{clips} holds no sound of {heard}")
    middle = wave.size / 2 if moment is None else moment * audio.RATE
    cut, start = np.zeros(SAMPLES, np.float32), max(int(middle) - SAMPLES // 2, 0)
    part = wave[start : start + SAMPLES]
    cut[: part.size] = part
    return image, loudness(audio.audible(cut, f"the sound of {heard}"))


def _find(files: Mapping[tuple[str, str], Path], name: str, suffixes: tuple[str, ...]) -> Path | None:
    return next((files[name, s] for s in suffixes if (name, s) in files), None)
