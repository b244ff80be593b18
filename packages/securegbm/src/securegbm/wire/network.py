"""The protocol over gRPC: mutual TLS with pinned certificates, chunks of one mebibyte, deadlines, retries."""

import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from typing import Any

import grpc

from securegbm.errors import SecureGBMError, UnreachableError
from securegbm.wire.certificates import Identity, check_dates, fingerprint, host_name
from securegbm.wire.channel import Party

CHUNK = 1 << 20
METHOD = "Exchange"
SERVICE = "securegbm.FeatureParty"
MAX_MESSAGE = 1 << 33
_OPTIONS = [
    ("grpc.max_receive_message_length", 2 * CHUNK),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 1000),  # a server cuts calls that ping more often: long ones do
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.so_reuseport", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
]
FIRST_BYTES, SLOWEST = 30.0, 32_768
"""A message that is being sent must not fall behind 30 seconds + its bytes at 32 KiB a second."""
FAREWELL = 5.0
"""Seconds for which a feature party that is interrupted waits for its partner's next call, to answer that it leaves."""
_LOOPBACK = ("127.0.0.1:", "localhost:", "[::1]:")


class OversizedError(SecureGBMError):
    """A message says that it is longer than what was agreed needs."""


def to_chunks(data: bytes) -> Iterator[bytes]:
    """A message as its length and pieces of at most one mebibyte."""
    yield struct.pack("<Q", len(data)) + data[: CHUNK - 8]
    for start in range(CHUNK - 8, len(data), CHUNK):
        yield data[start : start + CHUNK]


def from_chunks(
    chunks: Iterable[bytes], limit: int = MAX_MESSAGE, heard: Callable[[int], None] = lambda size: None
) -> bytes:
    """The message again.

    Args:
        chunks: Its pieces.
        limit: Bytes it may have.
        heard: Called with the bytes so far.

    Raises:
        SecureGBMError: If it is longer than `limit`, or cut.
    """
    out = bytearray()
    expected = -1
    for chunk in chunks:
        if expected < 0:
            if len(chunk) < 8:
                raise SecureGBMError("what arrived is not a SecureGBM message; check the address of the other party")
            (expected,) = struct.unpack_from("<Q", chunk)
            chunk = chunk[8:]
            if expected > limit:
                raise OversizedError(f"a message of {expected} bytes is longer than the {limit} allowed")
        out += chunk
        heard(len(out))
        if len(out) > expected:
            break
    if len(out) != expected:
        raise SecureGBMError("a message was cut on its way; it is sent again")
    return bytes(out)


def _refuse_plaintext(address: str, insecure_loopback: bool) -> None:
    if not insecure_loopback:
        raise SecureGBMError(
            "without certificates nothing is served or called; run `securegbm certs`, or pass "
            "--insecure-loopback for a trial on this machine"
        )
    if not address.startswith(_LOOPBACK):
        raise SecureGBMError(f"--insecure-loopback is for this machine only, not for {address}; use certificates")


class _Reading:
    """One call that is being read: it is cancelled when it falls behind, or when its sender begins a newer one."""

    def __init__(self, context: grpc.ServicerContext) -> None:
        self._context, self._begun, self._size = context, time.monotonic(), 0

    def heard(self, size: int) -> None:
        """So many bytes have arrived."""
        self._size = size

    def is_late(self) -> bool:
        """Whether it has fallen behind."""
        return time.monotonic() - self._begun > FIRST_BYTES + self._size / SLOWEST

    def cancel(self) -> None:
        """End it; its memory goes with it."""
        self._context.cancel()


