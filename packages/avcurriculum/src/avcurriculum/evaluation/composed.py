"""How well a network pairs pictures with sounds and finds sounds in pictures, on composed scenes with known answers."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avcurriculum.metrics import localization as metric
from avcurriculum.network.model import AVNet, dense_map, grid_of, read_out, resize
from avcurriculum.scenes.pools import Pool
from avcurriculum.separation.conditions import assign

CHUNK = 128


@dataclass(frozen=True)
class SoloQuery:
    """A held-out sound alone, looked for in a scene where its object is; one entry a (scene, source), in order.

    Attributes:
        scene: Which scene.
        iou: Of the nearest visual cluster (assignment above one half) with the box.
        pointing: Whether the largest value of the dense map lies in the box.
        cluster_pointing: Likewise of the cluster's map.
        silent: Whether the cluster covers a silent distractor more than any source.
    """

    scene: NDArray[np.int64]
    iou: NDArray[np.float64]
    pointing: NDArray[np.float64]
    cluster_pointing: NDArray[np.float64]
    silent: NDArray[np.float64]


def disjoint_partners(pool: Pool) -> list[tuple[int, int]]:
    """Each scene with the next one that shares no class with it, where there is one."""
    sets = [frozenset(c) for c in pool.classes]
    pairs = []
    for i, mine in enumerate(sets):
        partner = next((j % len(sets) for j in range(i + 1, i + len(sets)) if not mine & sets[j % len(sets)]), None)
        if partner is not None:
            pairs.append((i, partner))
    return pairs


@torch.inference_mode()
def pair_hits(model: AVNet, pool: Pool, k: int) -> NDArray[np.float64]:
    """1 where a scene's picture is nearer to its own sound than to that of a scene without any common class; chance 0.5."""
    model.eval()
    pairs = disjoint_partners(pool)
    v = _centers(model, pool.visual, k + model.architecture.background, picture=True)
    a = _centers(model, pool.audio, k, picture=False)
    own = [float(model.distance(v[i : i + 1], a[i : i + 1])) for i, _ in pairs]
    other = [float(model.distance(v[i : i + 1], a[j : j + 1])) for i, j in pairs]
    return (np.array(own) < np.array(other)).astype(float)


def pair_accuracy(model: AVNet, pool: Pool, k: int) -> float:
    """Mean of :func:`pair_hits`; nan where no two scenes are without a common class."""
    hits = pair_hits(model, pool, k)
    return float(hits.mean()) if hits.size else float("nan")


@torch.inference_mode()
def offscreen_distances(model: AVNet, pool: Pool, k: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distances of sounds to what they are given: the scenes' own sounds, then those of scenes without any common class.

    Args:
        model: The network.
        pool: Scenes of k sources.
        k: Sources a scene, and sounds that are asked for.
    """
    model.eval()
    v = _centers(model, pool.visual, k + model.architecture.background, picture=True)
    a = _centers(model, pool.audio, k, picture=False)
    own = [assign(a[i], v[i][:, None]).distance.numpy() for i in range(len(pool))]
    other = [assign(a[j], v[i][:, None]).distance.numpy() for i, j in disjoint_partners(pool)]
    return np.concatenate(own).astype(float), np.concatenate([np.zeros(0), *other]).astype(float)


def calibrate(model: AVNet, pools: Mapping[int, Pool], wrongly: float = 0.05) -> dict[int, float]:
    """Set a model's limits of "not in the picture", and give the share of absent sounds that each of them finds.

    The limit for k sounds is passed by ``wrongly`` of the sounds that are there.

    Args:
        model: Changed in place.
        pools: Number of sources, from 1 on, to scenes that were not trained on.
        wrongly: Share of sounds in the picture that are called absent.
    """
    limits, found = [], {}
    for k in range(1, max(pools) + 1):
        own, other = offscreen_distances(model, pools[k], k)
        limits.append(float(np.quantile(own, 1 - wrongly)))
        found[k] = float((other > limits[-1]).mean()) if other.size else float("nan")
    model.offscreen = tuple(limits)
    return found


@torch.inference_mode()
def solo_queries(model: AVNet, pool: Pool, solo: Mapping[int, Tensor], k: int) -> SoloQuery:
    """Look for a held-out solo sound of each source in its scene, with K_a = 1 and K_v = k + background.

    Args:
        model: The network.
        pool: Scenes of k sources.
        solo: Class to sounds alone; scene i uses sound i modulo their number.
        k: Sources a scene.
    """
    model.eval()
    device = next(model.parameters()).device
    centers = {c: model.centers(model.embed_audio(s.to(device)), 1).centers for c, s in solo.items()}
    rows: list[tuple[int, float, float, float, float]] = []
    for start in range(0, len(pool), CHUNK):
        positions = model.embed_image(pool.visual[start : start + CHUNK].to(device))
        v = model.centers(positions, k + model.architecture.background)
        for j in range(k):
            query = torch.stack(
                [
                    centers[pool.classes[i][j]][i % len(centers[pool.classes[i][j]])]
                    for i in range(start, start + len(positions))
                ]
            )
            maps = read_out(v, query, grid_of(positions), pool.canvas).maps[:, 0].cpu().numpy()
            dense = resize(dense_map(positions, query), pool.canvas)[:, 0].cpu().numpy()
            for n, i in enumerate(range(start, start + len(positions))):
                rows.append((i, *_score(maps[n], dense[n], pool, i, j)))
    table = np.array(sorted(rows, key=lambda r: r[0]))
    return SoloQuery(table[:, 0].astype(int), *table[:, 1:].T)


def _score(map_: NDArray, dense: NDArray, pool: Pool, scene: int, source: int) -> tuple[float, float, float, float]:
    size = pool.canvas
    truth = metric.box_mask(pool.boxes[scene][source], size, size)
    mask = map_ > 0.5
    heard = max((mask & metric.box_mask(b, size, size)).sum() for b in pool.boxes[scene])
    silent = max(((mask & metric.box_mask(b, size, size)).sum() for b in pool.distractors[scene]), default=0)
    hits = metric.pointing_hit(dense, truth), metric.pointing_hit(map_, truth)
    return (metric.iou(mask, truth), *hits, float(silent > heard))


@torch.inference_mode()
def scene_scores(model: AVNet, pool: Pool, k: int) -> dict[str, list[float]]:
    """CIoU of the map of all sounds with the union of the boxes, with both published cuts; K_a = k."""
    model.eval()
    device = next(model.parameters()).device
    out: dict[str, list[float]] = {"median": [], "fixed": []}
    for start in range(0, len(pool), CHUNK):
        part = slice(start, start + CHUNK)
        found = model.localize(pool.visual[part].to(device), pool.audio[part].to(device), k, size=pool.canvas)
        for n, map_ in enumerate(found.scene.cpu().numpy()):
            truth = metric.box_mask(pool.boxes[start + n], pool.canvas, pool.canvas).astype(float)
            for cut in ("median", "fixed"):
                out[cut].append(metric.consensus_iou(metric.binarize(map_, cut), truth))
    return out


def _centers(model: AVNet, features: Tensor, k: int, picture: bool) -> Tensor:
    device = next(model.parameters()).device
    embed = model.embed_image if picture else model.embed_audio
    return torch.cat([model.centers(embed(x.to(device)), k).centers for x in features.split(CHUNK)])
