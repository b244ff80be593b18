"""The verb ``eval``: a localiser, or a separator, measured on composed scenes or on an annotated data set."""

import dataclasses
import json
from itertools import islice
from pathlib import Path

import numpy as np

from avcurriculum.evaluation import annotations as readers
from avcurriculum.evaluation import field
from avcurriculum.evaluation.clips import read_samples
from avcurriculum.evaluation.composed import pair_accuracy, scene_scores, solo_queries
from avcurriculum.evaluation.separation import measure_separation, mixes_of, pack_mixes
from avcurriculum.metrics import auc, success_rate
from avcurriculum.network.model import AVNet
from avcurriculum.options import EvalOptions
from avcurriculum.scenes.pools import fill, solo_sounds
from avcurriculum.separation.separate import Separator, load_separator
from avcurriculum.verbs.common import composer_of, read_model, read_pack
from claimkit.errors import InputError
from claimkit.files import write_atomic

MIXES = 100
"""At most so many are separated and measured: filters of 512 taps take a third of a second each."""


def evaluate(job: EvalOptions) -> None:
    """Measure a localiser, or a separator where one is given, on annotated data, or on a pack where there are none."""
    job.check()
    net = read_model(job.model, job.weights, separates=job.separator is not None)
    separator = None if job.separator is None else load_separator(job.separator)
    if job.annotations is not None:
        evaluate_annotations(net, job, job.annotations, separator)
    elif separator is not None:
        evaluate_separator(net, separator, job)
    else:
        evaluate_scenes(net, job)


def evaluate_scenes(net: AVNet, job: EvalOptions) -> None:
    """Print pair accuracy and localisation for one to three sources."""
    material = read_pack(job.pack, job.split)
    solo = solo_sounds(composer_of(material, 1, net, job.seed), net)
    table: dict[str, dict[str, float]] = {}
    for k in range(1, min(3, len(material.classes)) + 1):
        pool = fill(composer_of(material, k, net, job.seed), job.scenes, net)
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
    if any(np.isnan(row["pair accuracy"]) for row in table.values()):
        print("pair accuracy is nan where no two of the scenes are without a common class: ask for more, or a larger pack")
    _write(table, job.json)


def evaluate_separator(net: AVNet, separator: Separator, job: EvalOptions) -> None:
    """Print the gain of a separator on mixes of two sounds of a pack, the assignment and its bounds."""
    material = read_pack(job.pack, job.split)
    shown = fill(composer_of(material, 1, net, job.seed), job.scenes, net)
    mixes = list(pack_mixes(net, material, shown, min(job.scenes, MIXES), job.seed))
    _report_separation(net, separator, mixes, job.json)


def evaluate_annotations(net: AVNet, job: EvalOptions, annotations: Path, separator: Separator | None) -> None:
    """Print what the field measures on an annotated data set: a localiser beside its baselines, or a separator."""
    if job.clips is None:
        raise InputError("annotated data need --clips, the folder of videos, or of pictures and sounds, that are annotated")
    if not job.clips.is_dir():
        raise InputError(f"{job.clips} is not a folder: give the folder of the annotated clips")
    entries, notes = readers.read(annotations, job.kind)
    if job.negatives is not None:
        entries += readers.negatives_csv(job.negatives)
    for note in notes:
        print(note)
    missing: list[str] = []
    samples = read_samples(entries, job.clips, net, missing)
    if separator is not None:
        _report_separation(net, separator, list(islice(mixes_of(net, samples), MIXES)), job.json)
    else:
        scores = field.measure(net, samples, job.seed, job.prior)
        _print_table(scores.localization)
        for kind, row in scores.listening.items():
            print(f"{kind}: " + ", ".join(f"{name} {value:.3f}" for name, value in row.items()))
        _write(dataclasses.asdict(scores), job.json)
        print(f"{len(scores.rows)} annotated pictures measured")
    if missing:
        print(f"{len(missing)} of {len(entries)} annotated pictures could not be used, first: {missing[0]}")


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
