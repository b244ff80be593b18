"""How encoded messages reach the feature party: `call` sends one and returns the answer."""

import contextlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from securegbm.errors import PeerError, ProtocolError, SecureGBMError, SessionLostError
from securegbm.wire.messages import Endpoint, Kind, Log, Message, session_of
from securegbm.wire.schema import REPLIES, check


class Channel(Protocol):
    """A way to the feature party."""

    def call(self, data: bytes) -> bytes:
        """Send one encoded request, return the encoded reply."""
        ...


class Party(Protocol):
    """Whatever answers encoded messages."""

    def handle(self, data: bytes) -> bytes:
        """Answer one."""
        ...

    def limit(self) -> int:
        """Bytes of the longest message that is read now."""
        ...

    def oversized(self) -> bytes:
        """The answer to a longer one."""
        ...

    def in_session(self) -> bool:
        """Whether the other party is about to ask again."""
        ...

    def farewell(self) -> bytes:
        """The answer to everything once this party is interrupted."""
        ...


LEAVES = "it was interrupted there; start both parties again, and a training goes on after its last whole tree"
"""What a feature party that is interrupted says."""


@dataclass
class LocalChannel:
    """Both parties in one process, with the same bytes as over the network.

    Args:
        party: The feature party.
        record: Keep every message in `sent` and `received`.
    """

    party: Party
    record: bool = False
    sent: list[bytes] = field(default_factory=list)
    received: list[bytes] = field(default_factory=list)

    def call(self, data: bytes) -> bytes:
        """Hand the message over."""
        reply = self.party.handle(data)
        if self.record:
            self.sent.append(data)
            self.received.append(reply)
        return reply


@dataclass(frozen=True)
class Partner:
    """The way to one feature party.

    Args:
        channel: The way itself.
        key: Secret shared with it.
        name: What it is called in sentences and importances.
        log: Called with every message.
        parties: What names both parties' keys; a run is bound to it.
    """

    channel: Channel
    key: bytes = b""
    name: str = "feature party"
    log: Log | None = None
    parties: str = ""

    def talk(self, run: bytes) -> "Conversation":
        """A conversation about a run."""
        return Conversation(self.channel, run, self.key, self.log)


Partners = Channel | Sequence[Partner]
"""One channel, or several partners."""


def partners_of(channel: Partners, key: bytes, log: Log | None, parties: str = "") -> list[Partner]:
    """The partners that are meant.

    Raises:
        SecureGBMError: If there is none, or two have one name.
    """
    if not isinstance(channel, Sequence):
        return [Partner(channel, key, log=log, parties=parties)]
    names = [partner.name for partner in channel]
    if not names or len(set(names)) < len(names):
        raise SecureGBMError(f"the feature parties are called {', '.join(names) or 'nothing'}; give each a name of its own")
    return list(channel)


class Conversation:
    """Questions and answers over a channel, with digests, transcript and byte counts.

    Args:
        channel: The way to the other party.
        run: The run's 16 bytes (or a name, from which they are made).
        key: Shared secret.
        log: Called with every message.
    """

    def __init__(self, channel: Channel, run: bytes | str, key: bytes = b"", log: Log | None = None) -> None:
        self._channel, self._session = channel, session_of(run) if isinstance(run, str) else run
        self._endpoint = Endpoint(key, log)
        self.bytes_sent = self.bytes_received = 0

    def ask(
        self,
        kind: Kind,
        tree: int = -1,
        node: int = -1,
        fields: dict[str, Any] | None = None,
        parts: list[bytes] | None = None,
    ) -> Message:
        """Send a request and check its answer.

        Raises:
            SessionLostError: If the other party has lost the session.
            PeerError: If it refused.
            ProtocolError: If its answer does not fit.
        """
        if kind == Kind.HELLO:
            self._endpoint.restart()
            fields = (fields or {}) | {"nonce": secrets.token_hex(16)}
        data = self._endpoint.encode(Message(kind, self._session, tree, node, fields or {}, parts or []))
        answer = self._channel.call(data)
        self.bytes_sent += len(data)
        self.bytes_received += len(answer)
        reply = self._endpoint.decode(answer)
        check(reply, REPLIES)
        if reply.kind == Kind.ABORT:
            reason = f"the feature party ended the session: {reply.fields.get('reason')}"
            raise (SessionLostError if reply.fields.get("lost") else PeerError)(reason)
        if (reply.kind, reply.tree, reply.node, reply.session) != (kind, tree, node, self._session):
            raise ProtocolError("the feature party answered another question; the session ends")
        return reply

    @property
    def transcript(self) -> bytes:
        """Of everything said so far."""
        return self._endpoint.transcript

    def abort(self, reason: str) -> None:
        """Tell the other party why this one ends the session; nothing happens if it cannot be told."""
        with contextlib.suppress(SecureGBMError):
            self._channel.call(self._endpoint.encode(Message(Kind.ABORT, self._session, fields={"reason": reason})))
