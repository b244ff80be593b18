"""The averaged weights of a training that still runs, as a network file: python training/export.py FIRST RUN OUT.

FIRST is the folder of the first stage, RUN that of the second; OUT is the file to be written.
"""

import argparse
from pathlib import Path

import torch

from styleproj.networks.weights import load_network, save_network

# as photonet's script does: a checkpoint's averages in the order of the parameters, into another kind of file
if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("first", "run", "out"):
        parser.add_argument(name, type=Path)
    given = parser.parse_args()
    network = load_network(given.first / "network.safetensors")
    state = torch.load(given.run / "checkpoint.pt", map_location="cpu", weights_only=True)
    for parameter, average in zip(network.decoder.parameters(), state["averaged"], strict=True):
        parameter.data.copy_(average)
    described = {"steps": str(state["step"]), "seconds": f"{state['seconds']:.0f}"}
    save_network(network, given.out, described)
    print(f"{given.out}: step {state['step']}")
