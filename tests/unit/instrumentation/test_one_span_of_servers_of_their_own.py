"""aiohttp.server and Tornado, instrumented by a service itself: one span for one request, over a real socket."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import aiohttp.web
import pytest
import tornado.httpserver
import tornado.netutil
import tornado.web
from opentelemetry.instrumentation.aiohttp_server import AioHttpServerInstrumentor
from opentelemetry.instrumentation.tornado import TornadoInstrumentor
from opentelemetry.trace import SpanKind

from quarterdeck_instrumentation import activation, failures

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from tests.unit.instrumentation.conftest import Spans

MODULES = (
    *("aiohttp.web_protocol", "aiohttp.web_response", "aiohttp.web_runner"),
    *(name for name in activation.FRAMEWORKS if name.startswith("tornado.")),
    *("opentelemetry.instrumentation.aiohttp_server", "opentelemetry.instrumentation.tornado"),
)


@pytest.mark.filterwarnings("ignore:Inheritance class _InstrumentedApplication")  # which is theirs
@pytest.mark.parametrize("first", ["theirs", "ours"])
@pytest.mark.parametrize("serve", ["aiohttp", "tornado"])
def test_theirs_stands_aside(
    spans: Spans, patched: Callable[..., AbstractContextManager[None]], serve: str, first: str
) -> None:
    """Whichever was applied first."""
    with ExitStack() as stack:
        instrumentor: Any = AioHttpServerInstrumentor() if serve == "aiohttp" else TornadoInstrumentor()
        if first == "ours":
            stack.enter_context(patched(*MODULES))
        instrumentor.instrument(tracer_provider=spans.provider)
        stack.callback(instrumentor.uninstrument)
        if first == "theirs":
            stack.enter_context(patched(*MODULES))

        assert asyncio.run(ask_aiohttp() if serve == "aiohttp" else ask_tornado()).endswith(b"7")

    ((name, kind),) = [(span.name, span.kind) for span in spans.finished()]
    assert (name, kind) == ("GET /a/{item}" if serve == "aiohttp" else "GET /a/{1}", SpanKind.SERVER)
    assert sum(failures.counts().values()) == 0


async def ask_aiohttp() -> bytes:
    """Ask aiohttp's server."""

    async def item(request: aiohttp.web.Request) -> aiohttp.web.Response:
        return aiohttp.web.Response(text=request.match_info["item"])

    app = aiohttp.web.Application()
    app.router.add_get("/a/{item}", item)
    runner = aiohttp.web.AppRunner(app)
    await runner.setup()
    await aiohttp.web.TCPSite(runner, "127.0.0.1", 0).start()
    answer = await ask(runner.addresses[0][1])
    await runner.cleanup()
    return answer


async def ask_tornado() -> bytes:
    """Ask Tornado's server."""

    class Item(tornado.web.RequestHandler):
        def get(self, item: str) -> None:
            self.write(item)

    server = tornado.httpserver.HTTPServer(tornado.web.Application([(r"/a/([^/]+)", Item)]))
    sockets = tornado.netutil.bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    answer = await ask(sockets[0].getsockname()[1])
    server.stop()
    await server.close_all_connections()
    return answer


async def ask(port: int) -> bytes:
    """Send one request, and return the whole answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /a/7 HTTP/1.1\r\nHost: checkout\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer
