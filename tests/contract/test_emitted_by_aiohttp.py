"""What an aiohttp service emits is what the contract declares, with its metrics and its last spans at SIGTERM."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from quarterdeck_contract.labels import UNMATCHED_ROUTE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Collector
    from tests.contract.conftest import Service

    from quarterdeck_instrumentation.testing import Page

COUNT = "http_server_request_duration_seconds_count"

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
    for number in range(10):
        assert running.get(f"/orders/{number}")[0] == 200
    assert running.get("/fails")[0] == 500
    assert running.get("/orders/none")[0] == 404
    return running


def test_what_is_emitted_is_declared(
    orders: Service,
    collector: Collector,
    until: Callable[..., Page],
    keeps_the_contract: Callable[[Page], None],
) -> None:
    """Both ways; and when it ends, as without us, no span is lost."""

    def whole() -> Page | None:
        page = orders.page()
        return page if page.value(COUNT) == 12.0 else None

    page = until(whole, "all requests on the page")

    keeps_the_contract(page)
    assert {
        (sample.labels["http_route"], sample.labels["http_response_status_code"], sample.labels.get("error_type")): (
            sample.value
        )
        for sample in page.find(COUNT)
    } == {
        ("/orders/{item}", "200", None): 10.0,
        ("/fails", "500", "LookupError"): 1.0,
        (UNMATCHED_ROUTE, "404", None): 1.0,
    }
    assert page.value("quarterdeck_instrumentation_failures_total") == 0.0
    assert page.value("http_server_active_requests") == 0.0

    assert orders.stop() == 0
    assert sorted(collector.names()) == ["GET", "GET /fails", *["GET /orders/{item}"] * 10]
