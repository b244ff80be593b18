"""A localiser on annotated pictures as the field measures: every cut, baselines, sounds that are not there, its ranking.

Maps are cut by rank or by their own range in most papers. Where one threshold is to hold for all pictures (AP, max-F1,
negatives) the map is the assignment to the nearest visual cluster times ``exp(-distance)``, whose values mean the same
everywhere.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from torch import Tensor

from avcurriculum import audio, metrics
from avcurriculum.evaluation.annotations import SIDE, Annotated
from avcurriculum.network.baselines import center_map, saliency_map, whole_map
from avcurriculum.network.cluster import Clusters
from avcurriculum.network.model import AVNet, grid_of, read_out, resize
from avcurriculum.scenes.packs import SAMPLES, loudness
from claimkit import run
from claimkit.errors import InputError

Table = dict[str, dict[str, float]]
Map = Float[NDArray, "side side"]


class Sample(NamedTuple):
    """An annotated picture at the network's canvas, and two seconds of the sound that is asked for."""

    entry: Annotated
    image: UInt8[Tensor, "canvas canvas 3"]
    wave: Float[NDArray, " samples"]


@dataclass(frozen=True)
class Scores:
    """What was measured.

    Attributes:
        localization: Candidate (model, center, saliency, things, whole picture) to measure to value.
        listening: How far the map follows the sound: one row a kind of negative, and the ranking.
        sweep: Cut to threshold to (mean cIoU, cIoU@0.5) of the model.
        rows: One row a picture with a sounding thing: name and cIoU at every cut.
        paired: Candidate to ``cIoU`` at the median cut and ``pointing``, one value a picture in the order of the rows.
    """

    localization: Table
    listening: Table
    sweep: dict[str, dict[float, tuple[float, float]]]
    rows: list[dict[str, object]]
    paired: dict[str, dict[str, list[float]]]


class _Looked(NamedTuple):
    entry: Annotated
    seen: Clusters
    heard: Float[Tensor, "1 dim"]
    saliency: NDArray[np.float64]
    things: NDArray[np.float64]
    grid: tuple[int, int]
    prior: float = 0.0


@torch.inference_mode()
def measure(net: AVNet, samples: Iterable[Sample], seed: int = 0, prior: float = 0.0) -> Scores:
    """Score a localiser beside the picture's centre, its saliency, the things that it shows and the whole picture.

    Args:
        net: The localiser, in evaluation mode; one sound is asked for at a time (K_a = 1).
        samples: Read once; only clusters and centres are kept.
        seed: Of the noise that stands for a negative sound.
        prior: Share of the things that are shown, :meth:`AVNet.objects`, in the model's maps.

    Raises:
        InputError: No sample with a sounding thing, or a prior that is no share.
    """
    if not 0 <= prior <= 1:
        raise InputError(f"prior = {prior}: expected a share from 0 to 1")
    looked = [_look(net, s)._replace(prior=prior) for s in samples]
    positive = [x for x in looked if not x.entry.negative]
    if not positive:
        raise InputError("no annotated picture with a sounding thing could be used: nothing can be measured")
    candidates: dict[str, Callable[[_Looked], Map]] = {
        "model": lambda x: _map(x, x.heard)[0],
        "center": lambda x: center_map(SIDE),
        "saliency": lambda x: x.saliency,
        "things": lambda x: x.things,
        "whole picture": lambda x: whole_map(SIDE),
    }
    table: Table = {}
    median: list[float] = []
    rows: list[dict[str, object]] = [{"name": x.entry.name} for x in positive]
    paired: dict[str, dict[str, list[float]]] = {}
    for name, candidate in candidates.items():
        scores: dict[str, list[float]] = {cut: [] for cut in metrics.CUTS}
        pointing: list[float] = []
        for x in run.progress(positive, name, unit="picture"):
            map_, g = candidate(x), _truth(x)
            for cut in metrics.CUTS:
                scores[cut].append(_ciou(metrics.binarize(map_, cut), g))
            pointing.append(metrics.pointing_hit(map_, g > 0))
        paired[name] = {"cIoU": scores["median"], "pointing": pointing}
        if name == "model":
            rows = [row | {cut: round(scores[cut][i], 4) for cut in metrics.CUTS} for i, row in enumerate(rows)]
        table[name] = _summary(scores) | {"pointing": float(np.mean(pointing))} | _interactive(positive, scores["median"])
        if name == "model":
            median = scores["median"]
    boxed = [x for x in positive if len(x.entry.boxes[0])]
    sweep = {
        cut: metrics.threshold_sweep((_map(x, x.heard)[0] for x in boxed), map(_truth, boxed), cut)
        for cut in ("fixed", "max")
        if boxed
    }
    return Scores(table, _listening(net, looked, median, seed), sweep, rows, paired)


def _summary(scores: dict[str, list[float]]) -> dict[str, float]:
    out = {}
    for cut, s in scores.items():
        out |= {f"cIoU {cut}": float(np.mean(s)), f"cIoU@0.5 {cut}": metrics.success_rate(s), f"AUC {cut}": metrics.auc(s)}
    return out


