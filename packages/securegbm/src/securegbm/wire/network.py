"""The protocol over gRPC: mutual TLS with pinned certificates, chunks of one mebibyte, deadlines, retries."""

import struct
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import grpc

from securegbm.errors import SecureGBMError, UnreachableError
from securegbm.wire.certificates import Identity, check_dates, host_name

CHUNK = 1 << 20
METHOD = "Exchange"
SERVICE = "securegbm.FeatureParty"
MAX_MESSAGE = 1 << 33
OPTIONS = [
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


def refuse_plaintext(address: str, insecure_loopback: bool) -> None:
    """Permit no connection without certificates but on the loopback address, where that was asked for.

    Raises:
        SecureGBMError: If it was not, or on another address.
    """
    if not insecure_loopback:
        raise SecureGBMError(
            "without certificates nothing is served or called; run `securegbm certs`, or pass "
            "--insecure-loopback for a trial on this machine"
        )
    if not address.startswith(_LOOPBACK):
        raise SecureGBMError(f"--insecure-loopback is for this machine only, not for {address}; use certificates")


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
            refuse_plaintext(address, insecure_loopback)
            self._channel = grpc.insecure_channel(address, options=OPTIONS)
        else:
            credentials = grpc.ssl_channel_credentials(identity.peer, identity.private_key, identity.certificate)
            named: list[tuple[str, Any]] = [*OPTIONS, ("grpc.ssl_target_name_override", host_name(identity.peer))]
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
