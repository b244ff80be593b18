"""Second stage of the shipped weights, three decoders: python training/decoders.py DATA FIRST OUT [--steps N] [--resume].

FIRST is the folder of the stage before, whose encoder stays as it is.
"""

import argparse
from pathlib import Path

from distill import photographs

from photonet.architecture import PRESETS
from photonet.network import Decoder
from photonet.training import TrainingSettings, train
from photonet.weights import load_networks

NAMES = ("photonet", "photonas", "artnet")

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("data", "first", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--steps", type=int, default=TrainingSettings.steps)
    parser.add_argument("--batch", type=int, default=TrainingSettings.batch)
    parser.add_argument("--crop", type=int, default=TrainingSettings.crop)
    parser.add_argument("--learning-rate", type=float, default=TrainingSettings.learning_rate)
    parser.add_argument("--image-weight", type=float, default=5.0)
    parser.add_argument("--feature-weight", type=float, default=TrainingSettings.feature_weight)
    parser.add_argument("--resume", action="store_true")
    given = parser.parse_args()
    known = load_networks(given.first / "network.safetensors")
    encoder = next(iter(known.values())).encoder
    decoders = {n: known[n].decoder if n in known else Decoder(PRESETS[n], encoder.channels) for n in NAMES}
    chosen = ("steps", "batch", "crop", "learning_rate", "image_weight", "feature_weight")
    settings = TrainingSettings(bf16=True, checkpoint_every=100, **{k: getattr(given, k) for k in chosen})
    train(encoder, decoders, photographs(given.data), given.out, settings, given.resume, "cpu")
