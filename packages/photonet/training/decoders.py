"""Decoders of the shipped weights: python training/decoders.py DATA FIRST OUT [--networks NAMES] [--steps N] [--resume].

FIRST is the folder of the stage before, whose encoder stays as it is; a decoder that it has goes on from there, one that it
lacks starts in closed form.
"""

import argparse
from pathlib import Path

from claimkit.photographs import part_of
from claimkit.training.crops import Crops
from photonet.network.architecture import PRESETS
from photonet.network.auto_encoder import Decoder
from photonet.training.closed_form import start_decoder
from photonet.training.decoders import train
from photonet.training.settings import TrainingSettings
from photonet.weights import load_networks

NAMES = ("photonet", "photonas", "artnet")

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("data", "first", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--networks", nargs="+", default=NAMES)
    parser.add_argument("--steps", type=int, default=TrainingSettings.steps)
    parser.add_argument("--batch", type=int, default=TrainingSettings.batch)
    parser.add_argument("--crop", type=int, default=TrainingSettings.crop)
    parser.add_argument("--learning-rate", type=float, default=TrainingSettings.learning_rate)
    parser.add_argument("--image-weight", type=float, default=5.0)
    parser.add_argument("--feature-weight", type=float, default=TrainingSettings.feature_weight)
    parser.add_argument("--single", action="store_true", help="single precision, for processors without bfloat16")
    parser.add_argument("--resume", action="store_true")
    given = parser.parse_args()
    known = load_networks(given.first / "network.safetensors")
    encoder = next(iter(known.values())).encoder
    decoders = {n: known[n].decoder if n in known else Decoder(PRESETS[n], encoder.channels) for n in given.networks}
    photos = part_of(given.data, "photos")
    new = [] if given.resume else [n for n in decoders if n not in known]
    if new:
        images = Crops(photos, seed=1).at(0).draw(48, 192)
        for name in new:
            shares = start_decoder(encoder, decoders[name], images)
            print(name, " ".join(f"{layer} {share:.2f}" for layer, share in shares.items()), flush=True)
    chosen = ("steps", "batch", "crop", "learning_rate", "image_weight", "feature_weight")
    settings = TrainingSettings(bf16=not given.single, checkpoint_every=100, **{k: getattr(given, k) for k in chosen})
    train(encoder, decoders, photos, given.out, settings, given.resume, "cpu")
