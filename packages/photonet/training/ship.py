"""One file of networks from several: python training/ship.py OUT FILE [FILE ...] [--eight-bits NAMES].

All have one encoder; of a network that is in several files the last is taken. What rounding a decoder to eight bits
does to its picture of China in the light of a cup of coffee is printed.
"""

import argparse
from pathlib import Path

from claimkit.style.metrics import psnr
from photonet import PhotoStylizer
from photonet.samples import photograph
from photonet.weights import load_network, load_networks, save_networks

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--eight-bits", nargs="+", default=[])
    given = parser.parse_args()
    networks = {name: network for path in given.files for name, network in load_networks(path).items()}
    encoders = [network.encoder for network in networks.values()]
    parts = zip(*(encoder.state_dict().values() for encoder in encoders), strict=True)
    if not all(part.equal(same[0]) for same in parts for part in same):
        raise SystemExit("these files have different encoders: train decoders on one")
    decoders = {name: network.decoder for name, network in networks.items()}
    save_networks(encoders[0], decoders, given.out, eight_bits=given.eight_bits)
    print(f"{given.out}: {', '.join(decoders)}, {given.out.stat().st_size:,} bytes")
    for name in given.eight_bits:
        pair = photograph("china", 384), photograph("coffee", 384)
        before, after = (PhotoStylizer(n).stylize(*pair) for n in (networks[name], load_network(name, given.out)))
        apart = 255 * (before - after).abs().mean()
        print(f"{name}: {apart:.2f} of 255 on average, PSNR {psnr(before, after):.1f} dB")
