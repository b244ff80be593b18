"""Photographs that come with scikit-image and scikit-learn, for demos, claims and tests; those of development data."""

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from claimkit.errors import InputError
from claimkit.experiment import Job

PHOTOGRAPHS = ("china", "flower", "astronaut", "chelsea", "coffee", "rocket", "motorcycle", "retina", "hubble", "ihc")
_SCIKIT_IMAGE = {"ihc": "immunohistochemistry", "hubble": "hubble_deep_field", "motorcycle": "stereo_motorcycle"}


def photograph(name: str) -> NDArray[np.uint8]:
    """One of :data:`PHOTOGRAPHS`, ``(height, width, 3)``; needs scikit-image, ``china`` and ``flower`` scikit-learn.

    Raises:
        InputError: No such photograph.
    """
    if name not in PHOTOGRAPHS:
        raise InputError(f"there is no photograph {name!r}: expected one of {', '.join(PHOTOGRAPHS)}")
    if name in ("china", "flower"):
        from sklearn.datasets import load_sample_image

        pixels = load_sample_image(f"{name}.jpg")
    else:
        from skimage import data

        pixels = getattr(data, _SCIKIT_IMAGE.get(name, name))()
        pixels = pixels[0] if isinstance(pixels, tuple) else pixels
    return np.ascontiguousarray(pixels[:, :, :3])


def part_of(data: Path, kind: str, part: str = "train") -> list[Path]:
    """Files of the development data's ``photos`` or ``paintings`` that are in a part of them, ``train`` or ``eval``."""
    with (data / "images" / f"{kind}.csv").open(encoding="utf-8", newline="") as f:
        return [data / "images" / row["file"] for row in csv.DictReader(f) if row["split"] == part]


def held_out(kind: str, job: Job) -> list[str]:
    """Pictures of the development data that nothing is trained on, as names such as ``photos/a.jpg``; for claims.

    Unlike :func:`part_of` it notes the list among the data that were used.
    """
    with job.assets.find(f"images/{kind}.csv").open(encoding="utf-8", newline="") as f:
        return sorted(row["file"] for row in csv.DictReader(f) if row["split"] == "eval")
