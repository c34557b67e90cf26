"""What services of Litestar, Quart, Pyramid, Falcon and Starlette emit under real servers is what is declared."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest

from quarterdeck_contract.labels import UNMATCHED_ROUTE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.contract.conftest import Service

    from quarterdeck_instrumentation.testing import Page

COUNT = "http_server_request_duration_seconds_count"

LITESTAR = """
from litestar import Controller, Litestar, Router, get
from litestar.params import FromPath


class Items(Controller):
    path = "/items"

    @get("/{item:int}")
    async def item(self, item: FromPath[int]) -> int:
        return item


@get("/fails")
async def fails() -> None:
    raise LookupError


@get("/healthz")
async def healthz() -> None:
    return None


app = Litestar([Router("/shop", route_handlers=[Items], tags=["shop"]), fails, healthz])
"""

QUART = """
from quart import Blueprint, Quart

shop = Blueprint("shop", __name__, url_prefix="/shop")
items = Blueprint("items", __name__, url_prefix="/items")


@items.get("/<int:item>")
async def item(item):
    return str(item)


shop.register_blueprint(items)
app = Quart(__name__)
app.register_blueprint(shop)


@app.get("/fails")
async def fails():
    raise LookupError


@app.get("/healthz")
async def healthz():
    return ""
"""

PYRAMID = """
from pyramid.config import Configurator
from pyramid.response import Response


def fails(request):
    raise LookupError


with Configurator() as config:
    config.add_route("item", "/shop/items/{item}")
    config.add_view(lambda request: Response(request.matchdict["item"]), route_name="item")
    config.add_route("fails", "/fails")
    config.add_view(fails, route_name="fails")
    config.add_route("healthz", "/healthz")
    config.add_view(lambda request: Response(""), route_name="healthz")
    app = config.make_wsgi_app()
"""

FALCON = """
import falcon.asgi


class Item:
    async def on_get(self, req, resp, item):
        resp.text = str(item)


class Fails:
    async def on_get(self, req, resp):
        raise LookupError


class Healthz:
    async def on_get(self, req, resp):
        resp.text = ""


app = falcon.asgi.App()
app.add_route("/shop/items/{item:int}", Item())
app.add_route("/fails", Fails())
app.add_route("/healthz", Healthz())
"""

STARLETTE = """
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route


async def item(request):
    return PlainTextResponse(request.path_params["item"])


async def fails(request):
    raise LookupError


async def healthz(request):
    return PlainTextResponse("")


shop = Starlette(routes=[Route("/items/{item}", item)])
app = Starlette(routes=[Mount("/shop", shop, name="shop"), Route("/fails", fails), Route("/healthz", healthz)])
"""


class Case(NamedTuple):
    """One framework under one server."""

    source: str
    server: str
    template: str


CASES = {
    "litestar": Case(LITESTAR, "uvicorn", "/shop/items/{item}"),
    "quart": Case(QUART, "uvicorn", "/shop/items/<int:item>"),
    "pyramid": Case(PYRAMID, "gunicorn", "/shop/items/{item}"),
    "falcon under ASGI": Case(FALCON, "uvicorn", "/shop/items/{item:int}"),
    "starlette": Case(STARLETTE, "uvicorn", "/shop/items/{item}"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_what_is_emitted_is_declared(
    service: Callable[..., Service], until: Callable[..., Page], keeps_the_contract: Callable[[Page], None], case: Case
) -> None:
    """Both ways; every request is counted once, by template, status and exception; probes are not."""
    running = service(source=case.source, server=case.server).ready(1)
    for item in range(3):
        assert running.get(f"/shop/items/{item}") == (200, str(item))
    assert running.get("/fails")[0] == 500
    assert running.get("/wp-admin.php")[0] == 404

    def whole() -> Page | None:
        page = running.page()
        return page if page.value(COUNT) == 5.0 else None

    page = until(whole, "five requests on the page")
    keeps_the_contract(page)
    assert {
        (sample.labels["http_route"], sample.labels["http_response_status_code"], sample.labels.get("error_type")): (
            sample.value
        )
        for sample in page.find(COUNT)
    } == {
        (case.template, "200", None): 3.0,
        ("/fails", "500", "LookupError"): 1.0,
        (UNMATCHED_ROUTE, "404", None): 1.0,
    }
    assert page.value("quarterdeck_instrumentation_failures_total") == 0.0
    assert page.value("http_server_active_requests") == 0.0