def _interactive(positive: Sequence[_Looked], scores: Sequence[float]) -> dict[str, float]:
    groups: dict[str, list[float]] = {}
    for x, s in zip(positive, scores, strict=True):
        if x.entry.group:
            groups.setdefault(x.entry.group, []).append(s)
    asked = {g: s for g, s in groups.items() if len(s) > 1}
    return {"IIoU": metrics.interactive_iou(asked), "IAUC": metrics.interactive_auc(asked)} if asked else {}


def _listening(net: AVNet, looked: Sequence[_Looked], ciou: Sequence[float], seed: int) -> Table:
    """Extended measures: against the list's own negatives where it has them, else against each kind of our own."""
    positive = [x for x in looked if not x.entry.negative]
    confident = [metrics.confidence(_map(x, x.heard)[1]) for x in positive]
    noise = loudness(np.random.default_rng(seed).standard_normal(SAMPLES).astype(np.float32))
    silent, noisy = _hear(net, np.zeros(SAMPLES, np.float32)), _hear(net, noise)
    other = [(x, o) for x, o in zip(positive, _others(positive), strict=True) if o is not None]
    asked = {
        "listed": [(x, x.heard) for x in looked if x.entry.negative],
        "silence": [(x, silent) for x in positive],
        "noise": [(x, noisy) for x in positive],
        "off-screen": other,
    }
    asked = {kind: pairs for kind, pairs in asked.items() if pairs}
    level = metrics.universal_threshold(_map(*pair)[1] for pairs in asked.values() for pair in pairs)
    right = float(np.mean([_ciou(_map(x, x.heard)[1] > level, _truth(x)) for x in positive]))
    out: Table = {}
    for kind, pairs in asked.items():
        found = [(metrics.confidence(m), metrics.lit_area(m, level)) for m in (_map(*pair)[1] for pair in pairs)]
        sounding = np.repeat([True, False], [len(positive), len(found)])
        rows = metrics.detections([*ciou, *[0.0] * len(found)], [*confident, *(c for c, _ in found)], sounding)
        areas = [a for _, a in found]
        out[kind] = {
            "AP": metrics.average_precision(rows),
            "max-F1": metrics.max_f1(rows),
            "LocAcc": metrics.localization_accuracy(rows),
            "threshold": level,
            "cIoU at threshold": right,
            "lit area": float(np.mean(areas)),
            "area score": metrics.area_score(areas),
            "F": metrics.harmonic(right, 1 - float(np.mean(areas))),
        }
    if len(positive) > 1:
        out["own sound"] = {"mean rank": own_rank(net, positive)}
    return out


def own_rank(net: AVNet, looked: Sequence[_Looked]) -> float:
    """Mean share of the other sounds that are nearer to a picture than its own (ties count half): 0 is best, chance 0.5."""
    d = net.distance(torch.cat([x.seen.centers for x in looked]), torch.stack([x.heard for x in looked])).numpy()
    own = d.diagonal()[:, None]
    nearer = (d < own).sum(1) + ((d == own).sum(1) - 1) / 2
    return float((nearer / (len(d) - 1)).mean())


def _others(positive: Sequence[_Looked]) -> list[Tensor | None]:
    """For each picture the sound of the next one of another class (and of another group); None where there is none."""
    out: list[Tensor | None] = []
    n = len(positive)
    for i, x in enumerate(positive):
        ahead = (positive[(i + step) % n] for step in range(1, n))
        out.append(next((y.heard for y in ahead if foreign(x.entry, y.entry)), None))
    return out


def foreign(a: Annotated, b: Annotated) -> bool:
    """Whether two entries share neither a class nor a picture."""
    same = bool(set(a.classes) & set(b.classes)) or bool(a.group and a.group == b.group)
    return not same and a.name != b.name


def _look(net: AVNet, sample: Sample) -> _Looked:
    positions = net.embed_image(sample.image[None])
    seen = net.centers(positions, 1 + net.architecture.background)
    saliency = torch.from_numpy(saliency_map(sample.image.numpy()))[None, None]
    things = resize(net.objects(sample.image[None])[None], SIDE)[0, 0].numpy()
    heard, salient = _hear(net, sample.wave), resize(saliency, SIDE)[0, 0].numpy()
    return _Looked(sample.entry, seen, heard, salient, things, grid_of(positions))


def _hear(net: AVNet, wave: Float[NDArray, " samples"]) -> Float[Tensor, "1 dim"]:
    mel = audio.log_mel(torch.from_numpy(np.ascontiguousarray(wave, np.float32))[None], net.mel)
    return net.centers(net.embed_audio(mel), 1).centers[0]


def _truth(x: _Looked) -> Map:
    return x.entry.truth(SIDE, SIDE)


def _ciou(predicted: NDArray[np.bool_], truth: Map) -> float:
    """cIoU; 0 where no box of an entry is left, as the references have it."""
    return metrics.consensus_iou(predicted, truth) if truth.any() else 0.0


def _map(x: _Looked, heard: Float[Tensor, "1 dim"]) -> tuple[Map, Map]:
    """The map of a sound as the command shows it, and the same where the sound's part is times ``exp(-distance)``."""
    found = read_out(x.seen, heard[None], x.grid, SIDE)
    map_, near = (1 - x.prior) * found.maps[0, 0].numpy(), float((-found.dist[0, 0]).exp())
    return map_ + x.prior * x.things, map_ * near + x.prior * x.things
