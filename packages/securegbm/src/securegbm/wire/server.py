"""Serving a feature party over gRPC: who may call, what becomes of calls that fall behind, and a farewell."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures

import grpc

from securegbm.errors import SecureGBMError
from securegbm.wire.certificates import Identity, fingerprint
from securegbm.wire.channel import Party
from securegbm.wire.network import METHOD, OPTIONS, SERVICE, OversizedError, from_chunks, refuse_plaintext, to_chunks

FIRST_BYTES, SLOWEST = 30.0, 32_768
"""A message that is being sent must not fall behind 30 seconds + its bytes at 32 KiB a second."""
FAREWELL = 5.0
"""Seconds for which a feature party that is interrupted waits for its partner's next call, to answer that it leaves."""


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
        self._server = grpc.server(futures.ThreadPoolExecutor(4), options=OPTIONS, handlers=[handler])
        try:
            if identity is None:
                refuse_plaintext(address, insecure_loopback)
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
