"""What Litestar, Quart, Pyramid and Falcon say of a request: its template, and the exception behind a failure."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import falcon.asgi
import flask
import httpx
import litestar
import pytest
import quart
from litestar.exceptions import ServiceUnavailableException
from litestar.params import FromPath  # noqa: TC002 -- Litestar reads it from signatures
from litestar.response import Stream
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPServiceUnavailable
from pyramid.response import Response
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from quarterdeck_instrumentation import failures

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextlib import AbstractContextManager

    from starlette.types import ASGIApp, Receive, Scope, Send

    from quarterdeck_instrumentation.testing import Recording

COUNT = "http_server_request_duration_seconds_count"
FRAMEWORKS = {
    "litestar": (
        "litestar.app",
        "litestar._asgi.asgi_router",
        "litestar.routes.asgi",
        "litestar.middleware._internal.exceptions.middleware",
    ),
    "flask": ("flask.app",),
    "quart": ("quart.app",),
    "pyramid": ("pyramid.router",),
    "falcon": ("falcon.app", "falcon.asgi.app"),
    "starlette": ("starlette.applications", "starlette.routing"),
}


@pytest.fixture(autouse=True, scope="module")
def _instrumented(patched: Callable[..., AbstractContextManager[None]]) -> Iterator[None]:
    """Instrument what is tested here."""
    with ExitStack() as stack:
        for names in FRAMEWORKS.values():
            stack.enter_context(patched(*names))
        yield


def module(recorded: Recording) -> str:
    """Return the part of the service that the one request belonged to."""
    (sample,) = recorded.page().find(COUNT)
    return sample.labels["quarterdeck_module"]


def outcome(recorded: Recording) -> tuple[str, str, str]:
    """Return route, status and error type of the one request there was."""
    (sample,) = recorded.page().find(COUNT)
    assert sample.value == 1.0
    assert recorded.page().value("http_server_active_requests") == 0.0
    assert sum(failures.counts().values()) == 0
    labels = sample.labels
    return labels["http_route"], labels["http_response_status_code"], labels.get("error_type", "")


def get(app: Any, path: str, method: str = "GET") -> httpx.Response:
    """Send one request to an ASGI application, as an HTTP client sees it."""

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://checkout") as client:
            return await client.request(method, path)

    return asyncio.run(send())


def get_wsgi(app: Any, path: str, method: str = "GET") -> httpx.Response:
    """Send one request to a WSGI application, as an HTTP client sees it."""

    def server(environ: Any, start_response: Any) -> Any:
        try:
            return app(environ, start_response)
        except LookupError:  # as servers answer what escapes
            start_response("500 Internal Server Error", [])
            return [b""]

    with httpx.Client(transport=httpx.WSGITransport(server), base_url="http://checkout") as client:
        return client.request(method, path)


class TestLitestar:
    def app(self) -> litestar.Litestar:
        """Return an application with a controller in a router."""

        class Orders(litestar.Controller):
            path = "/orders"

            @litestar.get("/{order:int}")
            async def order(self, order: FromPath[int]) -> str:
                return str(order)

            @litestar.get("/fails")
            async def fails(self) -> str:
                raise LookupError

            @litestar.get("/refuses")
            async def refuses(self) -> str:
                raise ServiceUnavailableException

            @litestar.get("/streams")
            async def streams(self) -> Stream:
                async def body() -> AsyncIterator[bytes]:
                    for part in (b"a", b"b"):
                        yield part

                return Stream(body())

        async def inner(_: Any) -> PlainTextResponse:
            return PlainTextResponse("inner")

        mounted = Starlette(routes=[Route("/items/{item}/", inner)])
        mount = litestar.asgi("/legacy", is_mount=True, copy_scope=True)(mounted)
        router = litestar.Router("/api", route_handlers=[Orders], tags=["shop"])
        files = litestar.asgi("/files", is_mount=True, copy_scope=True)(PlainTextResponse("file"))
        return litestar.Litestar([router, mount, files], logging_config=None)  # or it would configure all loggers

    @pytest.mark.parametrize(
        ("path", "expected"),
        [
            ("/api/orders/7", ("/api/orders/{order}", "200", "")),
            ("/api/orders/streams", ("/api/orders/streams", "200", "")),
            ("/api/orders/fails", ("/api/orders/fails", "500", "LookupError")),
            ("/api/orders/refuses", ("/api/orders/refuses", "503", "503")),
            ("/legacy/items/7", ("/legacy/items/{item}/", "200", "")),
            ("/legacy/nothing/", ("unmatched", "404", "")),
            ("/files/a/b", ("/files/{path}", "200", "")),
            ("/wp-admin.php", ("unmatched", "404", "")),
        ],
    )
    def test_a_request_is_its_template(self, recorded: Recording, path: str, expected: tuple[str, ...]) -> None:
        """With the prefixes of routers, controllers and mounts; a failure is its exception, unless it was chosen."""
        get(self.app(), path)

        assert outcome(recorded) == expected

    def test_a_route_belongs_to_the_first_tag_from_outside(self, recorded: Recording) -> None:
        """Litestar's parts are routers and controllers, and tags are their names."""
        get(self.app(), "/api/orders/7")

        assert module(recorded) == "shop"

    def test_a_wrong_method_is_unmatched(self, recorded: Recording) -> None:
        """Litestar's router does not say which template it refused."""
        assert get(self.app(), "/api/orders/7", "DELETE").status_code == 405
        assert outcome(recorded) == ("unmatched", "405", "")

    def test_a_middleware_that_answers_hides_no_route(self, recorded: Recording) -> None:
        """The router had matched before it was asked."""

        class Refuses:
            def __init__(self, app: ASGIApp) -> None:
                self.app = app

            async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
                await PlainTextResponse("no", 401)(scope, receive, send)

        @litestar.get("/secrets/{secret:int}", middleware=[Refuses])
        async def secret(secret: FromPath[int]) -> str:
            return str(secret)

        assert get(litestar.Litestar([secret], logging_config=None), "/secrets/1").status_code == 401
        assert outcome(recorded) == ("/secrets/{secret}", "401", "")


