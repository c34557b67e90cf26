"""A real attempt to reach the collector, stage by stage: name, connection, trust, and an empty batch."""

from __future__ import annotations

import socket
import ssl
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING

from quarterdeck_instrumentation.doctor.facts import Reach, Stage

if TYPE_CHECKING:
    from quarterdeck_instrumentation.spans.target import Target

TIMEOUT = 3.0
"""Seconds that each stage may take."""
_SUCCESS = range(200, 300)


def reach(target: Target, *, post: bool) -> Reach:
    """Connect to *target* and, with *post*, post a batch of no spans: valid, and nothing is stored of it."""
    url = f"{target.scheme}://{target.host}:{target.port}" + (target.path if post else "")
    try:
        socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except OSError as error:
        return Reach(url, Stage.DNS, _said(error), post)
    try:
        connected = socket.create_connection((target.host, target.port), TIMEOUT)
    except OSError as error:
        return Reach(url, Stage.TCP, _said(error), post)
    with closing(connected):
        try:
            stream = _trusted(connected, target) if target.scheme == "https" else connected
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError, and so is a file that is missing
            return Reach(url, Stage.TLS, _said(error), post)
        with closing(stream):
            if not post:
                return Reach(url, Stage.DONE, "connected", post)
            try:
                status, reason = _post(stream, target)
            except (OSError, HTTPException) as error:
                return Reach(url, Stage.HTTP, _said(error), post)
    return Reach(url, Stage.DONE if status in _SUCCESS else Stage.HTTP, f"{status} {reason}".strip(), post)


def _trusted(connected: socket.socket, target: Target) -> socket.socket:
    context = ssl.create_default_context(cafile=target.certificate or None)
    if target.client_certificate:
        context.load_cert_chain(target.client_certificate, target.client_key or None)
    return context.wrap_socket(connected, server_hostname=target.host)


def _post(stream: socket.socket, target: Target) -> tuple[int, str]:
    connection = HTTPConnection(target.host, target.port, timeout=TIMEOUT)
    connection.sock = stream
    connection.request("POST", target.path, b"", {"Content-Type": "application/x-protobuf", **target.headers})
    response = connection.getresponse()
    response.read(1 << 16)
    return response.status, response.reason


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
