"""A service that applies OpenTelemetry's own instrumentations itself has one span for one request, in any order."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import aiohttp.web
import django
import django.conf
import django.core.wsgi
import django.test
import django.urls
import falcon
import fastapi
import flask
import httpx
import pytest
import tornado.httpserver
import tornado.netutil
import tornado.web
from django.http import HttpResponse
from opentelemetry.instrumentation.aiohttp_server import AioHttpServerInstrumentor
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware as AsgiMiddleware
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.instrumentation.falcon import FalconInstrumentor
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.pyramid import PyramidInstrumentor
from opentelemetry.instrumentation.starlette import StarletteInstrumentor
from opentelemetry.instrumentation.tornado import TornadoInstrumentor
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware as WsgiMiddleware
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from pyramid.config import Configurator
from pyramid.response import Response
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from quarterdeck_instrumentation import activation, failures
from quarterdeck_instrumentation.testing import recording
from quarterdeck_instrumentation.tracing import Tracing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry import trace

    Making = AbstractContextManager[Any]

MODULES = (
    *("starlette.applications", "starlette.routing", "fastapi.applications", "fastapi.routing"),
    *("flask.app", "falcon.app", "pyramid.router", "django.core.handlers.base", "django.core.handlers.wsgi"),
    *(
        f"opentelemetry.instrumentation.{name}"
        for name in ("asgi", "django.middleware.otel_middleware", "falcon", "pyramid.callbacks", "wsgi")
    ),
)


class Spans:
    """A provider, and the spans it has finished."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def finished(self) -> list[ReadableSpan]:
        """Return them in the order they ended."""
        return list(self._exporter.get_finished_spans())


@pytest.fixture(autouse=True, scope="module")
def _project() -> None:
    """Have a Django project in this process, if none is."""
    if not django.conf.settings.configured:
        django.conf.settings.configure(ALLOWED_HOSTS=["*"], SECRET_KEY="none")  # noqa: S106 -- no secret
        django.setup()


@pytest.fixture
def spans() -> Iterator[Spans]:
    """Return spans that ours go to as well."""
    failures.forget()
    with recording() as recorded:
        made = Spans()
        recorded.runtime.trace_with(Tracing(made.provider))
        yield made


def serve_fastapi(app: fastapi.FastAPI) -> fastapi.FastAPI:
    """Add the one route."""

    @app.get("/a/{item}")
    async def item(item: str) -> str:
        return item

    return app


def serve_flask(app: flask.Flask) -> flask.Flask:
    """Add the one route."""
    app.get("/a/<item>")(lambda item: item)
    return app


@contextmanager
def fastapi_application(spans: Spans) -> Iterator[Any]:
    """Make an application that is instrumented by itself."""
    app = serve_fastapi(fastapi.FastAPI())
    FastAPIInstrumentor.instrument_app(app, tracer_provider=spans.provider)
    yield app
    FastAPIInstrumentor.uninstrument_app(app)


@contextmanager
def fastapi_class(spans: Spans) -> Iterator[Any]:
    """Make an application of the class that the instrumentor puts in FastAPI's place."""
    FastAPIInstrumentor().instrument(tracer_provider=spans.provider)
    yield serve_fastapi(fastapi.FastAPI())
    FastAPIInstrumentor().uninstrument()


@contextmanager
def starlette_application(spans: Spans) -> Iterator[Any]:
    """Make an application that is instrumented by itself."""
    app = Starlette(routes=[Route("/a/{item}", lambda _: PlainTextResponse("7"))])
    StarletteInstrumentor.instrument_app(app, tracer_provider=spans.provider)
    yield app


def asgi_middleware(spans: Spans) -> Making:
    """Make an application with the middleware around it."""
    middleware: Any = AsgiMiddleware(serve_fastapi(fastapi.FastAPI()), tracer_provider=spans.provider)
    return nullcontext(middleware)


@contextmanager
def flask_application(spans: Spans) -> Iterator[Any]:
    """Make an application that is instrumented by itself."""
    app = serve_flask(flask.Flask(__name__))
    FlaskInstrumentor.instrument_app(app, tracer_provider=spans.provider)
    yield app
    FlaskInstrumentor.uninstrument_app(app)