class TestFlask:
    def test_blueprints_in_blueprints(self, recorded: Recording) -> None:
        """All their prefixes are part of the route, and all their names of what it belongs to."""
        outer = flask.Blueprint("shop", __name__, url_prefix="/shop/<tenant>")
        inner = flask.Blueprint("orders", __name__)
        inner.get("/<int:order>")(lambda tenant, order: f"{tenant}{order}")
        outer.register_blueprint(inner, url_prefix="/orders")
        app = flask.Flask(__name__)
        app.register_blueprint(outer)

        assert get_wsgi(app, "/shop/acme/orders/7").text == "acme7"
        assert outcome(recorded) == ("/shop/<tenant>/orders/<int:order>", "200", "")
        assert module(recorded) == "shop.orders"

    def test_a_wrong_method_is_unmatched(self, recorded: Recording) -> None:
        """Flask does not say which rule it refused."""
        app = flask.Flask(__name__)
        app.get("/a")(lambda: "a")

        assert get_wsgi(app, "/a", "DELETE").status_code == 405
        assert outcome(recorded) == ("unmatched", "405", "")


class TestQuart:
    def app(self) -> quart.Quart:
        """Return an application with a blueprint in a blueprint."""
        outer = quart.Blueprint("shop", __name__, url_prefix="/shop")
        inner = quart.Blueprint("orders", __name__, url_prefix="/orders")

        @inner.get("/<int:order>")
        async def order(order: int) -> str:
            return str(order)

        @inner.get("/fails")
        async def fails() -> str:
            raise LookupError

        @inner.get("/refuses")
        async def refuses() -> str:
            quart.abort(503)

        @inner.get("/streams")
        async def streams() -> Any:
            async def body() -> AsyncIterator[bytes]:
                for part in (b"a", b"b"):
                    yield part

            return body()

        outer.register_blueprint(inner)
        app = quart.Quart(__name__)
        app.register_blueprint(outer)
        return app

    @pytest.mark.parametrize(
        ("path", "expected"),
        [
            ("/shop/orders/7", ("/shop/orders/<int:order>", "200", "")),
            ("/shop/orders/streams", ("/shop/orders/streams", "200", "")),
            ("/shop/orders/fails", ("/shop/orders/fails", "500", "LookupError")),
            ("/shop/orders/refuses", ("/shop/orders/refuses", "503", "503")),
            ("/wp-admin.php", ("unmatched", "404", "")),
        ],
    )
    def test_a_request_is_its_template(self, recorded: Recording, path: str, expected: tuple[str, ...]) -> None:
        """With the prefixes of its blueprints; and a failure is its exception, unless it was chosen."""
        get(self.app(), path)

        assert outcome(recorded) == expected

    def test_a_route_belongs_to_its_blueprint(self, recorded: Recording) -> None:
        """With those around it."""
        get(self.app(), "/shop/orders/7")

        assert module(recorded) == "shop.orders"

    def test_a_wrong_method_is_unmatched(self, recorded: Recording) -> None:
        """Quart, as Flask, does not say which rule it refused."""
        assert get(self.app(), "/shop/orders/7", "DELETE").status_code == 405
        assert outcome(recorded) == ("unmatched", "405", "")


