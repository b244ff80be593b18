"""The verb ``eval``: a localiser measured on composed scenes, or on an annotated data set."""

import json
from pathlib import Path

import numpy as np
import torch

from avcurriculum import annotations as readers
from avcurriculum import apply, audio
from avcurriculum.evaluation import pair_accuracy, scene_scores, solo_queries
from avcurriculum.metrics import auc, success_rate
from avcurriculum.packs import SAMPLES, Split, loudness, read_picture
from avcurriculum.pools import fill, solo_sounds
from avcurriculum.verbs.common import Weights, composer_of, read_model, read_pack
from claimkit import run
from claimkit.errors import InputError
from claimkit.files import write_atomic


def evaluate(
    model: Path | None, weights: Weights, pack: Path | None, split: Split, scenes: int, seed: int, out: Path | None
) -> None:
    """Print pair accuracy and localisation for one to three sources."""
    net, material = read_model(model, weights), read_pack(pack, split)
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
    _print_table(table, out)


def evaluate_annotations(
    model: Path | None, weights: Weights, annotations: Path, kind: str, clips: Path | None, out: Path | None
) -> None:
    """Print cIoU and AUC on an annotated data set, beside the whole-picture and the centre baselines."""
    if clips is None:
        raise InputError("annotated data need --clips, the folder of NAME.jpg beside NAME.wav")
    net, size = read_model(model, weights), 224
    if kind == "flickr":
        entries, skipped = readers.flickr_xml(annotations)
    else:
        entries, skipped = (readers.vggss_json if kind == "vggss" else readers.dsol_json)(annotations), []
    maps, truths = [], []
    for entry in run.progress(entries, "eval", unit="clip"):
        try:
            picture, sound = read_picture(_beside(clips, entry.name, (".jpg", ".png", ".jpeg"))), _sound(clips, entry.name)
        except InputError as e:
            skipped.append(str(e))
            continue
        mel = audio.log_mel(torch.from_numpy(sound)[None], net.mel)
        image = apply.square(picture, net.architecture.canvas)[None]
        with torch.inference_mode():
            maps.append(net.localize(image, mel, 1, size=size).maps[0, 0].numpy())
        truths.append(entry.truth(size, size))
    for sentence in skipped:
        print(f"skipped: {sentence}")
    if not maps:
        raise InputError(f"none of the {len(entries)} annotated clips could be used ({len(skipped)} skipped)")
    print(f"{len(maps)} clips, {len(skipped)} skipped")
    _print_table(apply.evaluate_maps(maps, truths), out)


def _beside(folder: Path, name: str, suffixes: tuple[str, ...]) -> Path:
    stem = Path(name).with_suffix("") if Path(name).suffix in (*suffixes, ".mp4") else Path(name)
    found = next((p for s in suffixes if (p := folder / f"{stem}{s}").is_file()), None)
    if found is None:
        raise InputError(f"{folder} holds no {stem}{suffixes[0]}")
    return found


def _sound(folder: Path, name: str) -> np.ndarray:
    """The two seconds in the middle."""
    path = _beside(folder, name, (".wav", ".ogg", ".flac"))
    wave = audio.load(path)
    start = max((wave.size - SAMPLES) // 2, 0)
    wave = wave[start : start + SAMPLES]
    return loudness(audio.audible(np.pad(wave, (0, SAMPLES - wave.size)), str(path)))


def _print_table(table: dict[str, dict[str, float]], out: Path | None) -> None:
    width = max(len(name) for row in table.values() for name in row)
    print(" " * width + "".join(f"{name:>16}" for name in table))
    for name in next(iter(table.values())):
        print(f"{name:<{width}}" + "".join(f"{row[name]:>16.3f}" for row in table.values()))
    if out is not None:
        write_atomic(out, json.dumps(table, indent=1) + "\n")
