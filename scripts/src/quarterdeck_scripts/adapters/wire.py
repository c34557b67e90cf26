"""Requests as they go over a connection, and answers as they come back: bytes, lines and deadlines."""

from __future__ import annotations

import gc
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import urllib3

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kubernetes.client import ApiClient

    from quarterdeck_scripts.kube.client import Json

USER_AGENT = "quarterdeck"
"""Sent with every request. The API server takes the field manager of a plain patch from it."""

_IDLE_TIMEOUT = 30.0
"""Seconds a pooled connection may block on a send before its request's own deadline is set."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as `Cluster` describes it."""

    method: str
    path: str
    query: Mapping[str, str] | None = None
    body: Json | list[Json] | None = None
    content_type: str = "application/json"

    def send(self, client: ApiClient, deadline: float) -> urllib3.BaseHTTPResponse:
        """Send it once; the body of the answer is not read yet."""
        headers = {"Accept": "application/json", "User-Agent": USER_AGENT}
        for setting in client.configuration.auth_settings().values():
            headers[setting["key"]] = setting["value"]
        if self.body is not None:
            headers["Content-Type"] = self.content_type
        pool: urllib3.PoolManager = client.rest_client.pool_manager
        return pool.request(
            self.method,
            f"{client.configuration.host}{self.path}{'?' + urlencode(self.query) if self.query else ''}",
            body=None if self.body is None else json.dumps(self.body).encode(),
            headers=headers,
            timeout=urllib3.Timeout(total=max(deadline - time.monotonic(), 0.001)),
            retries=False,
            redirect=False,
            preload_content=False,
        )


def chunks(response: urllib3.BaseHTTPResponse, deadline: float) -> Iterator[bytes]:
    """Yield the body as it arrives, giving up at *deadline* (monotonic seconds) however slowly it drips."""
    sock = getattr(response.connection, "sock", None)
    while True:
        if sock is not None:
            sock.settimeout(max(deadline - time.monotonic(), 0.001))
        chunk = response.read1(65536)
        if not chunk:
            break
        yield chunk
    if sock is not None and sock.fileno() >= 0:
        sock.settimeout(_IDLE_TIMEOUT)


def decoded(data: bytes) -> Any:
    """Return what the JSON *data* says.

    Raises:
        ValueError: it is none.
    """
    # What is decoded has no cycles, but while it grows the collector looks for some, time and again: of the 1.4 s
    # that 10,000 pods take to decode, 0.8 s.
    collecting = gc.isenabled()
    gc.disable()
    try:
        return json.loads(data)
    finally:
        if collecting:
            gc.enable()


def events(pieces: Iterator[bytes]) -> Iterator[Json]:
    """Yield one event a line, wherever the chunks cut the lines and the characters in them."""
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if line.strip():
                yield json.loads(line)
    if rest.strip():
        raise urllib3.exceptions.ProtocolError(f"the stream ended within an event: {rest[:80]!r}")
