"""Which layers' outputs are kept: by name, or the last convolution of each resolution as in DELTA's released code.

For the ResNets of torchvision, timm and CIFAR the rule gives the released choice, the last convolution of each of the
four (three) stages before BatchNorm; for Inception v3 the released list is used as it stands. A network without several
resolutions of convolutions, such as a transformer, or one whose maps grow again, is asked about.
"""

import difflib
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from claimkit.errors import InputError
from claimkit.transfer.heads import head_name, head_scope
from claimkit.transfer.maps.features import still

INCEPTION_V3 = ("Conv2d_2b_3x3", "Conv2d_4a_3x3", "Mixed_5d", "Mixed_6e")
STAGES = 4
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
SHORTCUTS = {"downsample", "shortcut"}
"""What residual blocks call the way around them."""


def find(model: nn.Module, names: Sequence[str]) -> dict[str, nn.Module]:
    """Modules by name.

    Raises:
        InputError: No name, one twice, or one that the network does not have; the sentence lists the nearest.
    """
    known = dict(model.named_modules())
    if not names or len(set(names)) != len(names):
        raise InputError(f"layers {list(names)}: expected one name or more, each once")
    for name in names:
        if name not in known or not name:
            near = difflib.get_close_matches(name, [k for k in known if k], 3, 0.3)
            hint = f"; near it are {', '.join(near)}" if near else ""
            raise InputError(f"{type(model).__name__} has no layer {name!r}{hint}")
    return {name: known[name] for name in names}


def layers_for(model: nn.Module, x: Any = None) -> tuple[str, ...]:
    """The last convolution of each of the last four resolutions, in the order of the forward pass.

    Convolutions of one to three dimensions count that are called once in a pass, outside the head and outside shortcuts.
    One counts if the innermost block around it ends at the convolution's own resolution: the first one of a block with
    stride, which still sees the resolution before, does not. A first layer that is alone at its resolution is left out.

    Args:
        model: The source network.
        x: An example input; an image of 224 x 224 where None is given.

    Raises:
        InputError: No convolution on such an input, most weights behind the last one, as in a transformer with a
            convolutional stem, or maps that grow again, as a decoder's or a feature pyramid's do: name layers yourself.
    """
    what = type(model).__name__
    if what == "Inception3":
        return INCEPTION_V3
    if x is None:
        if any(isinstance(m, (nn.Conv1d, nn.Conv3d)) for m in model.modules()):
            raise InputError(f"{what} does not take images alone: give an example input x")
        x = torch.zeros(1, 3, 224, 224, device=next(model.parameters()).device)
    convolutions, behind = _sizes(model, x[:1])
    least = min((size.numel() for _, size, _ in convolutions), default=0)
    if convolutions and convolutions[-1][1].numel() > least:
        coarsest = max(i for i, (_, size, _) in enumerate(convolutions) if size.numel() == least)
        encoder = ", ".join(_choose(convolutions[: coarsest + 1]))
        raise InputError(f"the feature maps of {what} grow again: name layers, such as its encoder's {encoder}")
    chosen = _choose(convolutions)
    if not chosen or behind > 0.5:
        parts = [n for n, m in model.named_modules() if n and isinstance(m, nn.Sequential | nn.ModuleList) and len(m) > 1]
        hint = f", such as blocks of {', '.join(parts[:3])}" if parts else ""
        raise InputError(f"{what} does not consist of convolutions: name its layers, from model.named_modules(){hint}")
    return chosen


def _choose(convolutions: Sequence[tuple[str, torch.Size, bool]]) -> tuple[str, ...]:
    """The last convolution that stays, of each of the last resolutions."""
    by_size: dict[torch.Size, list[tuple[str, bool]]] = {}
    for name, size, stays in convolutions:
        by_size.setdefault(size, []).append((name, stays))
    first = convolutions[0][0] if convolutions else ""
    chosen = []
    for found in by_size.values():
        staying = [name for name, stays in found if stays and not (name == first and len(found) == 1)]
        chosen += staying[-1:]
    return tuple(chosen[-STAGES:])


def _sizes(model: nn.Module, x: Any) -> tuple[list[tuple[str, torch.Size, bool]], float]:
    """Convolutions in the order of the forward pass: name, lengths of the maps, whether its block ends at that size.

    And the share of the network's weights, its head aside, that are used after the last of them.
    """
    calls: list[tuple[str, torch.Size]] = []
    ends: dict[str, torch.Size] = {}
    weights: dict[str, int] = {}
    behind: set[str] = set()
    axes = x.ndim if isinstance(x, Tensor) else x[0].ndim + 1
    try:
        left_out = head_scope(model) or [head_name(model)]
    except InputError:
        left_out = []
    with ExitStack() as hooks:
        for name, module in model.named_modules():

            def note(module: nn.Module, _inputs: object, output: object, name: str = name) -> None:
                if any(f"{name}.".startswith(f"{part}.") for part in left_out):
                    return
                if name not in weights:
                    behind.add(name)
                    weights[name] = sum(p.numel() for p in module.parameters(recurse=False))
                if isinstance(output, Tensor) and output.ndim == axes:
                    ends[name] = output.shape[2:]
                    if (
                        isinstance(module, CONVOLUTIONS)
                        and output.shape[2:].numel() > 1
                        and not SHORTCUTS & {*name.split(".")}
                    ):
                        calls.append((name, output.shape[2:]))
                        behind.clear()

            hooks.callback(module.register_forward_hook(note).remove)
        with still(model):
            model(x)
    names = [n for n, _ in calls]
    calls = [(n, s) for n, s in calls if names.count(n) == 1]
    inside = {a: [s for n, s in calls if n.startswith(f"{a}.")] for n, _ in calls for a in _ancestors(n)}
    result = []
    for name, size in calls:
        blocks = [a for a in _ancestors(name) if len(inside[a]) > 1 and len(set(inside[a])) <= 2]
        result.append((name, size, not blocks or blocks[0] not in ends or ends[blocks[0]] == size))
    return result, sum(weights[n] for n in behind) / max(1, sum(weights.values()))


def _ancestors(name: str) -> list[str]:
    """Containers of a module, innermost first, without the network itself.

    >>> _ancestors("layer1.0.conv2")
    ['layer1.0', 'layer1']
    """
    parts = name.split(".")
    return [".".join(parts[:i]) for i in range(len(parts) - 1, 0, -1)]
