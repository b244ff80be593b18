"""The messages of the protocol: one binary form, a keyed digest, a running transcript hash at both ends.

`digest = HMAC(key, header, transcript, body)` and after every request and reply `transcript = SHA-256(transcript,
digest)`; a message that was changed, repeated, dropped or moved does not fit the receiver's transcript and ends the
session. A request whose digest equals the last one is a retry and gets the same answer again.
"""

import dataclasses
import hashlib
import hmac
import json
import secrets
import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from securegbm.errors import ForgedError, ProtocolError, SecureGBMError

VERSION = 1
_HEAD = struct.Struct("<4sHH16siiQQ")
_SIZE = _HEAD.size + 64
_START = bytes(32)


class Kind(IntEnum):
    """What a message is about; requests come from the label party, replies have the same kind."""

    HELLO = 1
    KEYS = 2
    TREE = 3
    SUMS = 4
    SPLIT = 5
    COMMIT = 6
    FINISH = 7
    EVALUATE = 8
    ABORT = 9
    OPEN = 10
    ALIGN = 11


@dataclass(frozen=True)
class Message:
    """One request or reply.

    Args:
        kind: What it is about.
        session: 16 bytes that name the run.
        tree: Tree index or -1.
        node: Node index or -1.
        fields: Small values, JSON.
        parts: Binary payloads (ciphertexts, bit vectors).
        transcript: Of everything said before a message that arrived; the receiver has checked that it is its own.
    """

    kind: Kind
    session: bytes
    tree: int = -1
    node: int = -1
    fields: dict[str, Any] = dataclasses.field(default_factory=dict)
    parts: list[bytes] = dataclasses.field(default_factory=list)
    transcript: bytes = b""

    def field(self, name: str) -> Any:
        """A field that must be there."""
        if name not in self.fields:
            raise ProtocolError(f"a {self.kind.name} message lacks the field {name!r}; update the other party's software")
        return self.fields[name]

    def part(self, number: int) -> bytes:
        """A part that must be there."""
        if number >= len(self.parts):
            raise ProtocolError(f"a {self.kind.name} message lacks its part {number}; update the other party's software")
        return self.parts[number]

    def body(self) -> list[bytes]:
        """Fields and parts, each with its length; pieces, because parts are large and copies cost time."""
        text = json.dumps(self.fields, sort_keys=True).encode()
        pieces = [struct.pack("<II", len(text), len(self.parts)), text]
        for part in self.parts:
            pieces += [struct.pack("<Q", len(part)), part]
        return pieces


def session_of(name: str) -> bytes:
    """16 bytes for a run that a test or an example names; real runs draw theirs (`new_run`)."""
    return hashlib.sha256(b"securegbm job " + name.encode()).digest()[:16]


def new_run() -> bytes:
    """A fresh run id: 16 random bytes, which name the run in every message of training, resuming and predicting."""
    return secrets.token_bytes(16)


def _parse(head: tuple[Any, ...], body: memoryview) -> Message:
    _magic, _version, kind, session, tree, node, _seq, _size = head
    length, count = struct.unpack_from("<II", body)
    at = 8 + length
    fields = json.loads(bytes(body[8:at]))
    parts = []
    for _ in range(count):
        (size,) = struct.unpack_from("<Q", body, at)
        at += 8
        if at + size > len(body):
            raise ValueError("a part is longer than the message")
        parts.append(bytes(body[at : at + size]))
        at += size
    if at != len(body) or not isinstance(fields, dict):
        raise ValueError("its length or its fields are wrong")
    return Message(Kind(kind), session, tree, node, fields, parts)


def peek(data: bytes) -> tuple[Kind, int, int]:
    """Kind, tree and node of an encoded message, unchecked."""
    _magic, _version, kind, _session, tree, node, _seq, _size = _HEAD.unpack_from(data)
    return Kind(kind), tree, node


Log = Callable[[str, Message, int, bytes], None]
"""Called with `sent` or `received`, the message, its bytes, and the transcript after it."""


class Endpoint:
    """One end of a conversation: numbers, signs and checks messages.

    Args:
        key: Secret both parties hold; it makes the digest an authentication.
        log: Called with every message.
    """

    def __init__(self, key: bytes = b"", log: Log | None = None) -> None:
        self._key = key
        self._log = log
        self.restart()

    def restart(self) -> None:
        """Begin a new conversation (a greeting does)."""
        self.transcript = _START
        self._sequence = 0

    @staticmethod
    def head_of(data: bytes) -> tuple[int, bytes]:
        """Number and transcript that an encoded message claims."""
        return int(_HEAD.unpack_from(data)[6]), data[_HEAD.size + 32 : _SIZE]

    def stand(self, number: int, transcript: bytes) -> None:
        """Go on as if everything up to a message had been heard (tests, fuzzing)."""
        self._sequence, self.transcript = number, transcript

    def _digest(self, *pieces: bytes | memoryview) -> bytes:
        found = hmac.new(self._key, digestmod="sha256")
        for piece in pieces:
            found.update(piece)
        return found.digest()

    def _advance(self, digest: bytes) -> None:
        self.transcript = hashlib.sha256(self.transcript + digest).digest()
        self._sequence += 1

    def encode(self, message: Message) -> bytes:
        """The bytes of a message; the transcript advances (an abort stands outside of it)."""
        body = message.body()
        outside = message.kind == Kind.ABORT
        transcript = _START if outside else self.transcript
        size = sum(map(len, body))
        head = _HEAD.pack(b"SGBM", VERSION, message.kind, message.session, message.tree, message.node, self._sequence, size)
        digest = self._digest(head, transcript, *body)
        if not outside:
            self._advance(digest)
        data = b"".join([head, digest, transcript, *body])
        if self._log:
            try:
                self._log("sent", message, len(data), self.transcript)
            except SecureGBMError:
                if not outside:
                    raise  # but a full disk must not silence an abort
        return data

    def decode(self, data: bytes) -> Message:
        """Check and read a message.

        Raises:
            ProtocolError: If it was changed, repeated, moved, cut, or made by another version.
        """
        if len(data) < _SIZE or data[:4] != b"SGBM":
            raise ProtocolError("what arrived is not a SecureGBM message; check the address of the other party")
        head = _HEAD.unpack_from(data)
        if head[1] != VERSION:
            raise ProtocolError(f"the other party speaks protocol version {head[1]}, this one {VERSION}; update one")
        digest, transcript = data[_HEAD.size : _HEAD.size + 32], data[_HEAD.size + 32 : _SIZE]
        body = memoryview(data)[_SIZE:]
        if not hmac.compare_digest(self._digest(data[: _HEAD.size], transcript, body), digest):
            raise ForgedError(
                "a message was changed on its way, or the parties' shared secrets differ; the session ends, start "
                "again to continue after the last whole tree"
            )
        try:
            message = _parse(head, body)
        except (ValueError, struct.error, RecursionError) as error:
            raise ProtocolError("a message is malformed; the session ends") from error
        if message.kind != Kind.ABORT:
            if message.kind == Kind.HELLO and head[6] == 0:
                self.restart()
            if transcript != self.transcript or head[6] != self._sequence:
                raise ProtocolError(
                    "a message was repeated, lost or moved; the session ends, start again to continue after the last "
                    "whole tree"
                )
            self._advance(digest)
            message = dataclasses.replace(message, transcript=transcript)
        if self._log:
            self._log("received", message, len(data), self.transcript)
        return message


def digest_of(data: bytes) -> bytes:
    """The digest an encoded message carries."""
    return data[_HEAD.size : _HEAD.size + 32]
