"""Quality of a file of networks on held-out photographs: python training/evaluation/networks.py DATA MODEL [OUT.json].

Reconstruction, and content as its own style through every transfer: mean PSNR in dB and SSIM.
"""

import argparse
import json
from pathlib import Path

import torch

from claimkit.files import write_atomic
from claimkit.photographs import part_of
from claimkit.style.images import fit, read_image
from claimkit.style.metrics import psnr, ssim
from claimkit.style.padding import crop, pad_to_multiple
from photonet.stylizer import PhotoStylizer
from photonet.weights import load_networks

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("--count", type=int, default=79)
    parser.add_argument("--longest", type=int, default=384)
    given = parser.parse_args()
    photos = [fit(read_image(p), given.longest) for p in part_of(given.data, "photos", "eval")[: given.count]]
    found = {}
    for name, network in load_networks(given.model).items():
        stylizer = PhotoStylizer(network)
        rows = []
        for photo in photos:
            with torch.inference_mode():
                plain = crop(network.reconstruct(pad_to_multiple(photo[None], 16)), *photo.shape[-2:])[0].clamp(0, 1)
            own = stylizer.stylize(photo, photo)
            rows.append((psnr(plain, photo), ssim(plain, photo), psnr(own, photo), ssim(own, photo)))
        mean = torch.tensor(rows).mean(0).tolist()
        keys = ("reconstruction psnr", "reconstruction ssim", "own style psnr", "own style ssim")
        found[name] = {k: round(v, 3) for k, v in zip(keys, mean, strict=True)}
        print(name, found[name], flush=True)
    if given.out:
        write_atomic(given.out, json.dumps({"photographs": len(photos), "longest": given.longest, **found}, indent=1) + "\n")
