"""Whether a trained ArtNet ships: python training/evaluation/artistic.py DATA MODEL OUT.json.

The rule, written before there was anything to judge: MODEL's ArtNet takes the place of the shipped one where, on the 79
held-out photographs at 256 pixels, the SSIM of edges of its plain reconstruction is in the mean at least that of the
compressed VGG-19 pair of equal depth (relu5_1 and its decoder, Collaborative Distillation), and where its Gram distance to
held-out paintings is not above the shipped one's. Beside it stands what is asked of N3: at most 1.25 times WCT's.
"""

import argparse
import json
from pathlib import Path

import torch

from claimkit.files import write_atomic
from claimkit.photographs import part_of
from claimkit.style.encoders import load_vgg19
from claimkit.style.images import fit, read_image
from claimkit.style.metrics import psnr, ssim, ssim_edge
from claimkit.style.padding import crop, pad_to_multiple
from photonet.baselines.cascade import stylize
from photonet.baselines.compressed import FILE, CompressedPair
from photonet.baselines.weights import load_baselines
from photonet.claims.common import by_network, style_distance
from photonet.weights import load_network

SIDE, PAIRS = 256, 16


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for argument in ("data", "model", "out"):
        parser.add_argument(argument, type=Path)
    given = parser.parse_args()
    photos = [fit(read_image(p), SIDE) for p in part_of(given.data, "photos", "eval")]
    styles = [fit(read_image(p), SIDE) for p in sorted(part_of(given.data, "paintings", "eval"))[:PAIRS]]
    before, after = load_network("artnet"), load_network("artnet", given.model)
    pair = CompressedPair(given.data / "weights" / FILE)
    cascade = load_baselines(before.encoder).wct
    vgg = load_vgg19(given.data / "weights/vgg19_normalised_conv3_1.pt")
    found: dict[str, dict[str, float]] = {}
    with torch.inference_mode():
        for name, network in {
            "shipped": before,
            "trained": after,
            "pair": CompressedPair(given.data / "weights" / FILE),
        }.items():
            rows = []
            for photo in photos:
                again = crop(network.reconstruct(pad_to_multiple(photo[None], 16)), *photo.shape[1:])[0].clamp(0, 1)
                rows.append((psnr(again, photo), ssim(again, photo), ssim_edge(again, photo)))
            means = torch.tensor(rows).mean(0).tolist()
            found[name] = dict(zip(("psnr", "ssim", "edges"), (round(x, 4) for x in means), strict=True))
            print(name, found[name], flush=True)
        ways = {"shipped": by_network(before), "trained": by_network(after), "wct": lambda c, s: stylize(cascade, c, s)}
        for name, way in ways.items():
            apart = []
            for content, style in zip(photos, styles, strict=False):
                levels, target = (vgg(pad_to_multiple(x[None], 4)) for x in (way(content, style), style))
                apart.append(style_distance(levels, target))
            found.setdefault(name, {})["gram"] = round(sum(apart) / len(apart), 4)
            print(name, found[name]["gram"], flush=True)
    drawn = found["trained"]["edges"] >= found["pair"]["edges"]
    ships = drawn and found["trained"]["gram"] <= found["shipped"]["gram"]
    ratio = round(found["trained"]["gram"] / found["wct"]["gram"], 3)
    about = {"photographs": len(photos), "side": SIDE, "pairs": len(styles), "ships": ships, "style over WCT's": ratio}
    write_atomic(given.out, json.dumps({**about, **found}, indent=1) + "\n")
    print(about)
