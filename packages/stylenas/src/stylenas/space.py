"""What can be searched: binary operators, which of their strings mean the same, and what a string is worth."""

import importlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from claimkit.errors import InputError


@runtime_checkable
class Space(Protocol):
    """A space of genomes, strings of ``0`` and ``1`` with one character an operator; write these four and it is searched.

    With several workers the object travels to other processes by pickle; a method ``prepare()``, if any, is called once
    before.
    """

    @property
    def name(self) -> str:
        """What storage remembers: two spaces, or two ways to evaluate one, have different names; an attribute will do."""
        ...

    @property
    def operators(self) -> Sequence[str]:
        """Name of each character, unique; an attribute will do."""
        ...

    def canonical(self, genome: str) -> str:
        """The one genome that stands for all that mean the same; return ``genome`` where every bit always matters."""
        ...

    def evaluate(self, genome: str) -> Mapping[str, float]:
        """Named terms of a canonical genome, such as quality and cost; low is good. A NaN is recorded as a failure."""
        ...


def check_space(space: Space) -> None:
    """Refuse what is no space, in one sentence, before anything is searched.

    Raises:
        InputError: It lacks a part, has an operator twice, or its canonical form is not stable.
    """
    if not isinstance(space, Space):
        raise InputError(f"{space!r} is no space: it needs name, operators, canonical(genome) and evaluate(genome)")
    operators = list(space.operators)
    if not operators or len(set(operators)) != len(operators):
        raise InputError(f"the operators of {space.name} must be at least one, each named once")
    for genome in ("0" * len(operators), "1" * len(operators)):
        form = space.canonical(genome)
        if len(form) != len(genome) or set(form) - set("01") or space.canonical(form) != form:
            raise InputError(f"{space.name}: canonical({genome!r}) = {form!r} is not a canonical genome of the same length")


def check_genome(space: Space, genome: str) -> str:
    """The canonical form of what a user gave as a genome.

    Raises:
        InputError: Not a string of the space's length of ``0`` and ``1``.
    """
    if len(genome) != len(space.operators) or set(genome) - set("01"):
        raise InputError(f"{genome!r} is no genome of {space.name}: expected {len(space.operators)} characters 0 or 1")
    return space.canonical(genome)


def load_space(name: str) -> Space:
    """A space of a user's own, ``MODULE:NAME``: the object, or what the callable of that name returns.

    Modules of the current folder are found, too, whatever started Python.

    Raises:
        InputError: No such module or name, or it is no space.
    """
    module, _, attribute = name.partition(":")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as e:
        raise InputError(f"there is no space {name!r} ({e}): use published, extended, table or MODULE:NAME") from e
    if isinstance(found, type) or not isinstance(found, Space):
        try:
            found = found()
        except TypeError as e:
            raise InputError(f"{name} is no space, and no callable without arguments that returns one ({e})") from e
    check_space(found)
    return found
