"""What can be searched: binary operators, which of their strings mean the same, and what a string is worth."""

import ast
import hashlib
import importlib
import inspect
import sys
import textwrap
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Protocol, runtime_checkable

import joblib

from claimkit.errors import InputError


@runtime_checkable
class Space(Protocol):
    """A space of genomes, strings of ``0`` and ``1`` with one character an operator; write these four and it is searched.

    With several workers the object travels to other processes by pickle; a method ``prepare()``, if any, is called once
    before. A method ``confirm(genome, seed)``, if any, evaluates with another seed, for ``--confirm``. A storage remembers
    the name and the :func:`identity`: public attributes and source.
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
        form = canonical(space, genome)
        if canonical(space, form) != form:
            raise InputError(f"{space.name}: canonical({genome!r}) = {form!r} has another canonical form: give a stable one")


def canonical(space: Space, genome: str) -> str:
    """The space's canonical form, checked.

    Raises:
        InputError: No string of the same length of ``0`` and ``1``, or an exception.
    """
    try:
        form = space.canonical(genome)
    except InputError:
        raise
    except Exception as e:  # the code is the user's
        raise InputError(f"{space.name}: canonical({genome!r}) fails with {reason(e)}") from e
    if not isinstance(form, str) or len(form) != len(genome) or set(form) - set("01"):
        raise InputError(f"{space.name}: canonical({genome!r}) = {form!r} is no genome of {len(genome)} characters 0 or 1")
    return form


def checked_terms(space: Space, genome: str, terms: object) -> dict[str, float]:
    """What an evaluation gave, as numbers.

    Raises:
        InputError: No mapping of names to numbers.
    """
    given = f"{space.name}: evaluate({genome!r}) gave"
    if not isinstance(terms, Mapping) or not terms:
        raise InputError(f"{given} {_short(terms)}: expected named numbers, such as {{'quality': 0.5}}")
    numbers = {}
    for name, value in terms.items():
        if not isinstance(name, str):
            raise InputError(f"{given} the name {_short(name)}: expected text")
        try:
            numbers[name] = float(value)
        except (TypeError, ValueError, RuntimeError, OverflowError) as e:
            raise InputError(f"{given} {name} = {_short(value)}: expected one number") from e
    return numbers


def identity(space: Space) -> str:
    """What a space is beyond its name: a digest of its public attributes and of its source, comments left out.

    Attributes that begin with an underscore, and cached properties, are taken for caches. A space that knows better has an
    attribute ``identity``. Data that have no digest, such as open files, do not count.
    """
    if isinstance(own := getattr(space, "identity", None), str):
        return own
    kind = type(space)
    cached = {n for k in kind.__mro__ for n, v in vars(k).items() if isinstance(v, cached_property)}
    data = {n: v for n, v in getattr(space, "__dict__", {}).items() if not n.startswith("_") and n not in cached}
    held = []
    for name, value in sorted(data.items()):
        with suppress(Exception):  # joblib pickles what it hashes, and pickling raises nearly anything
            held.append((name, joblib.hash(value)))
    code = []
    for k in kind.__mro__[:-1]:
        with suppress(OSError, TypeError, SyntaxError):  # typed into a console, or written in another language
            code.append(ast.dump(ast.parse(textwrap.dedent(inspect.getsource(k)))))
    return hashlib.sha256(repr((held, code)).encode()).hexdigest()[:16]


def reason(error: BaseException) -> str:
    """An exception in one line: its kind and the first line of what it says."""
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no word'}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def check_genome(space: Space, genome: str) -> str:
    """The canonical form of what a user gave as a genome.

    Raises:
        InputError: Not a string of the space's length of ``0`` and ``1``.
    """
    if len(genome) != len(space.operators) or set(genome) - set("01"):
        raise InputError(f"{genome!r} is no genome of {space.name}: expected {len(space.operators)} characters 0 or 1")
    return canonical(space, genome)


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
    except Exception as e:  # the module is the user's: a typo, a file of data that is not there
        raise InputError(f"{module} fails when it is imported ({reason(e)})") from e
    if isinstance(found, type) or not isinstance(found, Space):
        try:
            found = found()
        except TypeError as e:
            raise InputError(f"{name} is no space, and no callable without arguments that returns one ({e})") from e
        except Exception as e:
            raise InputError(f"{name} fails when it is called ({reason(e)})") from e
    check_space(found)
    return found
