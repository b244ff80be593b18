"""Which parameters are guarded, and which of them are projected together."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, get_args

from torch import nn

from claimkit.errors import InputError
from claimkit.transfer.heads import head_name
from claimkit.transfer.maps.features import unwrapped

Scope = Literal["shared", "all", "layer", "tensor"]
Params = nn.Module | Iterable[nn.Parameter] | Iterable[tuple[str, nn.Parameter]]


def named(params: Params) -> dict[str, nn.Parameter]:
    """Trainable parameters by name; those of a list without names are called ``0``, ``1``, ...

    Raises:
        InputError: None at all, one twice, or one of a list that does not require gradients.
    """
    if isinstance(params, nn.Module):
        pairs = [(n, p) for n, p in unwrapped(params).named_parameters() if p.requires_grad]
    else:
        pairs = [p if isinstance(p, tuple) else (str(i), p) for i, p in enumerate(params)]
    if not pairs:
        raise InputError("there is no parameter that requires gradients: nothing to guard")
    if frozen := [n for n, p in pairs if not p.requires_grad]:
        raise InputError(f"parameter {frozen[0]!r} does not require gradients: leave it out, or call requires_grad_()")
    if sharded := [n for n, p in pairs if hasattr(p, "placements")]:
        raise InputError(f"parameter {sharded[0]!r} is sharded (a DTensor, as FSDP makes): the guard takes whole parameters")
    if len({id(p) for _, p in pairs}) < len(pairs) or len(dict(pairs)) < len(pairs):
        raise InputError("a parameter or a name is given twice: give each once")
    return dict(pairs)


def head_names(params: Params, parameters: Mapping[str, nn.Parameter], head: str | Sequence[str] | None) -> set[str]:
    """Names of the parameters of ``head``; the classifier of a module, and nothing of a list, when None.

    Raises:
        InputError: A head without parameters.
    """
    if head is None:
        if not isinstance(params, nn.Module):
            return set()
        prefixes = [head_name(unwrapped(params))]
    else:
        prefixes = [head] if isinstance(head, str) else list(head)
    chosen: set[str] = set()
    for prefix in prefixes:
        found = {n for n in parameters if n == prefix or n.startswith(f"{prefix}.")}
        if not found and head is not None:
            raise InputError(f"no trainable parameter belongs to the head {prefix!r}: name a module, such as 'fc'")
        chosen |= found
    return chosen


def grouped(names: Sequence[str], head: set[str], scope: Scope) -> list[list[str]]:
    """Names of the parameters of each group.

    ``shared`` is one group of all but the head, ``all`` one of everything; of all but the head, ``layer`` has a group for
    each module and ``tensor`` for each tensor.

    >>> grouped(["a.weight", "a.bias", "b.weight"], {"b.weight"}, "layer")
    [['a.weight', 'a.bias']]
    """
    if scope not in get_args(Scope):
        raise InputError(f"scope {scope!r} is none of {', '.join(get_args(Scope))}")
    shared = [n for n in names if n not in head]
    if scope == "all":
        return [list(names)]
    if not shared:
        raise InputError("every parameter belongs to the head: there is nothing to guard")
    if scope == "shared":
        return [shared]
    if scope == "tensor":
        return [[n] for n in shared]
    if any(n.isdigit() for n in shared):
        raise InputError("scope 'layer' needs names: give a module, or list(model.named_parameters())")
    layers: dict[str, list[str]] = {}
    for n in shared:
        layers.setdefault(n.rpartition(".")[0], []).append(n)
    return list(layers.values())
