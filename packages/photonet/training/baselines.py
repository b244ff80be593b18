"""The baselines' decoders: python training/baselines.py DATA OUT [--networks FILE] [--start FILE] [--steps N] [--resume].

DATA holds ``images/photos.csv`` with a column split. The encoder is that of FILE, by default of the shipped networks; what
is shipped is OUT/baselines.safetensors.
"""

import argparse
from pathlib import Path

from claimkit.photographs import part_of
from photonet.baselines.training import BaselineSettings, train_baselines
from photonet.weights import load_network, shipped

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--networks", type=Path, default=shipped())
    parser.add_argument("--start", type=Path, help="baselines to start from, instead of in closed form")
    parser.add_argument("--steps", type=int, default=BaselineSettings.steps)
    parser.add_argument("--resume", action="store_true")
    given = parser.parse_args()
    settings = BaselineSettings(steps=given.steps)
    encoder = load_network(path=given.networks).encoder
    train_baselines(encoder, part_of(given.data, "photos"), given.out, settings, given.resume, given.start)
