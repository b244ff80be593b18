"""The averaged weights of a training that still runs, as a file of networks: python training/export.py FIRST RUN OUT.

FIRST is the folder of the first stage, RUN that of the second; OUT is the file to be written.
"""

import argparse
from pathlib import Path

import torch
from decoders import NAMES
from torch import nn

from photonet.network.architecture import PRESETS
from photonet.network.auto_encoder import Decoder
from photonet.weights import load_networks, save_networks

# as styleproj's script does: a checkpoint's averages in the order of the parameters, into another kind of file
if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("first", "run", "out"):
        parser.add_argument(name, type=Path)
    given = parser.parse_args()
    encoder = next(iter(load_networks(given.first / "network.safetensors").values())).encoder
    decoders = {n: Decoder(PRESETS[n], encoder.channels) for n in NAMES}
    state = torch.load(given.run / "checkpoint.pt", map_location="cpu", weights_only=True)
    for parameter, average in zip(nn.ModuleList(decoders.values()).parameters(), state["averaged"], strict=True):
        parameter.data.copy_(average)
    described = {"steps": str(state["step"]), "seconds": f"{state['seconds']:.0f}"}
    save_networks(encoder, decoders, given.out, described)
    print(f"{given.out}: step {state['step']}")
