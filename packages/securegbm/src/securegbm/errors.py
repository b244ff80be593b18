"""The errors of this package: each message says what was wrong, what was expected and what to do."""

import math

from claimkit.errors import InputError


class SecureGBMError(InputError):
    """The input, the configuration or the peer's message cannot be used."""


def require_finite(options: object) -> None:
    """Refuse options one of whose numbers is NaN, which no comparison finds, or infinite.

    Raises:
        SecureGBMError: With the first such number and its name.
    """
    for name, value in vars(options).items():
        if isinstance(value, float) and not math.isfinite(value):
            raise SecureGBMError(f"{name} is {value}; give a finite number")


class ProtocolError(SecureGBMError):
    """A message was tampered with, replayed, reordered or does not fit the agreed session."""


class ForgedError(ProtocolError):
    """A message does not carry the shared secret's digest: whoever sent it, nothing may change because of it."""


class SessionLostError(SecureGBMError):
    """The peer no longer knows this session (it was restarted): greet it again and continue from the last tree."""


class PeerError(ProtocolError):
    """The peer ended the session or cannot be reached; telling it why would be pointless."""


class UnreachableError(PeerError):
    """The peer cannot be reached, is not who it should be, or does not answer in time."""
