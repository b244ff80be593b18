"""All feature parties of a run: greeted, asked and told together, each over a conversation of its own.

A tree counts when every partner has committed it; who was quicker drops it again when the label party comes back without it.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Thread
from typing import Any

import numpy.typing as npt

from securegbm.errors import PeerError, SecureGBMError
from securegbm.label_party.columns import JointColumns, OwnColumns, Request
from securegbm.label_party.session import LabelSession, Terms
from securegbm.ring.choice import Ciphers
from securegbm.tables.binning import BinLayout
from securegbm.trees.search import Flags
from securegbm.wire.channel import Partner

FAREWELL = 5.0
"""Seconds for which partners are waited for that are told why a run ends."""


class AllPartners:
    """The label party's sessions with its partners.

    Args:
        partners: The ways to them.
        terms: What the label party brings.
    """

    def __init__(self, partners: Sequence[Partner], terms: Terms) -> None:
        self._sessions = [LabelSession(partner, number, terms) for number, partner in enumerate(partners)]
        self._store, self._ended, self._hides = terms.store, set[int](), terms.config.hide_instances
        self._pool: ThreadPoolExecutor | None = None

    @property
    def layouts(self) -> list[BinLayout]:
        """What the partners said of their columns, one after the other."""
        return [layout for session in self._sessions for layout in session.layouts]

    @property
    def widths(self) -> list[tuple[str, int]]:
        """Name and number of columns of every partner."""
        return [(session.name, len(session.layouts)) for session in self._sessions]

    @property
    def adds_up(self) -> bool:
        """Sums of two children are those of their parent at every partner."""
        return all(session.adds_up for session in self._sessions)

    @property
    def traffic(self) -> tuple[int, int]:
        """Bytes sent to and received from all."""
        sent, received = zip(*(session.traffic for session in self._sessions), strict=True)
        return sum(sent), sum(received)

    def together(self, calls: Sequence[Callable[[], Any]]) -> list[Any]:
        """Make one call per partner, all at once, and wait for all of them.

        Raises:
            SecureGBMError: The first one of them, with the partner's name when there are several.
        """
        if len(calls) == 1:
            try:
                return [calls[0]()]
            except PeerError:
                self._ended.add(0)
                raise
        self._pool = self._pool or ThreadPoolExecutor(len(calls))
        waiting = [self._pool.submit(call) for call in calls]
        for number, one in enumerate(waiting):
            error = one.exception()
            if isinstance(error, PeerError):
                self._ended.add(number)
        for session, one in zip(self._sessions, waiting, strict=True):
            error = one.exception()
            if isinstance(error, SecureGBMError):
                raise type(error)(f"{session.name}: {error}") from error
            if error is not None:
                raise error
        return [one.result() for one in waiting]

    def _each(self, name: str, *given: Any) -> list[Any]:
        return self.together([partial(getattr(session, name), *given) for session in self._sessions])

    def greet(self) -> int:
        """Begin or continue the run with all; how many trees every party holds.

        Raises:
            SecureGBMError: If one refuses, or if its trees are not the partners of ours.
        """
        while True:
            self._ended.clear()
            held = self._each("greet")
            if min(held) == max(held):
                ciphers: Ciphers = {}
                for session in self._sessions:
                    session.make_keys(ciphers)
                self._each("send_keys")
                return min(held)
            self._store.truncate(min(held))  # only where a roll-back was asked for: else the session has refused

    def begin(self, tree: int, sampled: Flags) -> None:
        """Announce a tree to all."""
        self._each("begin", tree, sampled)

    def columns(self, own: OwnColumns, tree: int, sampled: npt.NDArray[Any], n_rows: int) -> JointColumns:
        """All parties' columns for the tree that was begun."""
        theirs = [session.columns(own, tree, sampled, n_rows) for session in self._sessions]
        request = partial(Request, own, sampled, n_rows, self._hides)
        return JointColumns(own, theirs, [width for _, width in self.widths], self.together, request)

    def commit(self, tree: int) -> bytes:
        """Let all store their splits of the tree; the transcripts that they keep with it, one after the other."""
        return b"".join(self._each("commit", tree))

    def finish(self, kept: int) -> None:
        """Say how many trees are kept."""
        self._each("finish", kept)

    def abort(self, reason: str) -> None:
        """Tell everybody who has not ended the session himself why the run ends here; who hangs is not waited for."""
        told = [number for number in range(len(self._sessions)) if number not in self._ended]
        threads = [Thread(target=self._sessions[number].abort, args=(reason,), daemon=True) for number in told]
        for thread in threads:
            thread.start()
        last = time.monotonic() + FAREWELL
        for thread in threads:
            thread.join(max(0.0, last - time.monotonic()))

    def close(self) -> None:
        """End threads and worker processes; a call that an interruption left unanswered ends with its channel."""
        for session in self._sessions:
            session.close()
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None
