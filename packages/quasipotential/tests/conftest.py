"""A fresh Numba cache for every session: Numba does not see edits in callees, and would test yesterday's machine code."""

import os
import shutil
import tempfile

import claimkit.testing.fixtures  # noqa: F401  no deadline for hypothesis

CACHE = os.environ.setdefault("NUMBA_CACHE_DIR", tempfile.mkdtemp(prefix="quasipotential-numba-"))


def pytest_unconfigure(config):
    shared = hasattr(config, "workerinput")  # by other processes of the same run, whose first one removes it
    if "quasipotential-numba-" in CACHE and not shared:
        shutil.rmtree(CACHE, ignore_errors=True)
