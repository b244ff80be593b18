"""Which layers' outputs are kept: by name, or the last convolution of each resolution as in DELTA's released code.

For the ResNets of torchvision, timm and CIFAR the rule gives the released choice, the last convolution of each of the
four (three) stages before BatchNorm; for Inception v3 the released list is used as it stands.
"""

import difflib
from collections.abc import Sequence
from contextlib import ExitStack

import torch
from torch import Tensor, nn

from claimkit.errors import InputError
from claimkit.transfer.networks import head_name

INCEPTION_V3 = ("Conv2d_2b_3x3", "Conv2d_4a_3x3", "Mixed_5d", "Mixed_6e")
STAGES = 4


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


def layers_for(model: nn.Module, x: Tensor | None = None) -> tuple[str, ...]:
    """The last convolution of each of the last four resolutions, in the order of the forward pass.

    A convolution counts if the innermost block around it ends at the convolution's own resolution: the first one of a
    block with stride, which still sees the resolution before, does not. A first layer that is alone at its resolution is
    left out.

    Args:
        model: The source network.
        x: An example input; an image of 224 x 224 where None is given.

    Raises:
        InputError: The network computes no convolution on such an input: name layers yourself.
    """
    if type(model).__name__ == "Inception3":
        return INCEPTION_V3
    convolutions = _sizes(model, torch.zeros(1, 3, 224, 224) if x is None else x[:1])
    by_size: dict[torch.Size, list[tuple[str, bool]]] = {}
    for name, size, stays in convolutions:
        by_size.setdefault(size, []).append((name, stays))
    first = convolutions[0][0] if convolutions else ""
    chosen = []
    for found in by_size.values():
        staying = [name for name, stays in found if stays and not (name == first and len(found) == 1)]
        chosen += staying[-1:]
    if not chosen:
        raise InputError(f"{type(model).__name__} has no convolution to choose: name its layers, from model.named_modules()")
    return tuple(chosen[-STAGES:])


def _sizes(model: nn.Module, x: Tensor) -> list[tuple[str, torch.Size, bool]]:
    """Convolutions in the order of the forward pass: name, height and width, whether its block ends at that size."""
    calls: list[tuple[str, torch.Size]] = []
    ends: dict[str, torch.Size] = {}
    head = head_name(model)
    with ExitStack() as hooks:
        for name, module in model.named_modules():

            def note(module: nn.Module, _inputs: object, output: object, name: str = name) -> None:
                if isinstance(output, Tensor) and output.ndim == 4:
                    ends[name] = output.shape[2:]
                    if isinstance(module, nn.Conv2d) and output.shape[2:].numel() > 1 and name != head:
                        calls.append((name, output.shape[2:]))

            hooks.callback(module.register_forward_hook(note).remove)
        was = [m for m in model.modules() if m.training]
        model.eval()
        try:
            with torch.no_grad():
                model(x)
        finally:
            for m in was:
                m.training = True
    inside = {a: [s for n, s in calls if n.startswith(f"{a}.")] for n, _ in calls for a in _ancestors(n)}
    result = []
    for name, size in calls:
        blocks = [a for a in _ancestors(name) if len(inside[a]) > 1 and len(set(inside[a])) <= 2]
        result.append((name, size, not blocks or blocks[0] not in ends or ends[blocks[0]] == size))
    return result


def _ancestors(name: str) -> list[str]:
    """Containers of a module, innermost first, without the network itself.

    >>> _ancestors("layer1.0.conv2")
    ['layer1.0', 'layer1']
    """
    parts = name.split(".")
    return [".".join(parts[:i]) for i in range(len(parts) - 1, 0, -1)]
