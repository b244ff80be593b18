"""The encoder of the shipped weights: python training/distill.py DATA OUT [--networks NAMES] [--start FILE] [--resume].

DATA holds ``images/photos.csv`` with a column split and ``weights/`` (the teachers).
"""

import argparse
from pathlib import Path

from claimkit.photographs import part_of
from photonet.training.distillation import Distillation, distill

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=Distillation.steps)
    parser.add_argument("--networks", nargs="+", default=Distillation.networks)
    parser.add_argument("--imitation", type=float, default=Distillation.imitation)
    parser.add_argument("--imitated", type=int, default=Distillation.imitated)
    parser.add_argument("--learning-rate", type=float, default=Distillation.learning_rate)
    parser.add_argument("--start", type=Path)
    parser.add_argument("--resume", action="store_true")
    given = parser.parse_args()
    chosen = {k: getattr(given, k) for k in ("steps", "imitation", "imitated", "learning_rate")}
    settings = Distillation(networks=tuple(given.networks), **chosen)
    distill(part_of(given.data, "photos"), given.data / "weights", given.out, settings, given.resume, given.start)
