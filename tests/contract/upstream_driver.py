"""One set of applications and requests, under OpenTelemetry's own instrumentations or under ours; prints the spans.

Run as a process of its own, with `theirs` or `ours`: both change the frameworks for good.
"""

# ruff: noqa: PLC0415 -- frameworks are imported when they are to be instrumented

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import upstream_applications as applications
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

if TYPE_CHECKING:
    from collections.abc import Callable

EXPORTER = InMemorySpanExporter()
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
HEADERS = {"host": "shop.test", "user-agent": "curl/8"}
REQUESTS = {
    "answered": ("GET", "/items/7?token=secret", {"traceparent": PARENT}),
    "unmatched": ("GET", "/nothing", {}),
    "failed": ("GET", "/fails", {}),
    "refused": ("GET", "/refuses", {}),
    "wrong method": ("DELETE", "/items/7", {}),
    "unknown method": ("BREW", "/items/7", {}),
}
"""Every request that every application gets: method, target, headers beyond the usual."""
SOCKET = "socket"
"""What ASGI applications get as well."""


def instrument_theirs() -> None:
    """Have OpenTelemetry's instrumentors change the frameworks."""
    from opentelemetry.instrumentation.aiohttp_server import AioHttpServerInstrumentor
    from opentelemetry.instrumentation.django import DjangoInstrumentor
    from opentelemetry.instrumentation.falcon import FalconInstrumentor
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
    from opentelemetry.instrumentation.flask import FlaskInstrumentor
    from opentelemetry.instrumentation.pyramid import PyramidInstrumentor
    from opentelemetry.instrumentation.starlette import StarletteInstrumentor
    from opentelemetry.instrumentation.tornado import TornadoInstrumentor

    for instrumentor in (
        *(AioHttpServerInstrumentor, DjangoInstrumentor, FalconInstrumentor, FastAPIInstrumentor, FlaskInstrumentor),
        *(PyramidInstrumentor, StarletteInstrumentor, TornadoInstrumentor),
    ):
        instrumentor().instrument()  # type: ignore[no-untyped-call]


def instrument_ours() -> None:
    """Have ours change them."""
    import quarterdeck_instrumentation

    quarterdeck_instrumentation.configure(metrics_page=False)


def wrapped(kind: str, app: Any, side: str) -> Any:
    """Return a bare application with a middleware around it, theirs or ours."""
    if kind == "asgi":
        if side == "ours":
            from quarterdeck_instrumentation.asgi import Instrumented

            return Instrumented(app)
        from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware as Asgi

        return Asgi(app)
    if side == "ours":
        from quarterdeck_instrumentation.wsgi import Instrumented as OurWsgi

        return OurWsgi(app)
    from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware as Wsgi

    return Wsgi(app)


def ask_asgi(app: Any, method: str, target: str, headers: dict[str, str]) -> None:
    """Send one request, as uvicorn hands it on."""
    messages = iter([{"type": "http.request"}])

    async def receive() -> Any:
        for message in messages:
            return message
        return await asyncio.Event().wait()  # the client stays

    async def send(_: Any) -> None:
        """Take it."""

    path, _, query = target.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "scheme": "http",
        "http_version": "1.1",
        "root_path": "",
        "asgi": {"version": "3.0"},
        "client": ("192.0.2.1", 5000),
        "server": ("127.0.0.1", 8000),
        "headers": [(name.encode(), value.encode()) for name, value in {**HEADERS, **headers}.items()],
    }
    with suppress(LookupError):
        asyncio.run(app(scope, receive, send))


def open_socket(app: Any) -> None:
    """Open a WebSocket, and have it closed."""

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(_: Any) -> None:
        """Take it."""

    scope = {
        "type": "websocket",
        "path": "/sockets/lobby",
        "raw_path": b"/sockets/lobby",
        "query_string": b"",
        "scheme": "ws",
        "http_version": "1.1",
        "root_path": "",
        "asgi": {"version": "3.0"},
        "subprotocols": [],
        "client": ("192.0.2.1", 5000),
        "server": ("127.0.0.1", 8000),
        "headers": [(name.encode(), value.encode()) for name, value in HEADERS.items()],
    }
    asyncio.run(app(scope, receive, send))


def ask_wsgi(app: Any, method: str, target: str, headers: dict[str, str]) -> None:
    """Send one request, as gunicorn hands it on."""
    path, _, query = target.partition("?")
    environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "RAW_URI": target,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "192.0.2.1",
        "REMOTE_PORT": "5000",
        "wsgi.url_scheme": "http",
        "wsgi.version": (1, 0),
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        "CONTENT_LENGTH": "0",
        **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in {**HEADERS, **headers}.items()},
    }
    with suppress(LookupError):
        body = app(environ, lambda *_: None)
        list(body)
        if hasattr(body, "close"):
            body.close()


