"""Removing every channel of the default layers: a forward pass a channel, with or without autograd, and prefix caching."""

from pathlib import Path

import torch
from torch.nn.functional import cross_entropy

from claimkit import bench
from claimkit.transfer.networks import create
from delta import layers_for
from delta.ablation import ablate, ablate_naive

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"
NETWORKS = {"ResNet-20, 32 x 32": ("cifar-resnet20", 32, 32), "ResNet-18, 64 x 64": ("resnet18", 64, 8)}
"""Name, side of the images, how many."""


def with_autograd(model, layers, x, y):
    """What a peer does: the same loop with autograd recording every pass."""
    loss = cross_entropy(model(x), y)
    gaps = []
    for name in layers:
        weight = model.get_submodule(name).weight
        for j in range(len(weight)):
            kept = weight.data[j].clone()
            weight.data[j] = 0
            gaps.append(cross_entropy(model(x), y) - loss)
            weight.data[j] = kept
    return gaps


def main():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for name, (arch, size, images) in NETWORKS.items():
        model = create(arch).eval()
        x, y = torch.randn(images, 3, size, size), torch.randint(10, (images,))
        layers = layers_for(model, x)
        fast, naive = ablate(model, layers, x, y), ablate_naive(model, layers, x, y)
        error = max((a - b).abs().max().item() for a, b in zip(fast, naive, strict=True))
        channels = sum(map(len, fast))
        candidates = {
            "prefix caching, channels stacked": lambda a=(model, layers, x, y): ablate(*a),
            "a forward pass a channel": lambda a=(model, layers, x, y): ablate_naive(*a),
            "the same with autograd on": lambda a=(model, layers, x, y): with_autograd(*a),
        }
        title = f"attention of {name}: {channels} channels, {images} images (largest difference {error:.0e})"
        bench.save(bench.alternate(title, candidates, rounds=3, warmup=0, cpu=True), RESULTS / f"attention-{arch}.json")


if __name__ == "__main__":
    main()
