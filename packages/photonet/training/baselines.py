"""The baselines' decoders: python training/baselines.py DATA OUT [--steps N] [--resume].

DATA holds ``images/photos.csv`` with a column split. The encoder is the shipped PhotoNet's; copy OUT/baselines.safetensors
into src/photonet/data.
"""

import argparse
import csv
from pathlib import Path

from photonet.weights import load_network

from photonet.baselines.training import BaselineSettings, train_baselines

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=BaselineSettings.steps)
    parser.add_argument("--resume", action="store_true")
    given = parser.parse_args()
    with (given.data / "images" / "photos.csv").open(newline="") as f:
        photos = [given.data / "images" / row["file"] for row in csv.DictReader(f) if row["split"] == "train"]
    encoder = load_network("photonet").encoder
    train_baselines(encoder, photos, given.out, BaselineSettings(steps=given.steps), given.resume)