async def _send(port: int, method: str, target: str, headers: dict[str, str]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [f"{name}: {value}\r\n" for name, value in {**HEADERS, **headers, "connection": "close"}.items()]
    writer.write(f"{method} {target} HTTP/1.1\r\n{''.join(lines)}\r\n".encode())
    await reader.read()
    writer.close()
    await writer.wait_closed()


def ask_aiohttp(_: Any, method: str, target: str, headers: dict[str, str]) -> None:
    """Send one request to aiohttp's own server."""
    from aiohttp import web

    async def item(request: web.Request) -> web.Response:
        return web.Response(text=request.match_info["item"])

    async def refuses(_: web.Request) -> web.Response:
        raise web.HTTPServiceUnavailable

    async def ask() -> None:
        app = web.Application()
        app.router.add_get("/items/{item}", item)
        app.router.add_get("/fails", applications.fails_later)
        app.router.add_get("/refuses", refuses)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        await _send(runner.addresses[0][1], method, target, headers)
        await runner.cleanup()

    asyncio.run(ask())


def ask_tornado(_: Any, method: str, target: str, headers: dict[str, str]) -> None:
    """Send one request to Tornado's own server."""
    import tornado.httpserver
    import tornado.netutil
    import tornado.web

    class Item(tornado.web.RequestHandler):
        def get(self, item: str) -> None:
            self.write(item)

    class Fails(tornado.web.RequestHandler):
        def get(self) -> None:
            raise LookupError("lost")

    class Refuses(tornado.web.RequestHandler):
        def get(self) -> None:
            raise tornado.web.HTTPError(503)

    async def ask() -> None:
        app = tornado.web.Application([(r"/items/([^/]+)", Item), ("/fails", Fails), ("/refuses", Refuses)])
        server = tornado.httpserver.HTTPServer(app)
        sockets = tornado.netutil.bind_sockets(0, "127.0.0.1")
        server.add_sockets(sockets)
        await _send(sockets[0].getsockname()[1], method, target, headers)
        server.stop()
        await server.close_all_connections()

    asyncio.run(ask())


def described(span: ReadableSpan) -> dict[str, Any]:
    """Return of *span* what can be compared."""
    attributes = dict(span.attributes or {})
    for name in ("client.port", "network.peer.port"):
        if name in attributes:
            attributes[name] = "some port"
    return {
        "name": span.name,
        "status": span.status.status_code.name,
        "description of the status": span.status.description or "",
        "parent": trace.format_span_id(span.parent.span_id) if span.parent else "",
        "events": [event.name for event in span.events],
        "attributes": attributes,
    }


def spans() -> dict[str, Any]:
    """Return the server span of the last request, and how many others there were."""
    finished = EXPORTER.get_finished_spans()
    EXPORTER.clear()
    servers = [span for span in finished if span.kind is trace.SpanKind.SERVER]
    if not servers:
        return {"other spans": len(finished)}
    assert len(servers) == 1, [span.name for span in finished]
    return {**described(servers[0]), "other spans": len(finished) - 1}


def main() -> None:
    """Send every request to every application, and print what came of it."""
    side = sys.argv[1]
    logging.disable()
    from django.conf import settings

    settings.configure(ALLOWED_HOSTS=["*"], SECRET_KEY="none")  # noqa: S106 -- no secret
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(EXPORTER))
    trace.set_tracer_provider(provider)
    (instrument_ours if side == "ours" else instrument_theirs)()
    cases: dict[str, tuple[Any, Callable[..., None]]] = {
        "ASGI": (wrapped("asgi", applications.bare_asgi, side), ask_asgi),
        "WSGI": (wrapped("wsgi", applications.bare_wsgi, side), ask_wsgi),
        "FastAPI": (applications.fastapi_app(), ask_asgi),
        "Starlette": (applications.starlette_app(), ask_asgi),
        "Flask": (applications.flask_app(), ask_wsgi),
        "Falcon": (applications.falcon_app(), ask_wsgi),
        "Pyramid": (applications.pyramid_app(), ask_wsgi),
        "Django": (applications.django_app("wsgi"), ask_wsgi),
        "Django (ASGI)": (applications.django_app("asgi"), ask_asgi),
        "aiohttp.server": (None, ask_aiohttp),
        "Tornado": (None, ask_tornado),
    }
    found: dict[str, dict[str, Any]] = {}
    for name, (app, ask) in cases.items():
        found[name] = {}
        for request, what in REQUESTS.items():
            ask(app, *what)
            found[name][request] = spans()
        if name in ("FastAPI", "Starlette"):
            open_socket(app)
            found[name][SOCKET] = spans()
    print(json.dumps(found))  # noqa: T201 -- what it is run for


if __name__ == "__main__":
    main()
