"""Measures of localisation and of separation, in every form in which they are published."""

from avcurriculum.metrics.localization import (
    auc,
    binarize,
    box_mask,
    class_aware_ciou,
    consensus_map,
    iou,
    no_sounding_area,
    pointing_hit,
    success_rate,
)
from avcurriculum.metrics.localization import consensus_iou as consensus_iou
from avcurriculum.metrics.separation import Separation, bss_eval, nsdr, si_sdr

__all__ = [
    "Separation",
    "auc",
    "binarize",
    "box_mask",
    "bss_eval",
    "class_aware_ciou",
    "consensus_iou",
    "consensus_map",
    "iou",
    "no_sounding_area",
    "nsdr",
    "pointing_hit",
    "si_sdr",
    "success_rate",
]
