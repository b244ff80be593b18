"""A free port for a server that is another process, of tests that have to know it before it starts."""

import random
import socket

OUTGOING = 32_768
"""From here on (Linux; elsewhere from 49,152) the system takes ports for connections that go out."""


def free_port() -> int:
    """A port of the loopback address that nobody listens on, and that no connection made meanwhile is given.

    Raises:
        OSError: If a hundred ports are taken.
    """
    for port in random.SystemRandom().sample(range(20_000, OUTGOING), 100):
        with socket.socket() as found:
            try:
                found.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise OSError("of a hundred ports of 127.0.0.1 none is free")
