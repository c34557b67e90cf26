"""Where every case posts what it exports: a collector and a Datadog agent on loopback that take it and count spans."""

from __future__ import annotations

import gzip
import json
import threading
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterator

_SPANS = (1, 2, 2)
"""Field numbers from an ExportTraceServiceRequest down to its spans: resource, scope, span."""
_TRACES = "X-Datadog-Trace-Count"
_AGENT = {"version": "7.60.0", "endpoints": ["/v0.4/traces", "/v0.5/traces"], "client_drop_p0s": False}
"""What an agent says of itself at `/info`."""


class Answers(Enum):
    """What becomes of a post."""

    TAKEN = "taken"
    NOTHING = "nothing"
    """It is read, and never answered."""


class Sink:
    """A server in threads of its own, from `with` to its end."""

    def __init__(self, answers: Answers = Answers.TAKEN) -> None:
        self.spans = 0
        """Spans posted by OTLP, and traces posted in Datadog's way."""
        self.posts = 0
        self._lock = threading.Lock()
        self._ended = threading.Event()
        sink = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 600

            def do_GET(self) -> None:
                self._answer(json.dumps(_AGENT).encode() if self.path == "/info" else b"{}")

            def do_POST(self) -> None:
                sink._take(self.path, self.headers, _body(self))
                if answers is Answers.NOTHING:
                    sink._ended.wait()
                    self.close_connection = True
                else:
                    self._answer(b"{}" if "X-Datadog-Trace-Count" in self.headers else b"")

            def do_PUT(self) -> None:
                self.do_POST()

            def _answer(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_: object) -> None:
                """Say nothing: clients are killed."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()

    def _take(self, path: str, headers: Any, body: bytes) -> None:
        spans = int(headers.get(_TRACES, 0)) if path != "/v1/traces" else sum(1 for _ in _at(body, _SPANS))
        with self._lock:
            self.posts += 1
            self.spans += spans


def _body(handler: BaseHTTPRequestHandler) -> bytes:
    if "chunked" in handler.headers.get("Transfer-Encoding", ""):
        parts = []
        while size := int(handler.rfile.readline().partition(b";")[0], 16):
            parts.append(handler.rfile.read(size))
            handler.rfile.readline()
        handler.rfile.readline()
        return b"".join(parts)
    body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
    return gzip.decompress(body) if handler.headers.get("Content-Encoding") == "gzip" else body


def _at(message: bytes, numbers: tuple[int, ...]) -> Iterator[bytes]:
    """Yield the messages inside *message* at the path of field *numbers*."""
    for number, content in _fields(message):
        if number == numbers[0]:
            if len(numbers) == 1:
                yield content
            else:
                yield from _at(content, numbers[1:])


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the fields of a protobuf message that have a length, and pass over the others."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == 2:  # wire types, as protobuf numbers them
            size, at = _varint(message, at)
            yield tag >> 3, message[at : at + size]
            at += size
        elif kind == 0:
            _, at = _varint(message, at)
        else:
            at += {1: 8, 5: 4}[kind]


def _varint(message: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = message[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:  # the bit that says there is more
            return number, at
