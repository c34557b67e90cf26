"""A notice as rollouts tell it, and a server on loopback that keeps what it is sent."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_scripts.notices.notice import Notice, Occasion, Tone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

AT = 1_800_000_000.0
"""When the notices of these tests are told: 2027-01-15, 08:00 UTC."""
_BEGAN = Notice(
    occasion=Occasion.BEGAN,
    tone=Tone.INFO,
    title="checkout: rollout of v2 began (prod)",
    text="it runs localhost/checkout:v1",
    at=AT,
    run="checkout-v2-20270115T080000Z",
    service="checkout",
    namespace="shop",
    environment="prod",
    version="v2",
    by="anna@bridge",
    began=AT,
)


@dataclass
class Office:
    """Keeps what it is sent, and answers as it is told."""

    url: str = ""
    got: list[tuple[str, str, Any]] = field(default_factory=list)
    """Method, target and decoded body of every call."""
    headers: list[dict[str, str]] = field(default_factory=list)
    answers: list[tuple[int, bytes, dict[str, str]]] = field(default_factory=list)
    """Status, body and headers of the next answers; 200 and `ok` once they are used up."""
    open: threading.Event = field(default_factory=threading.Event)
    """Whether it answers at all."""


@pytest.fixture
def began() -> Notice:
    """Return the notice that a rollout began."""
    return _BEGAN


@pytest.fixture
def ended() -> Notice:
    """Return the notice that the same rollout failed, ten minutes later."""
    return replace(
        _BEGAN,
        occasion=Occasion.ENDED,
        tone=Tone.ERROR,
        title="checkout: rolled back v2 (prod)",
        text="errors: 12 of 600 <requests> failed",
        at=AT + 600,
    )


@pytest.fixture
def office() -> Iterator[Office]:
    """Return a server that runs until the test has ended."""
    made = Office()
    made.open.set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # an answer is two writes, and would wait 40 ms for the first one's receipt

        def _serve(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            made.got.append((self.command, self.path, json.loads(sent) if sent else None))
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
    yield made
    made.open.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def json_answer() -> Callable[[Any], tuple[int, bytes, dict[str, str]]]:
    """Return a function that makes an answer of 200 with a value as JSON."""
    return lambda value: (200, json.dumps(value).encode(), {"Content-Type": "application/json"})
