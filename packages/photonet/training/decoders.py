"""Second stage of the shipped weights, three decoders: python training/decoders.py DATA FIRST OUT [--steps N] [--resume].

FIRST is the folder of the stage before, whose encoder stays as it is; decoders go on from it where it has all three.
"""

import argparse
from pathlib import Path

from distill import photographs

from paperkit.training.crops import Crops
from photonet.architecture import PRESETS
from photonet.closed_form import start_decoder
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
    whole = set(NAMES) <= set(known)
    decoders = {n: known[n].decoder if whole else Decoder(PRESETS[n], encoder.channels) for n in NAMES}
    photos = photographs(given.data)
    if not given.resume and not whole:
        images = Crops(photos, seed=1).at(0).draw(48, 192)
        for name, decoder in decoders.items():
            shares = start_decoder(encoder, decoder, images)
            print(name, " ".join(f"{layer} {share:.2f}" for layer, share in shares.items()), flush=True)
    chosen = ("steps", "batch", "crop", "learning_rate", "image_weight", "feature_weight")
    settings = TrainingSettings(bf16=True, checkpoint_every=100, **{k: getattr(given, k) for k in chosen})
    train(encoder, decoders, photos, given.out, settings, given.resume, "cpu")