class Server:
    """Serves a feature party; a context that stops when it ends.

    Ctrl-C is told to the partner, who would wait for a restart otherwise. SIGTERM is not: it comes from what restarts
    this process (a supervisor, a container's host), and the partner waits for that.

    Args:
        party: Who answers.
        address: `host:port`; port 0 picks a free one.
        identity: Certificates; none serves in plaintext, which only the loopback address may.
        insecure_loopback: Permit that.
        tell: Called with one sentence whenever somebody is turned away. (Who does not get through TLS never gets here:
            gRPC refuses him without a word to this side.)
    """

    def __init__(
        self,
        party: Party,
        address: str,
        identity: Identity | None = None,
        insecure_loopback: bool = False,
        tell: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        self._party, self._tell = party, tell
        self._pinned = fingerprint(identity.peer) if identity else None
        self._reading: set[_Reading] = set()
        self._calls: set[grpc.ServicerContext] = set()
        self._lock, self._stopped = threading.Lock(), threading.Event()
        self._leaving, self._told = threading.Event(), threading.Event()
        handler = grpc.method_handlers_generic_handler(
            SERVICE, {METHOD: grpc.stream_stream_rpc_method_handler(self._exchange)}
        )
        self._server = grpc.server(futures.ThreadPoolExecutor(4), options=_OPTIONS, handlers=[handler])
        try:
            if identity is None:
                _refuse_plaintext(address, insecure_loopback)
                self.port = self._server.add_insecure_port(address)
            else:
                credentials = grpc.ssl_server_credentials(
                    [(identity.private_key, identity.certificate)], identity.peer, require_client_auth=True
                )
                self.port = self._server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise SecureGBMError(f"cannot listen on {address}; choose a free port") from error
        self._server.start()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while not self._stopped.wait(0.2):
            with self._lock:
                late = [reading for reading in self._reading if reading.is_late()]
            for reading in late:
                reading.cancel()

    def _exchange(self, chunks: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        if self._pinned is not None:
            shown = bytes(next(iter(context.auth_context().get("x509_pem_cert", [])), b""))
            if not shown or fingerprint(shown) != self._pinned:
                self._tell("a caller showed a certificate that is not the pinned one and was turned away")
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "this certificate is not the pinned one")
        with self._lock:
            self._calls.add(context)
        try:
            if not self._leaving.is_set():
                yield from self._answer(chunks, context)
            else:
                yield from to_chunks(self._party.farewell())
                self._told.set()
        finally:
            with self._lock:
                self._calls.discard(context)

    def _answer(self, chunks: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        reading = _Reading(context)
        with self._lock:  # the label party waits for every answer: of two unfinished calls the older one is dead
            older, self._reading = self._reading, {reading}
        for dead in older:
            dead.cancel()
        try:
            data = from_chunks(chunks, self._party.limit(), reading.heard)
        except OversizedError:
            yield from to_chunks(self._party.oversized())
            return
        except SecureGBMError as error:
            self._tell(str(error))
            context.abort(grpc.StatusCode.DATA_LOSS, str(error))
            return
        except grpc.RpcError:
            return
        finally:
            with self._lock:
                self._reading.discard(reading)
        yield from to_chunks(self._party.handle(data))

    def wait(self) -> None:
        """Serve until stopped."""
        self._server.wait_for_termination()

    def leave(self) -> None:
        """Answer open calls with the party's farewell, or the next one where a run is open; `FAREWELL` seconds at most."""
        self._leaving.set()
        with self._lock:
            calls = list(self._calls)
        for call in calls:
            call.cancel()  # whose sender asks again
        if calls or self._party.in_session():
            self._told.wait(FAREWELL)
        self._server.stop(1.0).wait()

    def stop(self) -> None:
        """End at once."""
        self._stopped.set()
        self._server.stop(None).wait()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is KeyboardInterrupt:
                self.leave()
        finally:
            self.stop()


class NetworkChannel:
    """Reaches a feature party over gRPC; a call that fails on the way is repeated with the same bytes.

    Args:
        address: `host:port`.
        identity: Certificates; none speaks plaintext, which only the loopback address may.
        insecure_loopback: Permit that.
        deadline: Seconds a call may take.
        patience: Seconds to keep trying after the other party could not be reached.
    """

    def __init__(
        self,
        address: str,
        identity: Identity | None = None,
        insecure_loopback: bool = False,
        deadline: float = 600.0,
        patience: float = 60.0,
    ) -> None:
        self._address, self._deadline, self._patience, self._identity = address, deadline, patience, identity
        self._met = self._closed = False
        if identity is None:
            _refuse_plaintext(address, insecure_loopback)
            self._channel = grpc.insecure_channel(address, options=_OPTIONS)
        else:
            credentials = grpc.ssl_channel_credentials(identity.peer, identity.private_key, identity.certificate)
            named: list[tuple[str, Any]] = [*_OPTIONS, ("grpc.ssl_target_name_override", host_name(identity.peer))]
            self._channel = grpc.secure_channel(address, credentials, options=named)
        self._call = self._channel.stream_stream(f"/{SERVICE}/{METHOD}")

    def call(self, data: bytes) -> bytes:
        """Send one request, return the reply; whatever may heal is waited for.

        Raises:
            UnreachableError: If the other party cannot be reached, is not the pinned one, or takes too long.
        """
        give_up, pause = float("inf"), 0.05
        while not self._closed:
            try:
                answer = from_chunks(self._call(to_chunks(data), timeout=self._deadline))
                self._met = True
                return answer
            except grpc.RpcError as error:
                code, details = error.code(), str(error.details())  # type: ignore[attr-defined]
                give_up = min(give_up, time.monotonic() + self._patience)
                if code not in _MAY_HEAL or self._is_stranger(details) or time.monotonic() > give_up:
                    raise UnreachableError(self._cause(code, details)) from error
            except SecureGBMError as error:
                give_up = min(give_up, time.monotonic() + self._patience)
                if isinstance(error, OversizedError) or time.monotonic() > give_up:
                    raise UnreachableError(f"{self._address}: {error}") from error
            time.sleep(pause)
            pause = min(1.0, 2 * pause)
        raise UnreachableError(f"the connection to {self._address} was closed on this side")

    def _is_stranger(self, details: str) -> bool:
        """Whether the other end showed a certificate that is not the expected one; nothing heals that."""
        return not self._met and "CERTIFICATE_VERIFY_FAILED" in details

    def _cause(self, code: grpc.StatusCode, details: str) -> str:
        """Why a call failed for good, in one sentence that says what to do."""
        where, again = self._address, "try again; a training continues after the last whole tree"
        if code == grpc.StatusCode.DEADLINE_EXCEEDED:
            return f"{where} did not answer within {self._deadline:.0f} s; raise the deadline, or {again}"
        for pem, whose in ((self._identity.certificate, "ours"), (self._identity.peer, "theirs")) if self._identity else ():
            try:
                check_dates(pem, f"the certificate ({whose})")
            except SecureGBMError as error:
                return f"{where} cannot be reached: {error}"
        if code == grpc.StatusCode.UNAUTHENTICATED:
            return f"{where} refuses us: {details}; exchange .crt files"
        if self._is_stranger(details):
            return f"{where} could not be authenticated (its certificate is not the one we hold): exchange .crt files again"
        if code == grpc.StatusCode.UNKNOWN:
            return f"the feature party at {where} failed (its terminal says why); start it and {again}"
        if code in _MAY_HEAL and self._met:
            return f"{where} cannot be reached any more; start the feature party, then {again}"
        if code in _MAY_HEAL:
            return (
                f"{where} cannot be reached or does not accept our certificate; start the feature party, check both .crt "
                f"files and any proxy on the way, then {again}"
            )
        return f"{where} is no feature party or stands behind something that does not pass gRPC on ({code.name})"

    def close(self) -> None:
        """Let go of the connection; calls that wait for an answer end."""
        self._closed = True
        self._channel.close()


_MAY_HEAL = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DATA_LOSS,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
)
"""What a proxy, a broken line or a restart may cause; anything else stays as it is."""
