"""Posts bodies to a collector on one connection that is kept, and tries again what OTLP says may be tried again.

Source: https://opentelemetry.io/docs/specs/otlp/#otlphttp-response. Used by one thread at a time.
"""

from __future__ import annotations

import random
import socket
import ssl
import time
import zlib
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import TYPE_CHECKING, Any

from quarterdeck_instrumentation.spans.sender import UndeliveredError

if TYPE_CHECKING:
    from collections.abc import Callable
    from http.client import HTTPResponse

    from quarterdeck_instrumentation.spans.target import Target

_AGAIN = frozenset((429, 502, 503, 504))
"""Status codes after which the same body may be posted again."""
_WINDOWS = {"gzip": 31, "deflate": 15}
"""Content encoding → what zlib calls it: as many bits of window as there are, and 16 for gzip's header."""
_FIRST_PAUSE = 0.5
"""Seconds before the second attempt; doubled before each further one."""
_ANSWER = 1 << 16
"""Bytes of an answer that are read; a collector's is a few."""


class Poster:
    """One connection to one collector."""

    def __init__(self, target: Target, sleep: Callable[[float], None] = time.sleep, what: str = "spans") -> None:
        """Post to *target*; *what* is said to be lost where it is."""
        self._target = target
        self._sleep = sleep
        self._what = what
        self._connection: HTTPConnection | None = None
        self._headers = {"Content-Type": "application/x-protobuf", "User-Agent": "quarterdeck", **target.headers}
        if target.compression:
            self._headers["Content-Encoding"] = target.compression

    def __call__(self, body: bytes, deadline: float) -> None:
        """Post *body* until it is taken, or *deadline*, a time of the monotonic clock, comes.

        Raises:
            UndeliveredError: it was not taken.
        """
        if self._target.compression:
            body = zlib.compress(body, 1, _WINDOWS[self._target.compression])
        pause = _FIRST_PAUSE
        while True:
            kept = self._connection is not None
            try:
                status, wait = self._once(body, deadline)
            except (OSError, HTTPException) as error:
                self._close()
                if kept:
                    continue  # the collector may have closed it long ago, which says nothing of now
                status, wait, why = 0, 0.0, f"the collector cannot be reached ({type(error).__name__})"
            else:
                why = f"the collector answers {status}"
            if 200 <= status < 300:  # noqa: PLR2004 -- success, as HTTP has it
                return
            wait = max(wait, pause * random.uniform(0.8, 1.2))  # noqa: S311 -- so that workers do not come at once
            if (status and status not in _AGAIN) or time.monotonic() + wait >= deadline:
                raise UndeliveredError(f"{self._what} could not be sent: {why}")
            self._sleep(wait)
            pause *= 2

    def _once(self, body: bytes, deadline: float) -> tuple[int, float]:
        connection = self._connected(max(deadline - time.monotonic(), 0.01))
        connection.request("POST", self._target.path, body, self._headers)
        response = connection.getresponse()
        if len(response.read(_ANSWER)) == _ANSWER or response.will_close:
            self._close()
        return response.status, _retry_after(response)

    def _connected(self, timeout: float) -> HTTPConnection:
        if self._connection is None:
            self._connection = self._connect(timeout)
        self._connection.timeout = timeout
        if self._connection.sock is not None:
            self._connection.sock.settimeout(timeout)
        return self._connection

    def _connect(self, timeout: float) -> HTTPConnection:
        target = self._target
        if target.scheme == "http":
            plain: Any = HTTPConnection(target.host, target.port, timeout=timeout)
            plain._create_connection = _dial  # noqa: SLF001 -- there is no public way
            return plain  # type: ignore[no-any-return]  # what it was made as
        trusted = ssl.create_default_context(cafile=target.certificate or None)
        if target.client_certificate:
            trusted.load_cert_chain(target.client_certificate, target.client_key or None)
        return HTTPSConnection(target.host, target.port, timeout=timeout, context=trusted)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _dial(address: tuple[str, int], *options: Any) -> socket.socket:
    """Connect as `http.client` does; a host's name in words costs the import of what encodes international ones."""
    host, port = address
    return socket.create_connection((host.encode() if host.isascii() else host, port), *options)  # type: ignore[arg-type]  # bytes are taken too


def _retry_after(response: HTTPResponse) -> float:
    """Return the seconds the collector asks to wait; it may also say a date, which is not worth reading."""
    said = response.headers.get("Retry-After", "")
    return float(said) if said.isdecimal() else 0.0
