"""ArtNet's decoder by VGG-19's losses: python training/artistic.py DATA OUT [--steps N] [--resume] [--network FILE].

Goes on from ArtNet of FILE, by default of the shipped networks; losses on the original VGG-19 to conv3_4. --drawing weighs
what is missing of the edges, --learning-rate is Adam's.
"""

import argparse
from pathlib import Path

import torch

from claimkit.photographs import part_of
from claimkit.style.looks import Judge
from photonet.training.artistic import Artistic, train_artistic
from photonet.weights import load_network, shipped

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--network", type=Path, default=shipped())
    parser.add_argument("--drawing", type=float, default=Artistic.drawing)
    parser.add_argument("--learning-rate", type=float, default=Artistic.learning_rate)
    parser.add_argument("--resume", action="store_true")
    given = parser.parse_args()
    judge = Judge(given.data / "weights" / "vgg19_imagenet_conv3_4.pt").to(memory_format=torch.channels_last)
    paintings = part_of(given.data, "paintings")
    network, photos = load_network("artnet", given.network), part_of(given.data, "photos")
    settings = Artistic(drawing=given.drawing, learning_rate=given.learning_rate)
    print(train_artistic(network, judge, photos, paintings, given.out, given.steps, settings, given.resume))
