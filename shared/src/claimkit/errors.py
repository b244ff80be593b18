"""The exceptions of the house, and the refusal of a word that means nothing."""

from collections.abc import Iterable


class InputError(ValueError):
    """What the user gave cannot be used: one sentence saying what was wrong, what was expected, what to do.

    Raised at the boundary of every package; the command line prints it without a traceback and exits with code 2.
    """


class NotAvailableError(InputError):
    """Data or weights that a claim needs are not on this machine; the claim is then *not run*, with this reason."""


class MissingPackageError(InputError, ImportError):
    """An optional dependency is not installed; the sentence names what to install."""


def one_of(what: str, word: object, words: Iterable[str]) -> None:
    """Refuse a word that would otherwise be taken for one of the others.

    Raises:
        InputError: It is none of the words.
    """
    if word not in (known := tuple(words)):
        raise InputError(f"{what} = {word!r} is none of {', '.join(known)}")