@contextmanager
def flask_class(spans: Spans) -> Iterator[Any]:
    """Make an application of the class that the instrumentor puts in Flask's place."""
    FlaskInstrumentor().instrument(tracer_provider=spans.provider)
    yield serve_flask(flask.Flask(__name__))
    FlaskInstrumentor().uninstrument()


@contextmanager
def flask_inside(spans: Spans) -> Iterator[Any]:
    """Make an application that is instrumented by itself, with a middleware of the service's around that."""
    with flask_application(spans) as app:
        wrapped = app.wsgi_app
        app.wsgi_app = lambda *arguments: wrapped(*arguments)  # noqa: PLW0108 -- a function of another module
        yield app


def wsgi_middleware(spans: Spans) -> Making:
    """Make an application with the middleware around it."""
    middleware: Any = WsgiMiddleware(serve_flask(flask.Flask(__name__)), tracer_provider=spans.provider)
    return nullcontext(middleware)


@contextmanager
def falcon_class(spans: Spans) -> Iterator[Any]:
    """Make an application of the class that the instrumentor puts in Falcon's place."""

    class Item:
        def on_get(self, req: Any, resp: Any, item: str) -> None:
            resp.text = item

    FalconInstrumentor().instrument(tracer_provider=spans.provider)
    app = falcon.App()
    app.add_route("/a/{item}", Item())
    yield app
    FalconInstrumentor().uninstrument()


@contextmanager
def pyramid_application(spans: Spans) -> Iterator[Any]:
    """Make an application whose configuration is instrumented."""
    with Configurator() as config:
        PyramidInstrumentor().instrument_config(config)
        config.add_route("item", "/a/{item}")
        config.add_view(lambda request: Response(request.matchdict["item"]), route_name="item")
        yield config.make_wsgi_app()


urlpatterns = [django.urls.path("a/<str:item>", lambda _, item: HttpResponse(item))]


@contextmanager
def django_project(spans: Spans) -> Iterator[Any]:
    """Make a project with the middleware in its settings."""
    with django.test.override_settings(ROOT_URLCONF=sys.modules[__name__], MIDDLEWARE=[]):
        DjangoInstrumentor().instrument(tracer_provider=spans.provider)
        yield django.core.wsgi.get_wsgi_application()
        DjangoInstrumentor().uninstrument()


ASGI = [fastapi_application, fastapi_class, starlette_application, asgi_middleware]
WSGI = [
    flask_application,
    flask_class,
    flask_inside,
    wsgi_middleware,
    falcon_class,
    pyramid_application,
    django_project,
]


def get(app: Any, *, asynchronous: bool) -> str:
    """Send one request, and return the answer's text."""

    async def send() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://checkout") as client:
            return await client.get("/a/7")

    if asynchronous:
        return asyncio.run(send()).text
    with httpx.Client(transport=httpx.WSGITransport(app), base_url="http://checkout") as client:
        return client.get("/a/7").text


@pytest.mark.parametrize("first", ["theirs", "ours"])
@pytest.mark.parametrize("make", [*ASGI, *WSGI], ids=lambda make: make.__name__)
def test_theirs_stands_aside(
    spans: Spans,
    patched: Callable[..., AbstractContextManager[None]],
    make: Callable[[Spans], Making],
    first: str,
) -> None:
    """Whichever was applied first; the one span is ours, and nothing is complained of."""
    with ExitStack() as stack:
        if first == "ours":
            stack.enter_context(patched(*MODULES))
        app = stack.enter_context(make(spans))
        if first == "theirs":
            stack.enter_context(patched(*MODULES))

        assert get(app, asynchronous=make in ASGI).strip('"') == "7"
        assert get(app, asynchronous=make in ASGI).strip('"') == "7"

    assert [(span.name, span.kind) for span in spans.finished()] == [("GET /a/" + template(make), SpanKind.SERVER)] * 2
    assert {str(span.instrumentation_scope and span.instrumentation_scope.name) for span in spans.finished()} == {
        "quarterdeck.instrumentation"
    }
    assert sum(failures.counts().values()) == 0


def template(make: Any) -> str:
    """Return how the framework spells the one parameter."""
    if make is django_project:
        return "<str:item>"
    return "<item>" if "flask" in make.__name__ or make is wsgi_middleware else "{item}"


