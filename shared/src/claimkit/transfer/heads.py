"""The classifier of a network: found where it cannot be anything else, asked for where it can, and replaced."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Generator, Tensor, nn

from claimkit.errors import InputError

NAMES = ("fc", "classifier", "head", "heads", "linear", "last_linear", "lm_head", "score", "logits")
"""What classifiers are called, as children of a network."""
KINDS = (nn.Linear, nn.modules.conv._ConvNd)


def head_name(model: nn.Module) -> str:
    """Name of the classifier: the last linear layer, or the last convolution where there is no linear layer.

    It is looked for in what timm's ``get_classifier`` gives, in the children that are called as classifiers are (``fc``,
    ``classifier``, ``head`` ...), and in the whole network, in this order.

    Raises:
        InputError: There is none, or several layers could be it: those whose outputs no other of them takes up.
    """
    scope = head_scope(model)
    found = dict(_layers(model, scope))
    if not found:
        if scope:
            raise InputError(
                f"{_what(model)} has no layer in {scope[0]!r}, as a feature extractor: name its head with head="
            )
        raise InputError(f"{_what(model)} has no linear layer and no convolution: it has no head to replace")
    last = list(found)[-1]
    rivals = [n for n in _rivals(model, scope, found, last) if n != last]
    if rivals:
        raise InputError(f"{_what(model)} could have its head in {', '.join((*rivals[-3:], last))}: name it with head=")
    return last


def head_scope(model: nn.Module) -> list[str]:
    """Names of the parts that hold the classifier by their own word; empty where nothing is called so."""
    declared = getattr(model, "get_classifier", None)
    if callable(declared):
        parts: Any = declared()
        parts = parts if isinstance(parts, tuple) else (parts,)
        if all(isinstance(p, nn.Module) for p in parts):
            return [n for n, m in model.named_modules() if any(m is p for p in parts)]
    prefix, inner = "", model
    while len(children := dict(inner.named_children())) == 1 and not isinstance(
        only := next(iter(children.values())), KINDS
    ):
        prefix, inner = f"{prefix}{next(iter(children))}.", only
    return [prefix + n for n in inner._modules if n in NAMES]


def head(model: nn.Module, name: str | None = None) -> Any:
    """The classifier itself."""
    return model.get_submodule(name or head_name(model))


def replace_head(model: nn.Module, classes: int, seed: int = 0, name: str | None = None) -> nn.Module:
    """Give the network a new head, drawn from ``seed`` (weights N(0, 0.01^2), biases zero), and return the network.

    Raises:
        InputError: No head to find, or one that is neither a linear layer nor a convolution.
    """
    name = name or head_name(model)
    old: Any = head(model, name)
    if not isinstance(old, KINDS):
        raise InputError(f"the head {name!r} is a {type(old).__name__}: name a linear layer or a convolution")
    bias = old.bias is not None
    if isinstance(old, nn.Linear):
        new: Any = nn.Linear(old.in_features, classes, bias)
    else:
        new = type(old)(old.in_channels, classes, 1, bias=bias)  # type: ignore[call-arg]
    nn.init.normal_(new.weight, std=0.01, generator=Generator().manual_seed(seed))
    if new.bias is not None:
        nn.init.zeros_(new.bias)
    model.set_submodule(name, new.to(old.weight.device))
    return model


def logits(model: Callable[[Tensor], Any], x: Tensor) -> Tensor:
    """What a network says of inputs, ``(batch, class)``: its output, or its part ``logits``, as of Hugging Face's models.

    Raises:
        InputError: It gives something else, such as a tuple.
    """
    out = model(x)
    found = out.get("logits") if isinstance(out, Mapping) else getattr(out, "logits", out)
    if not isinstance(found, Tensor):
        raise InputError(
            f"{type(model).__name__} gives a {type(out).__name__}: expected logits (batch, class), or an output with .logits"
        )
    return found


def _layers(model: nn.Module, scope: list[str]) -> Iterator[tuple[str, nn.Module]]:
    """Linear layers, or convolutions where there is none, within the scope, auxiliary classifiers left out."""
    inside = [(n, m) for n, m in model.named_modules() if not scope or any(f"{n}.".startswith(f"{s}.") for s in scope)]
    for kind in KINDS:
        if found := [(n, m) for n, m in inside if isinstance(m, kind) and not n.lower().startswith("aux")]:
            yield from found
            return


def _rivals(model: nn.Module, scope: list[str], found: dict[str, nn.Module], last: str) -> list[str]:
    """The layers among which the last one must be alone: its own family, whose outputs none of them takes up."""
    parent = last.rpartition(".")[0]
    if scope:
        among = list(found)
    elif isinstance(model.get_submodule(parent), nn.Sequential):
        among = [last]
    else:
        among = [n for n in found if n.startswith(f"{parent}." if parent else "")]
    if not scope:  # and the last layer of every part of the network
        among += [n for n in {n.partition(".")[0]: n for n in found}.values() if n not in among]
        if isinstance(model, nn.Sequential):
            among = [n for n in among if n.partition(".")[0] == last.partition(".")[0]]
    taken = {_sizes(found[n])[0] for n in among}
    return [n for n in among if _sizes(found[n])[1] not in taken]


def _sizes(layer: Any) -> tuple[int, int]:
    """Width of what enters and of what leaves a layer."""
    return (
        (layer.in_features, layer.out_features) if isinstance(layer, nn.Linear) else (layer.in_channels, layer.out_channels)
    )


def _what(model: nn.Module) -> str:
    return type(model).__name__
