"""The label party's scoring service: JSON over HTTP, one round trip to the feature party per request."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from securegbm.errors import SecureGBMError, UnreachableError
from securegbm.label_party.predict import Predictor
from securegbm.tables.encode import Rule, apply
from securegbm.tables.table import Table

MAX_BODY = 1 << 24


def score(predictor: Predictor, request: dict[str, Any]) -> dict[str, Any]:
    """Answer one request.

    Args:
        predictor: Both halves.
        request: `{"rows": [{"id": ..., "values": {column: number or null}}, ...]}`; columns left out are missing.

    Returns:
        `{"predictions": [...]}`, one number per row, or one list of class probabilities per row; with
        `"incomplete": [...]`, the positions of rows that the feature party does not know, when there are any.

    Raises:
        SecureGBMError: If the request does not fit.
    """
    names = predictor.half.names
    try:
        rows = request["rows"]
        ids = [str(row["id"]) for row in rows]
        unknown = {name for row in rows for name in row["values"]} - set(names)
        values = [[row["values"].get(name) for name in names] for row in rows]
        rules = predictor.half.rules
        array = _encode(values, names, rules)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SecureGBMError('send {"rows": [{"id": ..., "values": {column: number or null}}]}') from error
    if unknown:
        raise SecureGBMError(f"unknown column {sorted(unknown)[0]!r}; the model has {', '.join(names)}")
    found = predictor.predict(Table(array.reshape(len(rows), len(names)), names, tuple(ids), rules))
    answer: dict[str, Any] = {"predictions": found[0].tolist() if len(found) == 1 else found.T.tolist()}
    if not predictor.known.all():
        answer["incomplete"] = np.flatnonzero(~predictor.known).tolist()
    return answer


def _encode(values: list[list[Any]], names: tuple[str, ...], rules: dict[str, Rule]) -> Any:
    """Values as numbers, text by the rules of training."""
    import pandas

    out = np.empty((len(values), len(names)))
    for column, name in enumerate(names):
        held = [row[column] for row in values]
        if name in rules:
            out[:, column] = apply(pandas.Series(held, dtype=object), rules[name], f"column {name!r}")
        else:
            out[:, column] = [np.nan if value is None else float(value) for value in held]
    return out


class ScoringServer(ThreadingHTTPServer):
    """Serves `POST /score`.

    Args:
        address: Host and port (0: a free one).
        predictor: Both halves; used by one request at a time.
    """

    daemon_threads = True

    def __init__(self, address: tuple[str, int], predictor: Predictor) -> None:
        self.predictor, self.turn = predictor, threading.Lock()
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    timeout = 10  # seconds of silence after which a connection is closed

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if self.path != "/score":
            self._answer(404, {"error": "the only address is /score"})
        elif not length.isdecimal():
            self._answer(411, {"error": "say the length of the request in Content-Length"})
        elif int(length) > MAX_BODY:
            self._answer(413, {"error": f"a request of {length} bytes is longer than the {MAX_BODY} allowed"})
        else:
            self._answer(*self._score(self.rfile.read(int(length))))

    def _score(self, body: bytes) -> tuple[int, dict[str, Any]]:
        scoring: Any = self.server
        try:
            request = json.loads(body)
            with scoring.turn:
                return 200, score(scoring.predictor, request)
        except UnreachableError as error:
            return 503, {"error": str(error)}
        except ValueError as error:
            return 400, {"error": str(error)}

    def _answer(self, code: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests hold personal data; nothing is logged."""
