"""What an aiohttp service emits is what the contract declares, with its metrics and its last spans at SIGTERM."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.contract.conftest import asked_for_orders, tells_of_orders

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Collector
    from tests.contract.conftest import Service

SOURCE = """
import sys

from aiohttp import web


async def item(request):
    return web.json_response({"item": request.match_info["item"]})


async def fails(request):
    raise LookupError


async def healthz(request):
    return web.Response()


async def app():
    orders = web.Application()
    orders.router.add_get(r"/{item:[0-9]+}", item)
    whole = web.Application()
    whole.add_subapp("/orders", orders)
    whole.router.add_get("/fails", fails)
    whole.router.add_get("/healthz", healthz)
    return whole


if __name__ == "__main__":
    web.run_app(app(), host="127.0.0.1", port=int(sys.argv[1]))
"""
"""A service without one line of telemetry."""

STARTS = {
    "run_app": ("python", ()),
    "gunicorn": ("gunicorn", ("--worker-class", "aiohttp.GunicornWebWorker")),
}
"""What serves it: itself, or the worker for gunicorn that aiohttp brings."""


@pytest.fixture(params=STARTS.values(), ids=STARTS.keys())
def orders(request: pytest.FixtureRequest, service: Callable[..., Service], collector: Collector) -> Service:
    """Return a service that answered ten requests, failed one, and had no route for one."""
    server, arguments = request.param
    endpoint = f"http://127.0.0.1:{collector.port}"
    running = service(*arguments, source=SOURCE, server=server, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint).ready(1)
    return asked_for_orders(running)


def test_what_is_emitted_is_declared(orders: Service, collector: Collector) -> None:
    """Both ways; and when it ends, as without us, no span is lost."""
    tells_of_orders(orders, "/orders/{item}")

    assert orders.stop() == 0
    assert sorted(collector.names()) == ["GET", "GET /fails", *["GET /orders/{item}"] * 10]
