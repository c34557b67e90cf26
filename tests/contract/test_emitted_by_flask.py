"""What a Flask service under gunicorn emits is what the contract declares, for each kind of worker and `--preload`."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from quarterdeck_contract.labels import UNMATCHED_ROUTE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.contract.conftest import Service

    from quarterdeck_instrumentation.testing import Page

COUNT = "http_server_request_duration_seconds_count"

SOURCE = """
import os

from flask import Blueprint, Flask

items = Blueprint("items", __name__, url_prefix="/items")


@items.get("/<int:item>")
def item(item):
    return {"item": item, "pid": os.getpid()}


app = Flask(__name__)
app.register_blueprint(items)


@app.get("/fails")
def fails():
    raise LookupError


@app.get("/healthz")
def healthz():
    return ""
"""
"""A service without one line of telemetry."""

OPENTELEMETRY = {
    "launcher": "opentelemetry-instrument",
    "OTEL_PYTHON_DISTRO": "quarterdeck",
    "OTEL_PYTHON_CONFIGURATOR": "quarterdeck",
}
STARTS = {
    "sync": (("--workers", "2"), {}),
    "gthread": (("--workers", "2", "--threads", "4"), {}),
    "preload": (("--workers", "2", "--preload"), {}),
    "under opentelemetry-instrument": (("--workers", "2"), OPENTELEMETRY),
}
"""gunicorn's arguments, and what the service is started by."""


@pytest.fixture(scope="module", params=STARTS.values(), ids=STARTS.keys())
def checkout(request: pytest.FixtureRequest, lasting_service: Callable[..., Service]) -> Service:
    """Return a service of two workers that answered ten requests, failed one, and had no route for one."""
    arguments, options = request.param
    running = lasting_service(*arguments, source=SOURCE, server="gunicorn", **options).ready(2)
    for item in range(10):
        assert running.get(f"/items/{item}")[0] == 200
    assert running.get("/fails")[0] == 500
    assert running.get("/wp-admin.php")[0] == 404
    return running


def settled(checkout: Service, until: Callable[..., Page], count: float) -> Page:
    """Return the page, when all requests are on it."""

    def whole() -> Page | None:
        page = checkout.page()
        return page if page.value(COUNT) == count else None

    return until(whole, f"{count:g} requests on the page")


def test_what_is_emitted_is_declared(
    checkout: Service, until: Callable[..., Page], keeps_the_contract: Callable[[Page], None]
) -> None:
    """Both ways, and every request of either worker is counted once; probes are not."""
    page = settled(checkout, until, 12.0)

    keeps_the_contract(page)
    assert {
        (sample.labels["http_route"], sample.labels["http_response_status_code"], sample.labels.get("error_type")): (
            sample.value
        )
        for sample in page.find(COUNT)
    } == {
        ("/items/<int:item>", "200", None): 10.0,
        ("/fails", "500", "LookupError"): 1.0,
        (UNMATCHED_ROUTE, "404", None): 1.0,
    }
    assert page.value("quarterdeck_workers") == 2.0
    assert page.value("quarterdeck_instrumentation_failures_total") == 0.0
    assert page.value("http_server_active_requests") == 0.0


def test_what_dead_workers_counted_stays(checkout: Service, until: Callable[..., Page]) -> None:
    """Killed, and replaced by gunicorn, they are folded into the totals; the new ones count on."""
    settled(checkout, until, 12.0)
    before = checkout.workers()

    for pid in before:
        os.kill(pid, signal.SIGKILL)
    until(lambda: len(checkout.workers()) == 2 and not checkout.workers() & before, "two new workers")
    checkout.ready(2)
    assert checkout.get("/items/1")[0] == 200

    assert settled(checkout, until, 13.0).value(COUNT, http_route="/items/<int:item>") == 11.0


def test_it_ends_as_without_us(checkout: Service) -> None:
    """With its own exit status, and nothing left behind."""
    assert checkout.stop() == 0
    assert list(checkout.base.iterdir()) == []
