"""Quality of slim.safetensors: python training/evaluate.py DATA OUT.json [--network FILE] [--against FILE ...].

Reconstruction: PSNR and SSIM over the photographs held out, whole, against the compressed VGG-19 with its own decoder, which
does nothing else than reconstruct. Stylisation: losses on true VGG-19 (style on relu1_1, relu2_1 and relu3_1, content
on relu3_1) over pairs of photographs and paintings held out, of that network and of networks to compare it with.
"""

import argparse
import json
import statistics
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from claimkit.files import sha256, write_atomic
from claimkit.photographs import part_of
from claimkit.style.encoders import VGG19, load_vgg19
from claimkit.style.images import fit, read_image
from claimkit.style.metrics import psnr, ssim, ssim_edge
from claimkit.style.padding import crop, pad_to_multiple
from styleproj.networks.network import StyleNetwork
from styleproj.networks.teachers import compressed_pair
from styleproj.networks.weights import load_network, weights_file
from styleproj.operator.projection import project
from styleproj.training.losses import content_loss, kl_loss, moments, style_loss


def reconstruct(network: StyleNetwork, image: Tensor) -> Tensor:
    """The picture encoded and decoded, in whole."""
    padded = pad_to_multiple(image[None], network.multiple)
    return crop(network.decode(network.encode(padded)), *image.shape[1:])[0].clamp(0, 1)


def reconstruction(network: StyleNetwork, images: list[Tensor]) -> dict[str, float]:
    """Means over pictures."""
    pairs = [(reconstruct(network, image), image) for image in tqdm(images, disable=None)]
    return {"psnr": statistics.mean(psnr(a, b) for a, b in pairs), "ssim": statistics.mean(ssim(a, b) for a, b in pairs)}


def stylisation(network: StyleNetwork, pairs: list[tuple[Tensor, Tensor]], vgg: VGG19) -> dict[str, float]:
    """Means over pairs of squares of 256 pixels."""
    rows = []
    for content, style in tqdm(pairs, disable=None):
        out = network(content[None], style[None], project).clamp(0, 1)
        result, wanted, given = vgg(out), vgg(style[None]), vgg(content[None])
        rows.append(
            {
                "style": style_loss(moments(result), moments(wanted)).item(),
                "content": content_loss(result[-1], given[-1]).item(),
                "kl": kl_loss(result[-1], given[-1]).item(),
                "ssim_edge": ssim_edge(out[0], content),
            }
        )
    return {k: statistics.mean(r[k] for r in rows) for k in rows[0]}


def square(file: Path, side: int = 256) -> Tensor:
    """The middle of a picture, the shorter side shrunk to ``side``."""
    image = read_image(file)
    image = fit(image, round(side * max(image.shape[1:]) / min(image.shape[1:])))
    top, left = (image.shape[1] - side) // 2, (image.shape[2] - side) // 2
    return image[:, max(0, top) :, max(0, left) :][:, :side, :side]


@torch.inference_mode()
def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--network", type=Path, default=weights_file("slim"))
    parser.add_argument("--against", type=Path, nargs="*", default=[], help="networks to measure on the same pictures")
    parser.add_argument("--photos", type=int, default=79)
    parser.add_argument("--pairs", type=int, default=64)
    given = parser.parse_args()
    weights = given.data / "weights"
    network, teacher = load_network(given.network), compressed_pair(weights / "vgg19_distilled16x.pt")
    photos, paintings = part_of(given.data, "photos", "eval"), part_of(given.data, "paintings", "eval")
    images = [read_image(p) for p in photos[: given.photos]]
    vgg = load_vgg19(weights / "vgg19_normalised_conv3_1.pt")
    mixed = [(p, paintings[i % len(paintings)]) for i, p in enumerate(photos)]
    pairs = [(a, b) for a, b in islice(((square(p), square(q)) for p, q in mixed), given.pairs) if a.shape == b.shape]
    result = {
        "network": {"sha256": sha256(given.network), "bytes": given.network.stat().st_size},
        "reconstruction": {
            "photographs": len(images),
            "ours": reconstruction(network, images),
            "compressed VGG-19 and its decoder": reconstruction(teacher, images),
            **{p.parent.name: reconstruction(load_network(p), images) for p in given.against},
        },
        "stylisation": {
            "pairs": len(pairs),
            "features": "VGG-19, normalised: style on relu1_1, relu2_1, relu3_1, content and kl on relu3_1",
            "ours": stylisation(network, pairs, vgg),
            **{p.parent.name: stylisation(load_network(p), pairs, vgg) for p in given.against},
        },
    }
    write_atomic(given.out, json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
