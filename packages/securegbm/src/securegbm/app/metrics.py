"""Counters of a party in Prometheus' text form, on the loopback address only: sizes and counts, nothing of any row."""

import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from securegbm.errors import SecureGBMError
from securegbm.wire.messages import Kind, Log, Message


class Metrics:
    """Counts messages on their way to logs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._messages: Counter[tuple[str, str]] = Counter()
        self._bytes: Counter[str] = Counter()
        self._trees = 0

    def counting(self, log: Log) -> Log:
        """A log that counts what goes on to `log`."""

        def counted(direction: str, message: Message, size: int, transcript: bytes) -> None:
            self._count(direction, message, size)
            log(direction, message, size, transcript)

        return counted

    def _count(self, direction: str, message: Message, size: int) -> None:
        with self._lock:
            self._messages[message.kind.name, direction] += 1
            self._bytes[direction] += size
            self._trees += message.kind == Kind.COMMIT and direction == "sent"

    def text(self) -> str:
        """All counters."""
        with self._lock:
            lines = ["# TYPE securegbm_messages_total counter"]
            lines += [f'securegbm_messages_total{{kind="{kind}",direction="{way}"}} {count}'
                      for (kind, way), count in sorted(self._messages.items())]  # fmt: skip
            lines.append("# TYPE securegbm_bytes_total counter")
            lines += [f'securegbm_bytes_total{{direction="{way}"}} {count}' for way, count in sorted(self._bytes.items())]
            lines += ["# TYPE securegbm_trees_committed_total counter", f"securegbm_trees_committed_total {self._trees}"]
        return "\n".join(lines) + "\n"


class MetricsServer(ThreadingHTTPServer):
    """Serves `GET /metrics` in a thread of its own.

    Args:
        address: `host:port` on the loopback address; port 0 picks a free one.
        metrics: What is served.

    Raises:
        SecureGBMError: If the address is not on this machine, or taken.
    """

    daemon_threads = True

    def __init__(self, address: str, metrics: Metrics) -> None:
        host, _, port = address.rpartition(":")
        if host not in ("127.0.0.1", "localhost") or not port.isdigit():
            raise SecureGBMError(f"--metrics {address!r} is not on this machine; give 127.0.0.1:PORT")
        self.metrics = metrics
        try:
            super().__init__((host, int(port)), _Handler)
        except OSError as error:
            raise SecureGBMError(f"cannot listen on {address}; choose a free port") from error
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    timeout = 10

    def do_GET(self) -> None:
        server: Any = self.server
        found = self.path == "/metrics"
        body = server.metrics.text().encode() if found else b"the only address is /metrics\n"
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged."""
