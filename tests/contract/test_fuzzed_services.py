"""Thousands of requests that are none, written to real servers' sockets: answered as they are without us."""

from __future__ import annotations

import re
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from tests.fuzzing import raw_requests

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Collector
    from tests.contract.conftest import Service

REQUESTS = 1500
"""Of each server, with us and without."""
_PATIENCE = 0.3
"""Seconds without a byte after which a server is taken to wait for more of a request; then the client is gone."""
_MORE_PATIENCE = (3.0, 10.0, 30.0)
"""The same where the answers differ, until they do not: a busy machine may have kept one of the servers from answering.
"""
_VARIES = re.compile(rb"(?i)^(date|server): .*\r\n", re.MULTILINE)

FASTAPI = """
from fastapi import FastAPI, Request, WebSocket

app = FastAPI()


@app.get("/items/{item}")
async def item(item: int) -> int:
    return item


@app.get("/fails")
async def fails() -> None:
    raise LookupError


@app.get("/healthz")
async def healthz() -> None:
    pass


@app.websocket("/{rest:path}")
async def socket(websocket: WebSocket, rest: str) -> None:
    await websocket.accept()
    await websocket.send_text(str(len(rest)))
    await websocket.close()


@app.api_route("/{rest:path}", methods=["POST", "BREW"])
async def echo(rest: str, request: Request) -> dict[str, int]:
    return {"rest": len(rest), "body": len(await request.body()), "query": len(request.query_params)}
"""

FLASK = """
from flask import Flask, request

app = Flask(__name__)
app.add_url_rule("/items/<int:item>", "item", lambda item: str(item))
app.add_url_rule("/healthz", "healthz", str)


@app.get("/fails")
def fails():
    raise LookupError


@app.post("/<path:rest>")
def echo(rest):
    return f"{len(rest)} {len(request.get_data())} {len(request.args)}"
"""


def exchange(port: int, request: bytes, patience: float = _PATIENCE) -> bytes:
    """Return all that a server answers to *request*, without what differs from one second to the next."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        with suppress(OSError):  # the server has heard enough
            connection.sendall(request)
        connection.settimeout(patience)
        with suppress(OSError):
            while received := connection.recv(65536):
                answer += received
    return _VARIES.sub(b"", answer)


def answers(checkout: Service) -> list[bytes]:
    """Return a service's answers to all requests; it answers a sensible one after them."""
    with ThreadPoolExecutor(8) as clients:
        found = list(clients.map(lambda request: exchange(checkout.port, request), raw_requests(7, REQUESTS)))
    assert checkout.get("/items/7")[0] == 200
    return found


@pytest.mark.parametrize(
    ("server", "source"),
    [("uvicorn", FASTAPI), ("gunicorn", FLASK)],
    ids=["uvicorn with FastAPI", "gunicorn with Flask"],
)
def test_a_server_answers_what_it_answers_without_us(
    service: Callable[..., Service], until: Callable[..., Any], collector: Collector, server: str, source: str
) -> None:
    """Each of a thousand: to the byte; each of those that reached the application has a span that can be decoded."""
    arguments = ["--threads", "8"] if server == "gunicorn" else []
    traced = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.port}",
        "OTEL_TRACES_SAMPLER": "always_on",
    }
    same = {"server": server, "source": source, "PYTHONHASHSEED": "0"}  # methods are listed as a set has them
    with_us = service(*arguments, **same, **traced).ready(1)
    without = service(*arguments, **same, QUARTERDECK_ENABLED="false")
    until(lambda: answers_at_all(without), "an answer without us")

    asked = zip(raw_requests(7, REQUESTS), answers(with_us), answers(without), strict=True)
    for request in [request for request, ours, theirs in asked if ours != theirs]:  # or one of them was slow
        for patience in _MORE_PATIENCE:
            ours, theirs = (exchange(each.port, request, patience) for each in (with_us, without))
            if ours == theirs:
                break
        assert ours == theirs
    until(lambda: with_us.value("http_server_active_requests") == 0.0, "the end of all requests")
    page = with_us.page()
    assert page.value("quarterdeck_instrumentation_failures_total") == 0.0
    measured = page.value("http_server_request_duration_seconds_count")
    assert measured > REQUESTS / 4
    until(lambda: len(collector.names()) >= measured, "a span of each")


def answers_at_all(checkout: Service) -> bool:
    """Say whether a service answers yet."""
    with suppress(OSError):
        return checkout.get("/healthz")[0] == 200
    return False
