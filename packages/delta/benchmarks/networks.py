"""On which networks of torchvision and timm axis, value and gradient are right: the table in docs/delta/networks.md.

``python packages/delta/benchmarks/networks.py torchvision`` and the same with ``timm`` put in the rows of one library, or of
those of its networks that are named, too. Layers are those of the tests; weights are random, the gradient is in float64.
"""

import copy
import json
import sys
from importlib.metadata import version
from pathlib import Path

import torch
from torch import nn

from claimkit.report.tables import update_block
from claimkit.testing.maps import agreement
from claimkit.transfer.maps.axes import channel_axes
from delta import DELTA
from dtnh import FeatureMaps

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "delta" / "networks.md"
NETWORKS = json.loads((ROOT / "shared" / "tests" / "transfer_networks.json").read_text(encoding="utf-8"))
LARGE_HEADS = ("alexnet", "vgg16_bn")
"""Without their linear layers, nine tenths of the weights, which come after all feature maps."""


def build(library, name):
    """The network in eval mode, and one input: 64 pixels, or its own size where it takes no other."""
    if library == "timm":
        import timm

        model = timm.create_model(name).eval()
        size = model.default_cfg["input_size"] if model.default_cfg.get("fixed_input_size") else (3, 64, 64)
        return model, torch.randn(1, *size)
    from torchvision.models import get_model

    options = {"weights_backbone": None} if name.partition("_")[0] in ("fcn", "deeplabv3", "lraspp") else {}
    options |= {"init_weights": False} if name == "googlenet" else {}
    model = get_model(name, weights=None, **options).eval()
    if name in LARGE_HEADS:
        model.classifier = nn.Identity()
    size = getattr(model, "image_size", 64)  # a ViT takes no other
    return model, torch.randn(1, 3, 8, 64, 64) if "3d" in name else torch.randn(1, 3, size, size)


def row(library, name):
    """One line of the table."""
    torch.manual_seed(0)
    model, x = build(library, name)
    _, found, named = (*NETWORKS[library][name], "")[:3]
    layers = [n.partition(":")[0] for n in (found or named).split()]
    axes = channel_axes(model, layers, x)
    error = agreement(model, layers, axes, x)
    moved = copy.deepcopy(model)
    with torch.no_grad():
        for p in moved.parameters():
            p.mul_(1.01).add_(1e-3)  # those that start at zero, too
    delta, maps = DELTA(model, layers), FeatureMaps(model, layers, alpha=1.0)
    with maps.watch(moved), torch.no_grad():
        same = bool(delta(x, moved) == maps(x))
    listed, how = ", ".join(f"`{n}`" for n in layers), "found" if found else "named"
    errors = [f"{e:.0e}" for e in (error.value, error.slope)]
    return f"| {' | '.join([name, how, listed, ' '.join(map(str, axes)), 'yes' if same else 'no', *errors])} |"


def main(library, *names):
    torch.set_num_threads(1)
    page = PAGE.read_text(encoding="utf-8").split(f"<!-- {library}:begin -->")[1].split(f"<!-- {library}:end -->")[0]
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in page.splitlines() if line.startswith("| ")}
    for name in names or NETWORKS[library]:
        rows[name] = row(library, name)
        print(rows[name], flush=True)
        listed = [rows[n] for n in NETWORKS[library] if n in rows]
        head = (
            "| network | layers | which | axis | DELTA without attention = FeatureMaps | error of the value | of the slope |"
        )
        versions = f"{len(listed)} networks of {library} {version(library)}, torch {version('torch')}."
        update_block(PAGE, library, "\n".join([versions, "", head, "|---|---|---|---|---|---|---|", *listed]))


if __name__ == "__main__":
    main(*sys.argv[1:])
