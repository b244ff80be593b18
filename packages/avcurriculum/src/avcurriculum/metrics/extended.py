"""Localisation when not every picture shows what sounds: AP, max-F1, LocAcc, a universal threshold, lit area of negatives.

The first three are those of SLAVC's extended sets; the others are of arXiv 2410.01020, which shows that many published
models light the same place whatever they hear. A confidence is any number that is larger where a model is surer that it
sees what it hears; :func:`confidence` is the published one. Here as there a picture without a sounding thing is a
*negative*.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike, NDArray

from avcurriculum.metrics.localization import AUC_THRESHOLDS, finite
from claimkit.errors import InputError


class Detections(NamedTuple):
    """One row a picture: cIoU of its map (any number where nothing sounds), confidence, whether something in it sounds."""

    ciou: Float[NDArray, " pictures"]
    confidence: Float[NDArray, " pictures"]
    sounding: Bool[NDArray, " pictures"]


def detections(ciou: ArrayLike, confidence: ArrayLike, sounding: ArrayLike) -> Detections:
    """Checked rows.

    Raises:
        InputError: Lengths differ, nothing sounds anywhere, or a number is not finite.
    """
    rows = Detections(np.asarray(ciou, float), np.asarray(confidence, float), np.asarray(sounding, bool))
    if not rows.ciou.shape == rows.confidence.shape == rows.sounding.shape or not rows.sounding.any():
        raise InputError(
            f"{[x.shape for x in rows]}: expected one length each, and at least one picture with a sounding thing"
        )
    if not (np.isfinite(rows.confidence).all() and np.isfinite(rows.ciou[rows.sounding]).all()):
        raise InputError("a confidence, or the cIoU of a picture with a sounding thing, is not finite")
    return rows


def confidence(map_: Float[NDArray, "height width"]) -> float:
    """Mean of the largest quarter of a map whose values mean the same in every picture.

    >>> confidence(np.array([[0.0, 0.0, 0.2, 0.4]]))
    0.4
    """
    m = np.sort(np.asarray(map_, float), axis=None)
    return float(m[-m.size // 4 :].mean())


def precision_recall(rows: Detections, threshold: float, level: float = 0.5) -> tuple[float, float]:
    """Precision and recall of "detected: confidence at least ``threshold``; rightly: cIoU at least ``level``".

    As published: a detection in the wrong place is a false positive and no false negative; 1 where the ratio is empty.

    >>> rows = detections([0.9, 0.1, 0.9, 0.0], [0.9, 0.8, 0.2, 0.7], [True, True, True, False])
    >>> precision_recall(rows, 0.5)
    (0.3333333333333333, 0.5)
    """
    found = rows.confidence >= threshold
    right = found & rows.sounding & (rows.ciou >= level)
    missed = (~found & rows.sounding).sum()
    precision = right.sum() / found.sum() if found.any() else 1.0
    recall = right.sum() / (right.sum() + missed) if right.sum() + missed else 1.0
    return float(precision), float(recall)


def average_precision(rows: Detections, level: float = 0.5) -> float:
    """AP as published with the extended sets.

    Thresholds are every ``n // 200``-th confidence from the second largest down; the precision is the largest of this and
    all lower thresholds, and weighs the gain of recall *to the next* threshold, so that the first gain is left out.
    Textbook AP differs in these three points.
    """
    n = len(rows.ciou)
    cuts = np.sort(rows.confidence)[:-1][:: -max(1, n // 200)]
    if not len(cuts):
        return 0.0
    precision, recall = np.transpose([precision_recall(rows, t, level) for t in cuts])
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float((best[:-1] * np.diff(recall)).sum())


def max_f1(rows: Detections, level: float = 0.5, every: bool = False) -> float:
    """Largest F1 over thresholds: every tenth of the sorted confidences as published, or each of them."""
    cuts = np.sort(rows.confidence)[:: 1 if every else max(1, len(rows.ciou) // 10)]
    pairs = [precision_recall(rows, t, level) for t in cuts]
    return float(max(2 * p * r / (p + r) if p + r else 0.0 for p, r in pairs))


def localization_accuracy(rows: Detections, level: float = 0.5) -> float:
    """LocAcc: share of the pictures with a sounding thing whose cIoU is above ``level`` (strictly, as published)."""
    return float((rows.ciou[rows.sounding] > level).mean())


def universal_threshold(negatives: Iterable[Float[NDArray, "h w"]], quantile: float = 0.75) -> float:
    """One threshold for all pictures: the third quartile of the largest values of the maps of negatives.

    What is lit above it is lit more than three negatives in four are anywhere.
    """
    return float(np.quantile([np.max(m) for m in negatives], quantile))


def lit_area(map_: Float[NDArray, "height width"], threshold: float) -> float:
    """pIA: share of a picture that is above a threshold; 0 is right for a negative."""
    return float((finite(map_, "a value of the map") > threshold).mean())


def area_score(areas: Sequence[float]) -> float:
    """Area under the share of negatives whose lit area is at most 0, 0.05 ... 1; 1 is best.

    >>> area_score([0.0, 0.0])
    1.0
    """
    shares = [(np.asarray(areas, float) <= t).mean() for t in AUC_THRESHOLDS]
    return float(np.trapezoid(shares, AUC_THRESHOLDS))


def harmonic(positive: float, negative: float) -> float:
    """F: harmonic mean of what is right on positives and on negatives, 0 where both are 0.

    >>> harmonic(0.5, 1.0)
    0.6666666666666666
    """
    return 2 * positive * negative / (positive + negative) if positive + negative else 0.0
