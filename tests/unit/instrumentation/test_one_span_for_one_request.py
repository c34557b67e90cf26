"""A service that applies OpenTelemetry's own instrumentations itself has one span for one request, in any order."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import django
import django.conf
import django.core.asgi
import django.core.wsgi
import django.test
import django.urls
import falcon
import fastapi
import flask
import httpx
import litestar
import pytest
from django.http import HttpResponse
from litestar.params import FromPath  # noqa: TC002 -- Litestar reads it from signatures
from litestar.plugins.opentelemetry import OpenTelemetryConfig, OpenTelemetryPlugin
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware as AsgiMiddleware
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.instrumentation.falcon import FalconInstrumentor
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.pyramid import PyramidInstrumentor
from opentelemetry.instrumentation.starlette import StarletteInstrumentor
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware as WsgiMiddleware
from opentelemetry.trace import SpanKind
from pyramid.config import Configurator
from pyramid.response import Response
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from quarterdeck_instrumentation import failures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry import trace
    from tests.unit.instrumentation.conftest import Spans

    Making = AbstractContextManager[Any]

MODULES = (
    *("starlette.applications", "starlette.routing", "fastapi.applications", "fastapi.routing"),
    *("flask.app", "falcon.app", "pyramid.router", "django.core.handlers.base", "django.core.handlers.wsgi"),
    *("django.core.handlers.asgi", "litestar.app", "litestar._asgi.asgi_router"),
    *(
        f"opentelemetry.instrumentation.{name}"
        for name in ("asgi", "django.middleware.otel_middleware", "falcon", "pyramid.callbacks", "wsgi")
    ),
)


@pytest.fixture(autouse=True, scope="module")
def _project() -> None:
    """Have a Django project in this process, if none is."""
    if not django.conf.settings.configured:
        django.conf.settings.configure(ALLOWED_HOSTS=["*"], SECRET_KEY="none")  # noqa: S106 -- no secret
        django.setup()


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
    app = serve_fastapi(fastapi.FastAPI())
    yield app
    FastAPIInstrumentor.uninstrument_app(app)
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
def django_project(spans: Spans, **options: Any) -> Iterator[Any]:
    """Make a project with the middleware in its settings."""
    with django.test.override_settings(ROOT_URLCONF=sys.modules[__name__], MIDDLEWARE=[]):
        DjangoInstrumentor().instrument(tracer_provider=spans.provider, **options)
        yield django.core.wsgi.get_wsgi_application()
        DjangoInstrumentor().uninstrument()


@contextmanager
def django_project_under_asgi(spans: Spans) -> Iterator[Any]:
    """Make a project with the middleware in its settings."""
    with django_project(spans):
        yield django.core.asgi.get_asgi_application()


def litestar_plugin(spans: Spans) -> Making:
    """Make an application with Litestar's own plugin, which is made of the middleware."""

    @litestar.get("/a/{item:str}")
    async def answer(item: FromPath[str]) -> str:
        return item

    config = OpenTelemetryConfig(tracer_provider=spans.provider)
    # Its own configuration would stay: every logger of this process would speak at INFO from then on.
    app: Any = litestar.Litestar([answer], plugins=[OpenTelemetryPlugin(config)], logging_config=None)
    return nullcontext(app)


ASGI = [
    fastapi_application,
    fastapi_class,
    starlette_application,
    asgi_middleware,
    django_project_under_asgi,
    litestar_plugin,
]
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
    if make in (django_project, django_project_under_asgi):
        return "<str:item>"
    return "<item>" if "flask" in make.__name__ or make is wsgi_middleware else "{item}"


def test_that_they_are_installed_loads_none_of_them() -> None:
    """What a service does not use it does not wait for when it starts."""
    code = "import fastapi, flask, sys; print([name for name in sys.modules if name.startswith('opentelemetry.instr')])"
    command = (str(Path(sys.executable).parent / "quarterdeck-instrument"), sys.executable, "-c", code)
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert (done.stdout, done.stderr) == ("[]\n", "")


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
        stack.callback(FastAPIInstrumentor.uninstrument_app, api)  # it has changed Starlette's background tasks as well
        middleware = WsgiMiddleware(serve_flask(flask.Flask(__name__)), request_hook=hook)
        project = stack.enter_context(django_project(spans, request_hook=hook))
        if first == "theirs":
            stack.enter_context(patched(*MODULES))

        get(project, asynchronous=False)
        get(app, asynchronous=False)
        get(api, asynchronous=True)
        get(middleware, asynchronous=False)

    assert [(span.attributes or {}).get("tenant") for span in spans.finished()] == ["acme"] * 4
