"""Streams and WebSockets of a real service: one span and the true duration, also when the client just goes."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Collector
    from tests.contract.conftest import Service

    from quarterdeck_instrumentation.testing import Page

COUNT = "http_server_request_duration_seconds_count"
ACTIVE = "http_server_active_requests"

SOURCE = """
import asyncio

from fastapi import FastAPI, WebSocket
from fastapi.responses import StreamingResponse
from opentelemetry import trace

app = FastAPI()
tracer = trace.get_tracer("shop")


@app.get("/events")
async def events():
    async def parts():
        with tracer.start_as_current_span("stream"):
            while True:
                yield "data: tick\\n\\n"
                await asyncio.sleep(0.01)

    return StreamingResponse(parts(), media_type="text/event-stream")


@app.get("/breaks")
async def breaks():
    async def parts():
        yield "a"
        raise LookupError

    return StreamingResponse(parts())


@app.websocket("/sockets/{room}")
async def room(socket: WebSocket):
    await socket.accept()
    while True:
        await socket.send_text(await socket.receive_text())


@app.get("/healthz")
async def healthz():
    async def parts():
        with tracer.start_as_current_span("probe"):
            yield "well"

    return StreamingResponse(parts())
"""
OPENING = (
    "Host: shop\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
HELLO = b"\x81\x85\x00\x00\x00\x00hello"
"""A text frame of a client, masked with nothing."""
SERVERS = {"uvicorn": ("--ws", "wsproto"), "hypercorn": ()}


def ask(port: int, target: str, headers: str, *after: tuple[bytes, bytes]) -> None:
    """Send a request, then for each of *after* wait for its first and send its second; and go without a word."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(f"GET {target} HTTP/1.1\r\n{headers}\r\n".encode())
        for awaited, said in after:
            received = b""
            while awaited not in received:
                part = connection.recv(4096)
                assert part, received
                received += part
            connection.sendall(said)


@pytest.mark.parametrize("server", SERVERS)
def test_a_client_that_goes_ends_the_span_and_is_no_failure(
    service: Callable[..., Service], until: Callable[..., Page], collector: Collector, server: str
) -> None:
    """Nothing is said of contexts, no span is made of a message, and a stream that breaks is its exception."""
    traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.port}", "OTEL_BSP_SCHEDULE_DELAY": "100"}
    running = service(*SERVERS[server], source=SOURCE, server=server, **traced).ready(1)

    with socket.create_connection(("127.0.0.1", running.port), timeout=60) as connection:
        connection.sendall(b"GET /events HTTP/1.1\r\nHost: shop\r\n\r\n")
        while b"tick" not in connection.recv(4096):
            pass
        until(lambda: running.value(ACTIVE, http_request_method="GET") == 1.0, "a request that runs")
        assert running.value(COUNT, http_route="/events") == 0.0
    ask(running.port, "/breaks", "Host: shop\r\n", (b"200", b""))
    ask(running.port, "/sockets/lobby", OPENING, (b"\r\n\r\n", HELLO), (b"hello", b""))

    until(
        lambda: running.value(COUNT) == 2.0 and running.value(ACTIVE) == 0.0, f"two requests; {running.log.read_text()}"
    )
    until(lambda: len(collector.names()) == 4, f"four spans, {collector.names()}; {running.log.read_text()}")
    outcomes = {
        sample.labels["http_route"]: (sample.labels["http_response_status_code"], sample.labels.get("error_type"))
        for sample in running.page().find(COUNT)
    }
    running.stop()
    assert outcomes == {"/events": ("200", None), "/breaks": ("200", "LookupError")}
    assert sorted(collector.names()) == ["GET /breaks", "GET /events", "GET /sockets/{room}", "stream"]
    assert failed_spans(collector) == ["GET /breaks"]
    log = running.log.read_text()
    assert "detach" not in log
    assert "the service is not affected" not in log


def failed_spans(collector: Collector) -> list[str]:
    """Return the names of the spans whose status is an error."""
    resources = [resource for post in collector.posts for resource in post.resource_spans]
    spans = [span for resource in resources for scope in resource.scope_spans for span in scope.spans]
    return [span.name for span in spans if span.status.code == span.status.STATUS_CODE_ERROR]