@pytest.mark.parametrize("first", ["theirs", "ours"])
def test_request_hooks_are_called_with_our_span(
    spans: Spans, patched: Callable[..., AbstractContextManager[None]], first: str
) -> None:
    """What a service says of its requests by them is not lost."""

    def hook(span: trace.Span, _: Any) -> None:
        span.set_attribute("tenant", "acme")

    with ExitStack() as stack:
        if first == "ours":
            stack.enter_context(patched(*MODULES))
        app, api = serve_flask(flask.Flask(__name__)), serve_fastapi(fastapi.FastAPI())
        FlaskInstrumentor.instrument_app(app, request_hook=hook, tracer_provider=spans.provider)
        FastAPIInstrumentor.instrument_app(api, server_request_hook=hook, tracer_provider=spans.provider)
        middleware = WsgiMiddleware(serve_flask(flask.Flask(__name__)), request_hook=hook)
        if first == "theirs":
            stack.enter_context(patched(*MODULES))

        get(app, asynchronous=False)
        get(api, asynchronous=True)
        get(middleware, asynchronous=False)

    assert [(span.attributes or {}).get("tenant") for span in spans.finished()] == ["acme"] * 3


class TestServersOfTheirOwn:
    """aiohttp.server and Tornado, which are served by themselves, over a socket."""

    MODULES = (
        *("aiohttp.web_protocol", "aiohttp.web_response", "aiohttp.web_runner"),
        *(name for name in activation.FRAMEWORKS if name.startswith("tornado.")),
        *("opentelemetry.instrumentation.aiohttp_server", "opentelemetry.instrumentation.tornado"),
    )

    @pytest.mark.filterwarnings("ignore:Inheritance class _InstrumentedApplication")  # which is theirs
    @pytest.mark.parametrize("first", ["theirs", "ours"])
    @pytest.mark.parametrize("serve", ["aiohttp", "tornado"])
    def test_theirs_stands_aside(
        self, spans: Spans, patched: Callable[..., AbstractContextManager[None]], serve: str, first: str
    ) -> None:
        """Whichever was applied first."""
        with ExitStack() as stack:
            instrumentor: Any = AioHttpServerInstrumentor() if serve == "aiohttp" else TornadoInstrumentor()
            if first == "ours":
                stack.enter_context(patched(*self.MODULES))
            instrumentor.instrument(tracer_provider=spans.provider)
            stack.callback(instrumentor.uninstrument)
            if first == "theirs":
                stack.enter_context(patched(*self.MODULES))

            assert asyncio.run(self.aiohttp() if serve == "aiohttp" else self.tornado()).endswith(b"7")

        ((name, kind),) = [(span.name, span.kind) for span in spans.finished()]
        assert (name, kind) == ("GET /a/{item}" if serve == "aiohttp" else "GET /a/{1}", SpanKind.SERVER)
        assert sum(failures.counts().values()) == 0

    async def aiohttp(self) -> bytes:
        """Ask aiohttp's server."""

        async def item(request: aiohttp.web.Request) -> aiohttp.web.Response:
            return aiohttp.web.Response(text=request.match_info["item"])

        app = aiohttp.web.Application()
        app.router.add_get("/a/{item}", item)
        runner = aiohttp.web.AppRunner(app)
        await runner.setup()
        await aiohttp.web.TCPSite(runner, "127.0.0.1", 0).start()
        answer = await self.ask(runner.addresses[0][1])
        await runner.cleanup()
        return answer

    async def tornado(self) -> bytes:
        """Ask Tornado's server."""

        class Item(tornado.web.RequestHandler):
            def get(self, item: str) -> None:
                self.write(item)

        server = tornado.httpserver.HTTPServer(tornado.web.Application([(r"/a/([^/]+)", Item)]))
        sockets = tornado.netutil.bind_sockets(0, "127.0.0.1")
        server.add_sockets(sockets)
        answer = await self.ask(sockets[0].getsockname()[1])
        server.stop()
        await server.close_all_connections()
        return answer

    async def ask(self, port: int) -> bytes:
        """Send one request, and return the whole answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /a/7 HTTP/1.1\r\nHost: checkout\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer
