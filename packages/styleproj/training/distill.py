"""First stage of the shipped weights: python training/distill.py DATA OUT [--steps N] [--resume].

DATA holds ``images/`` (photos.csv, paintings.csv with a column split) and ``weights/`` (the teachers). About four minutes
of one core.
"""

import argparse
import csv
from pathlib import Path

from styleproj.training.distillation import Distillation, distill


def split(data: Path, name: str, part: str = "train") -> list[Path]:
    """Files of one part of a set of pictures."""
    with (data / "images" / f"{name}.csv").open(newline="") as f:
        return [data / "images" / row["file"] for row in csv.DictReader(f) if row["split"] == part]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=Distillation.steps)
    parser.add_argument("--resume", action="store_true")
    given = parser.parse_args()
    photos, paintings = split(given.data, "photos"), split(given.data, "paintings")
    settings = Distillation(steps=given.steps)
    distill(photos, paintings, given.data / "weights", given.out, settings, given.resume)
