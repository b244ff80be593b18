"""One file of networks from several: python training/ship.py OUT FILE [FILE ...] [--eight-bits NAMES].

All have one encoder; of a network that is in several files the last is taken.
"""

import argparse
from pathlib import Path

from photonet.weights import load_networks, save_networks

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
