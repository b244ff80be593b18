"""A feature party as its own process on this machine, and what the processes of a party use."""

import multiprocessing
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

from securegbm.feature_party.party import FeatureParty
from securegbm.wire.certificates import Identity
from securegbm.wire.server import Server


def _serve(ready: Connection, make: Callable[[], FeatureParty], identity: Identity | None) -> None:
    party = make()
    server = Server(party, "127.0.0.1:0", identity, insecure_loopback=identity is None)
    ready.send(server.port)
    ready.recv()
    server.stop()
    party.close()


@contextmanager
def feature_process(make: Callable[[], FeatureParty], identity: Identity | None = None) -> Iterator[tuple[str, int]]:
    """Serve `make()` in a new process while the context lasts.

    Args:
        make: Makes the party there; a function or `functools.partial` that can be pickled.
        identity: Certificates; none serves in plaintext on the loopback address.

    Yields:
        Its address and process id.
    """
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(there, make, identity))
    process.start()
    there.close()
    try:
        yield f"127.0.0.1:{here.recv()}", int(process.pid or 0)
    finally:
        if process.is_alive():
            here.send("stop")
        process.join()


class Usage:
    """CPU seconds and peak memory of a process with all its children, watched until closed.

    Args:
        pid: The process.
        without: A child (with its children) that belongs to somebody else.
        every: Seconds between two looks at the memory.
    """

    def __init__(self, pid: int, without: int | None = None, every: float = 0.2) -> None:
        self._pid, self._without = pid, without
        self.peak_mb = 0.0
        self._stop = threading.Event()
        self._watcher = threading.Thread(target=self._watch, args=(every,), daemon=True)
        self._watcher.start()

    def _processes(self) -> list[object]:
        import psutil

        def tree(pid: int) -> list[psutil.Process]:
            try:
                root = psutil.Process(pid)
                return [root, *root.children(recursive=True)]
            except psutil.NoSuchProcess:
                return []

        foreign = {process.pid for process in tree(self._without)} if self._without else set()
        return [process for process in tree(self._pid) if process.pid not in foreign]

    def _sum(self, of: Callable[[object], float]) -> float:
        import psutil

        total = 0.0
        for process in self._processes():
            try:
                total += of(process)
            except psutil.Error:
                continue
        return total

    def _watch(self, every: float) -> None:
        while not self._stop.wait(every):
            self.peak_mb = max(self.peak_mb, self._sum(lambda p: p.memory_info().rss / 1e6))  # type: ignore[attr-defined]

    def cpu_seconds(self) -> float:
        """CPU seconds so far of the processes that are alive."""
        return self._sum(lambda p: sum(p.cpu_times()[:2]))  # type: ignore[attr-defined]

    def close(self) -> None:
        """Stop watching."""
        self._stop.set()
        self._watcher.join()
