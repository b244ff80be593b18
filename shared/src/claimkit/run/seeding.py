"""What a seed fixes, and how many threads it uses: the part of a run that changes the values of every measurement."""

import random
import sys

from claimkit.errors import InputError

_own_threads: dict[str, int] = {}


def seed_everything(seed: int) -> None:
    """Seed python, numpy and, when imported, torch (all devices).

    Raises:
        InputError: Outside [0, 2^32), the range that all three accept.
    """
    if not 0 <= seed < 2**32:
        raise InputError(f"seed {seed} is outside [0, 2^32): choose another")
    random.seed(seed)
    import numpy as np

    np.random.seed(seed)
    if torch := sys.modules.get("torch"):
        torch.manual_seed(seed)


def limit_threads(threads: int | None) -> None:
    """Make torch, where imported, use so many threads from now on; None is the number that it started with."""
    if torch := sys.modules.get("torch"):
        _own_threads.setdefault("torch", torch.get_num_threads())
        torch.set_num_threads(threads or _own_threads["torch"])
