"""First stage of the shipped weights: python training/distill.py DATA OUT [--steps N] [--resume].

DATA holds ``images/`` (photos.csv, paintings.csv with a column split) and ``weights/`` (the teachers). About four minutes
of one core.
"""

import argparse
from pathlib import Path

from claimkit.photographs import part_of
from styleproj.training.distillation import Distillation, distill

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=Distillation.steps)
    parser.add_argument("--resume", action="store_true")
    given = parser.parse_args()
    photos, paintings = part_of(given.data, "photos"), part_of(given.data, "paintings")
    settings = Distillation(steps=given.steps)
    distill(photos, paintings, given.data / "weights", given.out, settings, given.resume)
