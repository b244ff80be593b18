"""Channels of the shipped encoder that no photograph wakes: python training/alive.py DATA.

Of each convolution, how many channels are above zero nowhere in the 332 training photographs at 256 pixels.
"""

import argparse
from pathlib import Path

import torch

from claimkit.photographs import part_of
from claimkit.style.images import fit, read_image
from claimkit.style.padding import pad_to_multiple
from photonet.network.auto_encoder import MULTIPLE
from photonet.weights import load_network

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    encoder = load_network().encoder
    most: dict[str, torch.Tensor] = {}
    with torch.inference_mode():
        for path in part_of(parser.parse_args().data, "photos"):
            picture = pad_to_multiple(fit(read_image(path), 256)[None], MULTIPLE)
            for name, y in encoder.activations(picture):
                most[name] = torch.maximum(most.get(name, torch.tensor(0.0)), y.amax((0, 2, 3)))
    for name, value in most.items():
        print(f"{name}: {int((value <= 0).sum())} of {len(value)}")
