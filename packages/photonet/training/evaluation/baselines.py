"""What the baselines' decoders reconstruct: python training/evaluation/baselines.py DATA RUN OUT.json.

Mean PSNR in dB on held-out photographs, of what is shipped, and of the same weights before they were rounded to bytes, as
the checkpoint in the folder RUN has them.
"""

import argparse
import json
from pathlib import Path

import torch

from claimkit.files import write_atomic
from claimkit.photographs import part_of
from claimkit.style.images import fit, read_image
from claimkit.style.metrics import psnr
from claimkit.style.padding import crop, pad_to_multiple
from photonet.baselines.training import reconstructions
from photonet.baselines.weights import Baselines, load_baselines
from photonet.weights import load_network


@torch.inference_mode()
def quality(baselines: Baselines, photos: list[torch.Tensor]) -> dict[str, float]:
    """By decoder."""
    found: dict[str, list[float]] = {}
    for photo in photos:
        for name, level, picture in reconstructions(baselines, pad_to_multiple(photo[None], 8)):
            whole = crop(picture, *photo.shape[1:])[0].clamp(0, 1)
            found.setdefault(f"{name.rstrip('-')}, level {level}", []).append(psnr(whole, photo))
    return {name: round(sum(v) / len(v), 2) for name, v in found.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for argument in ("data", "run", "out"):
        parser.add_argument(argument, type=Path)
    parser.add_argument("--count", type=int, default=79)
    parser.add_argument("--longest", type=int, default=384)
    given = parser.parse_args()
    photos = [fit(read_image(p), given.longest) for p in part_of(given.data, "photos", "eval")[: given.count]]
    encoder = load_network().encoder
    state = torch.load(given.run / "checkpoint.pt", map_location="cpu", weights_only=True)
    before = Baselines.new(encoder)
    for parameter, average in zip(before.decoders.parameters(), state["averaged"], strict=True):
        parameter.data.copy_(average)
    found = {"shipped": quality(load_baselines(encoder), photos), "before rounding": quality(before, photos)}
    about = {
        "photographs": len(photos),
        "longest": given.longest,
        "steps": state["step"],
        "seconds": round(state["seconds"]),
    }
    write_atomic(given.out, json.dumps({**about, **found}, indent=1) + "\n")
