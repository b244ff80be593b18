"""Whole pictures: against the network of pytorch-AdaIN, a second with the style prepared, and 4096 x 4096 in pieces.

The peer is VGG-19 to relu4_1 with the mirrored decoder and AdaIN, as its public code has it, with random weights, which do
not change its time.
"""

from pathlib import Path

import torch

from claimkit import bench
from claimkit.style.encoders import VGG19
from claimkit.style.transforms import adain
from styleproj import Stylizer, kernels
from styleproj.networks.network import Decoder, StyleNetwork
from styleproj.samples import photograph, square

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"


def main():
    kernels.warmup()
    stylizer = Stylizer(device="cpu")
    painting = photograph("ihc")
    content, square_style = (square(x, 512) for x in (photograph("astronaut"), painting))
    prepared = stylizer.prepare(square_style)
    vgg = VGG19(4)
    peer = StyleNetwork(vgg, Decoder(vgg.channels, vgg.convolutions[:-1], (4,))).eval()

    @torch.inference_mode()
    def adain_of_vgg():
        return peer(content[None], square_style[None], adain).clamp(0, 1)

    candidates = {
        "pytorch-AdaIN's network: VGG-19 to relu4_1, AdaIN, decoder": adain_of_vgg,
        "styleproj": lambda: stylizer.stylize(content, square_style),
        "styleproj, style prepared": lambda: stylizer.stylize(content, prepared),
    }
    bench.save(bench.alternate("512 x 512 in the style of 512 x 512", candidates, rounds=7), RESULTS / "peer.json")
    style = stylizer.prepare(painting)
    contents = {side: square(photograph("astronaut"), side) for side in (256, 512, 1024)}
    candidates = {f"{side} x {side}": lambda c=c: stylizer.stylize(c, style) for side, c in contents.items()}
    bench.save(bench.alternate("a picture, style prepared", candidates, rounds=9), RESULTS / "pictures.json")
    large = square(photograph("astronaut"), 4096)
    candidates = {"pieces of 512": None, "pieces of 1024": None}
    for name in candidates:
        other = Stylizer(stylizer.network, device="cpu", tile=int(name.split()[-1]))
        candidates[name] = lambda other=other: other.stylize(large, style)
    bench.save(bench.alternate("4096 x 4096 pixels", candidates, rounds=3, warmup=0), RESULTS / "large.json")


if __name__ == "__main__":
    main()
