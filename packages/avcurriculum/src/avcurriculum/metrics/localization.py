"""Localisation: consensus IoU with each published binarisation, AUC, pointing game, class-aware IoU, no-sounding area.

Formulas as in the public evaluation code of Flickr-SoundNet (Senocak et al.; LVS, EZ-VSL, SLAVC), of DSOL, and of the
interactive sets (Senocak et al., arXiv 2407.13676); ``benchmarks/parity.py`` compares them. "cIoU@0.5" says nothing by
itself: with maps cut at their median half of the picture is positive, and a whole picture scores well on large boxes;
always report the whole-picture and centre baselines beside it, and every cut.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike, NDArray

from claimkit.errors import InputError

Cut = Literal["median", "strict median", "fixed", "max"]
CUTS: tuple[Cut, ...] = get_args(Cut)
AUC_THRESHOLDS = 0.05 * np.arange(21)
"""As the references compute them: 0.05 i in floating point, so that a score on the grid falls to the same side."""


def finite(values: ArrayLike, what: str) -> NDArray[np.float64]:
    """The values in double precision.

    Raises:
        InputError: One is not finite: every comparison with it is false, and it would count as dark, or as missed.
    """
    out = np.asarray(values, float)
    if not np.isfinite(out).all():
        raise InputError(f"{what} is not finite: nothing can be measured by it")
    return out


def box_mask(boxes: ArrayLike, height: int, width: int) -> Bool[NDArray, "height width"]:
    """Union of boxes ``[x0, y0, x1, y1)`` in pixels, ``(n, 4)``, as a mask; corners are cut off to whole pixels.

    All references truncate, so that a box never covers more pixels than it has area; what is outside the picture is cut
    away.

    >>> int(box_mask([[0, 0, 2, 1]], 4, 4).sum())
    2
    """
    mask = np.zeros((height, width), bool)
    for x0, y0, x1, y1 in finite(boxes, "a box").reshape(-1, 4).clip(0, max(height, width)).astype(int):
        mask[y0:y1, x0:x1] = True
    return mask


def consensus_map(
    annotations: Sequence[ArrayLike], height: int, width: int, agree: int = 2
) -> Float[NDArray, "height width"]:
    """Share of agreement: the annotators' masks summed, divided by ``agree``, at most 1.

    Args:
        annotations: Boxes of each annotator, ``(n, 4)`` in pixels.
        height: Of the picture.
        width: Of the picture.
        agree: Annotators that make full agreement; Flickr-SoundNet has three and asks for two.
    """
    total = sum((box_mask(b, height, width).astype(float) for b in annotations), np.zeros((height, width)))
    return np.minimum(total / agree, 1)


def binarize(map_: Float[NDArray, "height width"], cut: Cut = "fixed", threshold: float = 0.5) -> Bool[NDArray, "h w"]:
    """Where a map is positive.

    ``median`` is at least the upper median (EZ-VSL, SLAVC): half of the pixels and all that tie with the median.
    ``strict median`` is above it, or the map's maximum (LVS): at most half of them. ``fixed`` is above ``threshold`` once
    the map is scaled to [0, 1] (older code); ``max`` is above ``threshold`` times the largest value (DSOL: 0.5 on
    synthetic scenes, 0.2 on duets, 0.1 on solos). A constant map is positive everywhere.

    >>> plateau = np.array([[0.0, 1.0], [1.0, 2.0]])
    >>> int(binarize(plateau, "median").sum()), int(binarize(plateau, "strict median").sum())
    (3, 1)
    """
    m = finite(map_, "a value of the map")
    low, high = m.min(), m.max()
    if high <= low:
        return np.ones(m.shape, bool)
    if cut == "fixed":
        return (m - low) / (high - low) > threshold
    if cut == "max":
        return m > threshold * high
    middle = np.sort(m, axis=None)[m.size // 2]
    return m >= middle if cut == "median" else (m > middle) | (m == high)


def consensus_iou(predicted: Bool[NDArray, "height width"], truth: Float[NDArray, "height width"]) -> float:
    """``cIoU = sum A g / (sum g + sum A [g = 0])`` of a predicted mask A and a consensus map g.

    >>> truth = consensus_map([[[0, 0, 2, 2]], [[0, 0, 2, 2]]], 4, 4)
    >>> consensus_iou(np.ones((4, 4), bool), truth)
    0.25
    """
    a, g = np.asarray(predicted, float), np.asarray(truth, float)
    if a.shape != g.shape or g.sum() == 0:
        raise InputError(f"shapes {a.shape} and {g.shape}, or a truth without any positive pixel: cIoU is not defined")
    return float((a * g).sum() / (g.sum() + (a * (g == 0)).sum()))


def iou(predicted: Bool[NDArray, "height width"], truth: Bool[NDArray, "height width"]) -> float:
    """Intersection over union of two masks; 0 where both are empty."""
    union = np.logical_or(predicted, truth).sum()
    return float(np.logical_and(predicted, truth).sum() / union) if union else 0.0


def success_rate(scores: ArrayLike, threshold: float = 0.5) -> float:
    """Share of samples that reach the threshold: cIoU@0.5, IoU@0.3 ..."""
    reached = finite(scores, "a score") >= threshold
    if not reached.size:
        raise InputError("no scores: a share of none is not defined")
    return float(reached.mean())


def auc(scores: ArrayLike) -> float:
    """Area under the success rate at the 21 thresholds 0, 0.05 ... 1, by the trapezoid rule.

    >>> auc([1.0, 1.0])
    1.0
    """
    return float(np.trapezoid([success_rate(scores, t) for t in AUC_THRESHOLDS], AUC_THRESHOLDS))


def threshold_sweep(
    maps: Iterable[Float[NDArray, "h w"]], truths: Iterable[Float[NDArray, "h w"]], cut: Cut = "fixed", steps: int = 19
) -> dict[float, tuple[float, float]]:
    """Mean cIoU and cIoU@0.5 at every threshold ``i / (steps + 1)``, so that none is given an advantage.

    >>> sweep = threshold_sweep([np.array([[0.0, 0.3], [0.7, 1.0]])], [np.array([[0.0, 0.0], [1.0, 1.0]])], steps=3)
    >>> {t: s for t, (s, _) in sweep.items()} == {0.25: 2 / 3, 0.5: 1.0, 0.75: 0.5}
    True
    """
    thresholds = [round(i / (steps + 1), 6) for i in range(1, steps + 1)]
    scores = [[consensus_iou(binarize(m, cut, t), g) for t in thresholds] for m, g in zip(maps, truths, strict=True)]
    if not scores:
        raise InputError("no maps: a sweep of none is not defined")
    return {t: (float(np.mean(s)), success_rate(s)) for t, s in zip(thresholds, np.transpose(scores), strict=True)}


def interactive_iou(scores: Mapping[str, Sequence[float]], threshold: float = 0.5) -> float:
    """IIoU: share of pictures of which *every* sound is found, each asked by itself; a map that ignores the sound fails.

    Args:
        scores: Picture (the group of an interactive set) to the cIoU of each of its sounds.
        threshold: cIoU that counts as found.
    """
    return float(np.mean([min(s) >= threshold for s in scores.values()]))


def interactive_auc(scores: Mapping[str, Sequence[float]]) -> float:
    """IAUC: area under :func:`interactive_iou` at the thresholds of :func:`auc`."""
    return float(np.trapezoid([interactive_iou(scores, t) for t in AUC_THRESHOLDS], AUC_THRESHOLDS))


def pointing_hit(map_: Float[NDArray, "height width"], truth: Bool[NDArray, "height width"]) -> float:
    """Pointing game: share of the map's maxima that lie in the truth (0 or 1 where there is one maximum)."""
    m = finite(map_, "a value of the map")
    return float(np.asarray(truth, bool)[m >= m.max()].mean())


def class_aware_ciou(
    maps: Mapping[int, Float[NDArray, "h w"]], truths: Mapping[int, Bool[NDArray, "h w"]], threshold: float = 0.5
) -> float:
    """CIoU of a scene as in DSOL: mean over sounding classes of the IoU of the map cut at ``threshold`` times its maximum.

    Args:
        maps: Class to map; a sounding class without a map counts 0.
        truths: Sounding class to mask, at least one.
        threshold: Share of the maximum; DSOL's scripts use 0.5 on synthetic scenes and 0.2 on duets.
    """
    if not truths:
        raise InputError("class-aware IoU of a scene in which nothing sounds is not defined")
    scores = [iou(binarize(maps[c], "max", threshold), t) if c in maps else 0.0 for c, t in truths.items()]
    return float(np.mean(scores))


def no_sounding_area(maps: Sequence[Float[NDArray, "h w"]], threshold: float = 0.2) -> float:
    """NSA as in DSOL: share of pixels at most ``threshold`` in the maps of silent classes; 1 is best."""
    return float(np.mean([(finite(m, "a value of the map") <= threshold).mean() for m in maps]))
