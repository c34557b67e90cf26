"""A server on loopback that keeps what it is sent, and answers as it is told."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Office:
    """Keeps what it is sent, and answers as it is told."""

    url: str = ""
    got: list[tuple[str, str, Any]] = field(default_factory=list)
    """Method, target and body of every call: decoded where it is JSON."""
    headers: list[dict[str, str]] = field(default_factory=list)
    answers: list[tuple[int, bytes, dict[str, str]]] = field(default_factory=list)
    """Status, body and headers of the next answers; 200 and `ok` once they are used up."""
    open: threading.Event = field(default_factory=threading.Event)
    """Whether it answers at all."""


@contextmanager
def opened() -> Iterator[Office]:
    """Return a server that runs until the end of the block."""
    made = Office()
    made.open.set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # an answer is two writes, and would wait 40 ms for the first one's receipt

        def _serve(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            made.got.append((self.command, self.path, _decoded(sent)))
            made.headers.append(dict(self.headers.items()))
            made.open.wait(30)
            status, body, headers = made.answers.pop(0) if made.answers else (200, b"ok", {})
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = do_DELETE = _serve  # noqa: N815 -- http.server's names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True  # one that is told not to answer may be waiting
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield made
    finally:
        made.open.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _decoded(sent: bytes) -> Any:
    try:
        return json.loads(sent)
    except ValueError:
        return sent