class TestPyramid:
    def app(self) -> Any:
        """Return an application with included routes."""

        def fails(request: Any) -> Response:
            raise LookupError

        def refuses(request: Any) -> Response:
            raise HTTPServiceUnavailable

        def orders(config: Configurator) -> None:
            config.add_route("order", "/orders/{order}", request_method="GET")
            config.add_view(lambda request: Response(request.matchdict["order"]), route_name="order")
            config.add_route("old", r"/old/{year:\d+}")
            config.add_view(lambda request: Response(request.matchdict["year"]), route_name="old")

        with Configurator() as config:
            config.include(orders, route_prefix="api")
            config.add_route("fails", "/fails")
            config.add_view(fails, route_name="fails")
            config.add_route("refuses", "/refuses")
            config.add_view(refuses, route_name="refuses")
            return config.make_wsgi_app()

    @pytest.mark.parametrize(
        ("path", "expected"),
        [
            ("/api/orders/7", ("/api/orders/{order}", "200", "")),
            ("/api/old/1999", (r"/api/old/{year:\d+}", "200", "")),
            ("/fails", ("/fails", "500", "LookupError")),
            ("/refuses", ("/refuses", "503", "503")),
            ("/wp-admin.php", ("unmatched", "404", "")),
        ],
    )
    def test_a_request_is_its_pattern(self, recorded: Recording, path: str, expected: tuple[str, ...]) -> None:
        """With the prefixes of its inclusions; and a failure is its exception, unless it was chosen."""
        get_wsgi(self.app(), path)

        assert outcome(recorded) == expected

    def test_a_route_belongs_to_its_views_module(self, recorded: Recording) -> None:
        """Pyramid has no parts by name."""
        get_wsgi(self.app(), "/api/orders/7")

        assert module(recorded) == __name__

    def test_a_wrong_method_is_unmatched(self, recorded: Recording) -> None:
        """To Pyramid it is a route that does not match, so the answer is 404."""
        assert get_wsgi(self.app(), "/api/orders/7", "DELETE").status_code == 404
        assert outcome(recorded) == ("unmatched", "404", "")

    def test_the_exception_that_a_view_made_a_response_of(self, recorded: Recording) -> None:
        """Pyramid keeps it to itself, and it is the cause all the same."""
        with Configurator() as config:
            config.add_route("fails", "/fails")
            config.add_view(lambda _: {}[1], route_name="fails")
            config.add_exception_view(lambda *_: Response("sorry", status=500), context=Exception)
            app = config.make_wsgi_app()

        assert get_wsgi(app, "/fails").text == "sorry"
        assert outcome(recorded) == ("/fails", "500", "KeyError")


class TestFalconUnderAsgi:
    def app(self) -> Any:
        """Return an application of two resources."""

        class Order:
            async def on_get(self, req: Any, resp: Any, order: int) -> None:
                resp.text = str(order)

        class Fails:
            async def on_get(self, req: Any, resp: Any) -> None:
                raise LookupError

        class Refuses:
            async def on_get(self, req: Any, resp: Any) -> None:
                raise falcon.HTTPServiceUnavailable

        app = falcon.asgi.App()
        app.add_route("/orders/{order:int}", Order())
        app.add_route("/fails", Fails())
        app.add_route("/refuses", Refuses())
        return app

    @pytest.mark.parametrize(
        ("path", "expected"),
        [
            ("/orders/7", ("/orders/{order:int}", "200", "")),
            ("/fails", ("/fails", "500", "LookupError")),
            ("/refuses", ("/refuses", "503", "503")),
            ("/wp-admin.php", ("unmatched", "404", "")),
        ],
    )
    def test_a_request_is_its_template(self, recorded: Recording, path: str, expected: tuple[str, ...]) -> None:
        """And a failure is its exception, unless it was chosen."""
        get(self.app(), path)

        assert outcome(recorded) == expected

    def test_a_wrong_method_keeps_the_route(self, recorded: Recording) -> None:
        """The template is known, and answers 405."""
        assert get(self.app(), "/orders/7", "DELETE").status_code == 405
        assert outcome(recorded) == ("/orders/{order:int}", "405", "")
