"""The exceptions of the house."""


class InputError(ValueError):
    """What the user gave cannot be used: one sentence saying what was wrong, what was expected, what to do.

    Raised at the boundary of every package; the command line prints it without a traceback and exits with code 2.
    """


class NotAvailableError(InputError):
    """Data or weights that a claim needs are not on this machine; the claim is then *not run*, with this reason."""


class MissingPackageError(InputError, ImportError):
    """An optional dependency is not installed; the sentence names what to install."""
