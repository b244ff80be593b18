"""A decoder by grades with a truth: python training/graded.py DATA OUT [--without] [--steps N] [--seed N] [--resume].

Goes on from the shipped stylenas with the transfer in the loop, or --without it, as claim N21 has it; losses on the original
VGG-19 to conv3_4.
"""

import argparse
from pathlib import Path

import torch

from claimkit.photographs import part_of
from claimkit.style.looks import Judge
from photonet.training.graded import Graded, train_graded
from photonet.weights import load_network

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--without", action="store_true")
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true")
    given = parser.parse_args()
    judge = Judge(given.data / "weights" / "vgg19_imagenet_conv3_4.pt").to(memory_format=torch.channels_last)
    settings, photos = Graded(in_loop=not given.without, seed=given.seed), part_of(given.data, "photos")
    print(train_graded(load_network("stylenas"), judge, photos, given.out, given.steps, settings, given.resume))
