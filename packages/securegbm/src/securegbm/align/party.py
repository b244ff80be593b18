"""The alignment of two id lists over the parties' authenticated channel (see `crypto.intersection`)."""

import threading
import unicodedata
from collections.abc import Callable

from securegbm.align.intersection import POINT, Masker, OwnIds
from securegbm.errors import ProtocolError, SecureGBMError
from securegbm.wire.channel import LEAVES, Channel, Conversation
from securegbm.wire.messages import Endpoint, Kind, Log, Message, new_run
from securegbm.wire.schema import REQUESTS, check


def canonical(ids: list[str], fold_case: bool = False) -> list[str]:
    """Ids as both parties write them: without surrounding blanks, in Unicode's composed compatible form.

    Args:
        ids: As they stand in the file.
        fold_case: Upper and lower case are the same.

    Raises:
        SecureGBMError: If two ids become one, with both of their places.
    """
    found = [unicodedata.normalize("NFKC", text).strip() for text in ids]
    found = [text.casefold() for text in found] if fold_case else found
    first: dict[str, int] = {}
    for row, text in enumerate(found, 1):
        if text in first:
            raise SecureGBMError(
                f"the id {text!r} stands in rows {first[text]} and {row}; keep one row per id, or tell the ids apart"
            )
        first[text] = row
    return found


class AlignParty:
    """The feature party of an alignment; it answers once.

    Args:
        ids: Its canonical ids.
        key: Secret shared with the label party.
        multiple: Round the number of ids that is shown up to a multiple of this.
        most: Most ids the label party may send.
        log: Called with every message.
        tell: Called with one sentence whenever something is refused.
        fold_case: Whether upper and lower case were made the same; the label party must have done likewise.
    """

    def __init__(
        self, ids: list[str], key: bytes, multiple: int = 1, most: int = 10_000_000, log: Log | None = None,
        tell: Callable[[str], None] = lambda sentence: None, fold_case: bool = False,
    ) -> None:  # fmt: skip
        self._fold_case = fold_case
        self._own, self._masker, self._most, self._tell = OwnIds(ids, multiple), Masker(), most, tell
        self._endpoint, self._lock = Endpoint(key, log), threading.Lock()
        self._theirs = b""
        self._last: tuple[bytes, bytes] = (b"", b"")
        self.common: list[int] | None = None
        self.done = threading.Event()

    def limit(self) -> int:
        """Bytes of the longest message."""
        return 65536 + POINT * (self._most + len(self._own.points) // POINT)

    def oversized(self) -> bytes:
        """The answer to a longer one."""
        return self._refuse(bytes(16), f"more than {self._most} ids were sent; the feature party accepts no more")

    def in_session(self) -> bool:
        """Whether the second question is still to come."""
        return bool(self._theirs) and self.common is None

    def farewell(self) -> bytes:
        """The answer to everything once this party is interrupted."""
        return self._endpoint.encode(Message(Kind.ABORT, bytes(16), fields={"reason": LEAVES, "lost": False}))

    def _refuse(self, session: bytes, reason: str) -> bytes:
        self._tell(reason)
        return self._endpoint.encode(Message(Kind.ABORT, session, fields={"reason": reason, "lost": False}))

    def handle(self, data: bytes) -> bytes:
        """Answer one message."""
        with self._lock:
            if data == self._last[0]:
                return self._last[1]
            session = bytes(16)
            try:
                message = self._endpoint.decode(data)
                session = message.session
                check(message, REQUESTS)
                reply = self._endpoint.encode(Message(message.kind, session, -1, message.node, {}, self._answer(message)))
            except SecureGBMError as error:
                return self._refuse(session, str(error))
            self._last = (data, reply)
            if self.common is not None:
                self.done.set()
            return reply

    def _answer(self, message: Message) -> list[bytes]:
        if message.kind == Kind.ALIGN and message.node == 0:
            if message.fields.get("fold_case", False) != self._fold_case:
                raise ProtocolError("upper and lower case of ids are the same at one party only; give --fold-case at both")
            if len(message.parts[0]) > POINT * self._most:
                raise ProtocolError(f"more than {self._most} ids were sent; the feature party accepts no more")
            self._theirs = self._masker.mask(message.parts[0])
            return [self._theirs, self._masker.mask(self._own.points)]
        if message.kind == Kind.ALIGN and message.node == 1 and self._theirs:
            self.common = self._own.common(message.parts[0], self._theirs)
            return [len(self.common).to_bytes(8, "little")]
        raise ProtocolError("the feature party aligns ids now and answers nothing else; start its `party-b serve`")


def align(
    ids: list[str], channel: Channel, key: bytes, multiple: int = 1, log: Log | None = None, fold_case: bool = False
) -> list[int]:
    """The label party of an alignment: positions of the common ids, in the order both parties share.

    Raises:
        SecureGBMError: If the other party refuses or both count differently.
    """
    own, masker, talk = OwnIds(ids, multiple), Masker(), Conversation(channel, new_run(), key, log)
    told = {"fold_case": True} if fold_case else {}  # a party of before this field answers who does not send it
    reply = talk.ask(Kind.ALIGN, node=0, fields=told, parts=[masker.mask(own.points)])
    masked, theirs = reply.part(0), masker.mask(reply.part(1))
    common = own.common(masked, theirs)
    counted = talk.ask(Kind.ALIGN, node=1, parts=[theirs]).part(0)
    if int.from_bytes(counted, "little") != len(common):
        raise ProtocolError("the parties found different numbers of common ids; start the alignment again on both sides")
    return common
