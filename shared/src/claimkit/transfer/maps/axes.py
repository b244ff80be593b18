"""Where the channels of a layer's output are: told by the layers of the network, asked for where they do not tell."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from torch import Tensor, nn

from claimkit.errors import InputError
from claimkit.transfer.maps.features import still
from claimkit.transfer.maps.layers import find


def channel_axis(shape: Sequence[int]) -> int:
    """The usual place by the number of axes: ``(batch, token, channel)``, otherwise ``(batch, channel, ...)``."""
    return 2 if len(shape) == 3 else 1


def channel_axes(model: nn.Module, layers: Sequence[str], x: Any) -> tuple[int, ...]:
    """Axis of the channels in the output of each layer, from one pass on ``x`` that changes nothing.

    A convolution or BatchNorm has them second, a linear layer last. Any other layer has them where the last of those that
    ran before its end had them; in a network of both kinds, such as ConvNeXt with its permutations, at the one of the two
    axes that is as long as that layer is wide.

    Raises:
        InputError: A layer that is not reached, is called more than once, or gives no tensor of 2 to 5 axes whose first is
            the batch; or an axis that cannot be told.
    """
    wanted = {m: n for n, m in find(model, layers).items()}
    evidence: dict[int, list[tuple[int, int]]] = {}
    axes: dict[str, int] = {}

    def note(module: nn.Module, _inputs: object, output: object) -> None:
        if isinstance(output, Tensor) and output.ndim > 2 and (certain := _certain(module)):
            evidence.setdefault(output.ndim, []).append((certain[0] % output.ndim, certain[1]))
        if (name := wanted.get(module)) is not None:
            if name in axes:
                raise InputError(f"layer {name!r} is called more than once in a pass: name one that is called once")
            axes[name] = _decide(name, check(name, output, len(x)), evidence, _certain(module))

    with ExitStack() as hooks:
        for module in model.modules():
            hooks.callback(module.register_forward_hook(note).remove)
        with still(model):
            model(x)
    if missing := [n for n in layers if n not in axes]:
        raise InputError(
            f"a forward pass does not reach all of the layers {', '.join(layers)}: leave out {', '.join(missing)}"
        )
    return tuple(axes[n] for n in layers)


def check(name: str, output: object, batch: int) -> Tensor:
    """The output of a layer, if its feature maps can be compared.

    Raises:
        InputError: They cannot.
    """
    if not isinstance(output, Tensor) or not 2 <= output.ndim <= 5:
        raise InputError(f"layer {name!r} gives no tensor of 2 to 5 axes: name a convolution, linear layer or block")
    if len(output) != batch:
        shape = tuple(output.shape)
        raise InputError(f"layer {name!r} gives {shape} for a batch of {batch}: name one whose first axis is the batch")
    return output


def _decide(name: str, output: Tensor, evidence: dict[int, list[tuple[int, int]]], certain: tuple[int, int] | None) -> int:
    if certain:
        return certain[0] % output.ndim
    if output.ndim == 2:
        return 1
    known = evidence.get(output.ndim, [])
    places = {axis for axis, _ in known}
    if len(places) == 1:
        return places.pop()
    if places:
        width = known[-1][1]
        places = {axis for axis in places if output.shape[axis] == width}
        if len(places) == 1:
            return places.pop()
    raise InputError(f"where the channels of {tuple(output.shape)} of layer {name!r} are cannot be told: give axis=")


def _certain(module: Any) -> tuple[int, int] | None:
    """Axis and number of the channels, of layers that leave no doubt."""
    if isinstance(module, nn.modules.conv._ConvNd):
        return 1, module.out_channels
    if isinstance(module, nn.modules.batchnorm._NormBase):
        return 1, module.num_features
    if type(module) is nn.GroupNorm:
        return 1, module.num_channels
    if isinstance(module, nn.Linear):
        return -1, module.out_features
    if type(module) in (nn.LayerNorm, nn.RMSNorm) and len(module.normalized_shape) == 1:
        return -1, module.normalized_shape[0]
    return (-1, module.embedding_dim) if isinstance(module, nn.Embedding) else None
