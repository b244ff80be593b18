"""Third stage of the shipped weights: python training/adapt.py DATA OUT [--steps N] [--resume] [--network FILE] [--style W].

Goes on from the network of the first two stages, FILE, with losses on the original VGG-19 to conv3_4. Every weight of
a loss is an option as --style is. The paintings of training/paintings.csv were added with --paintings, and photographs of
Caltech-101 with --photographs; neither comes with the package.
"""

import argparse
from pathlib import Path

import torch

from claimkit.photographs import part_of
from claimkit.style.images import image_files
from claimkit.style.looks import Judge
from claimkit.training.crops import Crops
from styleproj.networks.closed_form import shallower
from styleproj.networks.weights import load_network, weights_file
from styleproj.training.adaptation import Adaptation, adapt

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--network", type=Path, default=weights_file("slim"))
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--shallower", action="store_true", help="leave out a level that the decoder does not look at")
    parser.add_argument("--half-size", action="store_true", help="judge at half the size alone")
    parser.add_argument("--revive", action="store_true", help="bring back a level that the decoder does not look at")
    parser.add_argument("--paintings", type=Path, help="a folder with more of them")
    parser.add_argument("--photographs", type=Path, help="a folder with more of them")
    weights = ("style", "gram", "content", "edges", "weave", "foreign", "outside", "identity")
    others = ("learning_rate", "encoder", "max_gain", "soft_clip", "limit")
    for name in (*weights, *others):
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=getattr(Adaptation, name))
    for name in ("batch", "crop", "seed"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Adaptation, name))
    given = parser.parse_args()
    judge = Judge(given.data / "weights" / "vgg19_imagenet_conv3_4.pt").to(memory_format=torch.channels_last)
    photos = part_of(given.data, "photos") + (image_files(given.photographs) if given.photographs else [])
    paintings = part_of(given.data, "paintings") + (image_files(given.paintings) if given.paintings else [])
    network = load_network(given.network)
    if given.shallower:
        network = shallower(network, Crops(photos, seed=given.seed).draw(16, given.crop, 2.2))
    kept = (*weights, *others, "batch", "crop", "seed", "revive", "half_size")
    settings = Adaptation(**{name: getattr(given, name) for name in kept})
    print(adapt(network, judge, photos, paintings, given.out, given.steps, settings, given.resume))
