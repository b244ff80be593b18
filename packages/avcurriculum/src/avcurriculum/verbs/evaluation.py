"""The verb ``eval``: a localiser, or a separator, measured on composed scenes or on an annotated data set."""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from avcurriculum import audio
from avcurriculum.evaluation import annotations as readers
from avcurriculum.evaluation import field
from avcurriculum.evaluation.composed import pair_accuracy, scene_scores, solo_queries
from avcurriculum.evaluation.separation import measure_separation, mixes_of, pack_mixes
from avcurriculum.metrics import auc, success_rate
from avcurriculum.network.model import AVNet
from avcurriculum.scenes.packs import SAMPLES, Pack, Picture, Sound, Split, loudness, read_picture
from avcurriculum.scenes.pools import fill, solo_sounds
from avcurriculum.separation.separate import Separator, load_separator
from avcurriculum.verbs.common import Weights, composer_of, read_model, read_pack
from avcurriculum.video import apply, media
from claimkit.errors import InputError
from claimkit.files import write_atomic

MIXES = 100
"""At most so many are separated and measured: filters of 512 taps take a third of a second each."""
PICTURES, SOUNDS = (".jpg", ".jpeg", ".png"), (".wav", ".flac", ".ogg", ".mp3")
FOLDERS = ("", "frames", "images", "audio", "audio_wav", "videos")
"""Where the references keep files below the data set's folder."""


class Annotations(NamedTuple):
    """An annotated data set as the command was given it."""

    path: Path
    kind: readers.Kind
    clips: Path | None
    negatives: Path | None


def evaluate(
    models: tuple[Path | None, Path | None],
    weights: Weights,
    data: Annotations | None,
    pack: tuple[Path | None, Split],
    scenes: int,
    seed: int,
    out: Path | None,
) -> None:
    """Measure a localiser, or a separator where one is given, on annotated data, or on a pack where there are none."""
    net, separator = read_model(models[0], weights), None if models[1] is None else load_separator(models[1])
    if data is not None:
        evaluate_annotations(net, data, out, separator)
    elif separator is not None:
        evaluate_separator(net, separator, read_pack(*pack), scenes, seed, out)
    else:
        evaluate_scenes(net, read_pack(*pack), scenes, seed, out)


def evaluate_scenes(net: AVNet, material: Pack, scenes: int, seed: int, out: Path | None) -> None:
    """Print pair accuracy and localisation for one to three sources."""
    solo = solo_sounds(composer_of(material, 1, net, seed), net)
    table: dict[str, dict[str, float]] = {}
    for k in (1, 2, 3):
        pool = fill(composer_of(material, k, net, seed), scenes, net)
        query, scene = solo_queries(net, pool, solo, k), scene_scores(net, pool, k)
        table[f"{k} source(s)"] = {
            "pair accuracy": pair_accuracy(net, pool, k),
            "mean IoU": float(query.iou.mean()),
            "IoU@0.3": success_rate(query.iou, 0.3),
            "IoU@0.5": success_rate(query.iou, 0.5),
            "pointing": float(query.pointing.mean()),
            **{f"cIoU@0.5 {cut}": success_rate(v) for cut, v in scene.items()},
            **{f"AUC {cut}": auc(v) for cut, v in scene.items()},
        }
    _print_table(table)
    _write(table, out)


def evaluate_separator(net: AVNet, separator: Separator, material: Pack, scenes: int, seed: int, out: Path | None) -> None:
    """Print the gain of a separator on mixes of two sounds of a pack, the assignment and its bounds."""
    shown = fill(composer_of(material, 1, net, seed), scenes, net)
    _report_separation(net, separator, list(pack_mixes(net, material, shown, min(scenes, MIXES), seed)), out)


def evaluate_annotations(net: AVNet, data: Annotations, out: Path | None, separator: Separator | None) -> None:
    """Print what the field measures on an annotated data set: a localiser beside its baselines, or a separator."""
    if data.clips is None:
        raise InputError("annotated data need --clips, the folder of videos, or of pictures and sounds, that are annotated")
    if not data.clips.is_dir():
        raise InputError(f"{data.clips} is not a folder: give the folder of the annotated clips")
    entries, notes = readers.read(data.path, data.kind)
    if data.negatives is not None:
        entries += readers.negatives_csv(data.negatives)
    for note in notes:
        print(note)
    missing: list[str] = []
    samples = _samples(entries, data.clips, net, missing)
    if separator is not None:
        _report_separation(net, separator, list(islice(mixes_of(net, samples), MIXES)), out)
    else:
        scores = field.measure(net, samples)
        _print_table(scores.localization)
        for kind, row in scores.listening.items():
            print(f"{kind}: " + ", ".join(f"{name} {value:.3f}" for name, value in row.items()))
        _write(dataclasses.asdict(scores), out)
        print(f"{len(scores.rows)} annotated pictures measured")
    if missing:
        print(f"{len(missing)} of {len(entries)} annotated pictures could not be used, first: {missing[0]}")


def _samples(entries: list[readers.Annotated], clips: Path, net: AVNet, missing: list[str]) -> Iterator[field.Sample]:
    """Whatever is there, in order; what is not is named in ``missing``."""
    files = _index(clips)
    for entry in entries:
        try:
            picture, wave = _material(entry, files, clips)
        except InputError as e:
            missing.append(str(e))
            continue
        yield field.Sample(entry, apply.square(picture, net.architecture.canvas), wave)
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


def _material(entry: readers.Annotated, files: Mapping[tuple[str, str], Path], clips: Path) -> tuple[Picture, Sound]:
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


def _report_separation(net: AVNet, separator: Separator, mixes: list, out: Path | None) -> None:
    scores = measure_separation(net, separator, mixes)
    print(f"{len(mixes)} mixes of two sounds")
    _print_table(scores)
    _write(scores, out)


def _print_table(table: dict[str, dict[str, float]]) -> None:
    width = max(len(name) for row in table.values() for name in row)
    print(" " * width + "".join(f"{name:>16}" for name in table))
    for name in next(iter(table.values())):
        print(f"{name:<{width}}" + "".join(f"{row.get(name, float('nan')):>16.3f}" for row in table.values()))


def _write(table: object, out: Path | None) -> None:
    if out is not None:
        write_atomic(out, json.dumps(table, indent=1) + "\n")
