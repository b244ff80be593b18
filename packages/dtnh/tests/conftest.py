"""One thread, and no deadline for hypothesis."""

from claimkit.testing.fixtures import one_thread as one_thread
