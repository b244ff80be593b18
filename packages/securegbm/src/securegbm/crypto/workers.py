"""Worker processes that each hold one object (SEAL holds Python's lock, so threads would not use the cores)."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import pairwise
from typing import Any

from securegbm.errors import SecureGBMError

_held: Any = None


def _hold(build: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    global _held
    _held = build(*arguments)


def _call(method: str, arguments: tuple[Any, ...]) -> Any:
    return getattr(_held, method)(*arguments)


class Workers:
    """Objects made by `build(*arguments)`, one in each of `count` processes (0: one, in this process).

    Calls are numbered; call i always runs at worker i modulo count, so that caches are hit.
    """

    def __init__(self, count: int, build: Callable[..., Any], *arguments: Any) -> None:
        self.count = max(count, 1)
        self._local = build(*arguments) if count == 0 else None
        self._spare: list[Future[Any]] = []
        spawn = multiprocessing.get_context("spawn")
        self._pools = [
            ProcessPoolExecutor(1, mp_context=spawn, initializer=_hold, initargs=(build, arguments)) for _ in range(count)
        ]

    def map(self, method: str, calls: list[tuple[Any, ...]]) -> list[Any]:
        """Results of `object.method(*call)` for every call, in order.

        Raises:
            SecureGBMError: If a process died.
        """
        if not self._pools:
            return [getattr(self._local, method)(*call) for call in calls]
        for future in self._spare:
            future.cancel()
        try:
            futures = [self._pools[number % self.count].submit(_call, method, call) for number, call in enumerate(calls)]
            return [future.result() for future in futures]
        except BrokenProcessPool as error:
            raise SecureGBMError(
                "a worker process died (out of memory, or killed); free memory or use fewer workers, and start again to "
                "continue after the last whole tree"
            ) from error

    def meanwhile(self, method: str, times: int) -> None:
        """Let every process call `object.method()` up to `times` times while nothing else is asked of it."""
        self._spare = [pool.submit(_call, method, ()) for pool in self._pools for _ in range(times)]

    def close(self) -> None:
        """End the processes."""
        for pool in self._pools:
            pool.shutdown(wait=True, cancel_futures=True)
        self._pools = []


def shares(total: int, count: int, unit: int = 1) -> list[range]:
    """`range(total)` cut into at most `count` runs of whole units, in order."""
    units = -(-total // unit)
    bounds = [min(total, unit * (units * part // count)) for part in range(count + 1)]
    return [range(start, stop) for start, stop in pairwise(bounds) if stop > start]
