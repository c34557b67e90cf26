"""The applications that `upstream_driver.py` sends its requests to: the same four routes in each framework."""

# ruff: noqa: PLC0415, TC002 -- frameworks are imported when they are to be instrumented, and read annotations

from __future__ import annotations

import sys
from typing import Any, NoReturn


def fails(*_: Any) -> NoReturn:
    """Fail, as nobody expects."""
    raise LookupError("lost")


async def fails_later(*_: Any) -> NoReturn:
    """Fail, awaited."""
    raise LookupError("lost")


def fastapi_app() -> Any:
    """Return the application of FastAPI."""
    import fastapi

    app = fastapi.FastAPI()

    @app.get("/items/{item}")
    async def item(item: int) -> int:
        return item

    @app.get("/refuses")
    async def refuses() -> None:
        raise fastapi.HTTPException(503)

    async def socket(socket: fastapi.WebSocket) -> None:
        await socket.accept()
        await socket.close()

    app.get("/fails", response_model=None)(fails)
    app.add_api_websocket_route("/sockets/{room}", socket)
    return app


def starlette_app() -> Any:
    """Return the application of Starlette."""
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route, WebSocketRoute
    from starlette.websockets import WebSocket

    async def item(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.path_params["item"])

    async def refuses(_: Request) -> PlainTextResponse:
        raise HTTPException(503)

    async def socket(socket: WebSocket) -> None:
        await socket.accept()
        await socket.close()

    routes = [Route("/items/{item}", item), Route("/fails", fails_later), Route("/refuses", refuses)]
    return Starlette(routes=[*routes, WebSocketRoute("/sockets/{room}", socket)])


def flask_app() -> Any:
    """Return the application of Flask."""
    import flask

    app = flask.Flask(__name__)
    app.get("/items/<item>")(lambda item: item)
    app.get("/fails")(fails)
    app.get("/refuses", endpoint="refuses")(lambda: flask.abort(503))
    return app


def falcon_app() -> Any:
    """Return the application of Falcon."""
    import falcon

    class Item:
        def on_get(self, req: Any, resp: Any, item: str) -> None:
            resp.text = item

    class Fails:
        def on_get(self, req: Any, resp: Any) -> None:
            raise LookupError("lost")

    class Refuses:
        def on_get(self, req: Any, resp: Any) -> None:
            raise falcon.HTTPServiceUnavailable

    app = falcon.App()
    for template, resource in (("/items/{item}", Item()), ("/fails", Fails()), ("/refuses", Refuses())):
        app.add_route(template, resource)
    return app


def pyramid_app() -> Any:
    """Return the application of Pyramid."""
    from pyramid.config import Configurator
    from pyramid.httpexceptions import HTTPServiceUnavailable
    from pyramid.response import Response

    def refuses(_: Any) -> Response:
        raise HTTPServiceUnavailable

    with Configurator() as config:
        for name, pattern, view in (
            ("item", "/items/{item}", lambda request: Response(request.matchdict["item"])),
            ("fails", "/fails", fails),
            ("refuses", "/refuses", refuses),
        ):
            config.add_route(name, pattern)
            config.add_view(view, route_name=name)
        return config.make_wsgi_app()


urlpatterns: list[Any] = []


def django_app(kind: str) -> Any:
    """Return the application of Django, under WSGI or ASGI."""
    import django
    from django.conf import settings
    from django.core.asgi import get_asgi_application
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpResponse
    from django.urls import path
    from django.views.decorators.http import require_safe

    urlpatterns[:] = [
        path("items/<int:item>", require_safe(lambda _, item: HttpResponse(item))),
        path("fails", fails),
        path("refuses", lambda _: HttpResponse(status=503)),
    ]
    settings.ROOT_URLCONF = sys.modules[__name__]
    django.setup()
    return get_asgi_application() if kind == "asgi" else get_wsgi_application()


async def bare_asgi(scope: Any, receive: Any, send: Any) -> None:
    """Answer as the others do, with no framework."""
    if scope["path"] == "/fails":
        await fails_later()
    status = {"/items/7": 200, "/refuses": 503}.get(scope["path"], 404)
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def bare_wsgi(environ: Any, start_response: Any) -> Any:
    """Answer as the others do, with no framework."""
    if environ["PATH_INFO"] == "/fails":
        fails()
    start_response({"/items/7": "200 OK", "/refuses": "503 Unavailable"}.get(environ["PATH_INFO"], "404 Not Found"), [])
    return [b""]
