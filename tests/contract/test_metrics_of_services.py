"""A service's own metrics are on the page of all its workers, beside the contract's, through preloading and kills."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from quarterdeck_contract.metrics import ALL
from quarterdeck_instrumentation.foreign import page_names

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.contract.conftest import Service

    from quarterdeck_instrumentation.testing import Page, Sample

OURS = {name for metric in ALL for name in page_names(metric)}
OPENMETRICS = "application/openmetrics-text;version=1.0.0"

SOURCE = """
import os

import prometheus_client as client
from flask import Flask
from opentelemetry import metrics
from opentelemetry.metrics import Observation

app = Flask(__name__)
meter = metrics.get_meter("shop")
orders = meter.create_counter("shop.orders", "{order}", "Orders.")
waits = meter.create_histogram("shop.wait", "s", explicit_bucket_boundaries_advisory=[0.1, 1.0])
meter.create_observable_up_down_counter("shop.workers", [lambda _: [Observation(1)]])
http = meter.create_histogram("http.server.request.duration", "s")

visits = client.Counter("visits", "Visits.", ["page"])
sizes = client.Histogram("size", "Sizes.", unit="bytes", buckets=(10, 100))
threads = client.Gauge("busy", "Busy.", multiprocess_mode="livesum")
client.Info("shop", "This shop.").info({"version": "1.2"})
visits.labels("start").inc(1000)  # before the workers are forked: nobody's


class Shelves:
    def collect(self):
        yield client.metrics_core.GaugeMetricFamily("shelves", "Shelves.", 7)


client.REGISTRY.register(Shelves())


@app.get("/order/<kind>")
def order(kind):
    orders.add(1, {"kind": kind})
    waits.record(0.5)
    http.record(99)
    visits.labels("order").inc(exemplar={"order": kind})
    sizes.observe(50)
    threads.set(1)
    return {"pid": os.getpid()}


@app.get("/own")
def own():
    return client.generate_latest().decode()


@app.get("/healthz")
def healthz():
    return ""
"""
OWN_PROVIDER = """
from opentelemetry import metrics as api
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View

api.set_meter_provider(MeterProvider(
    views=[View(instrument_name="shop.wait", aggregation=ExponentialBucketHistogramAggregation())],
    shutdown_on_exit=False,
))
"""
STARTS = {
    "lean": (("--workers", "2"), SOURCE),
    "preloaded": (("--workers", "2", "--preload"), SOURCE),
    "greenlets": (("--workers", "2", "--worker-class", "gevent"), SOURCE),
    "the SDK's": (("--workers", "2"), OWN_PROVIDER + SOURCE),
    "the SDK's, preloaded": (("--workers", "2", "--preload"), OWN_PROVIDER + SOURCE),
}


@pytest.fixture(params=STARTS.values(), ids=STARTS.keys())
def shop(request: pytest.FixtureRequest, service: Callable[..., Service]) -> Service:
    """Return a shop with two workers."""
    arguments, source = request.param
    return service(*arguments, source=source, server="gunicorn").ready(2)


def foreign(page: Page) -> dict[str, list[Sample]]:
    """Return what is not the contract's, by name."""
    found: dict[str, list[Sample]] = {}
    for sample in page.samples:
        if sample.name not in OURS:
            found.setdefault(sample.name, []).append(sample)
    return found


def test_both_libraries_metrics_are_added_up_and_survive_kills(shop: Service, until: Callable[..., Page]) -> None:
    """What each worker counted is on the one page, also after both were killed; what is ours is as it always is."""
    for _ in range(20):
        assert shop.get("/order/book")[0] == 200

    def settled(count: float) -> Callable[[], Page | None]:
        def whole() -> Page | None:
            page = shop.page(OPENMETRICS)
            done = {page.value(name) for name in ("shop_orders_total", "shop_wait_seconds_count", "size_bytes_count")}
            return page if done | {page.value("visits_total", page="order")} == {count} else None

        return whole

    page = until(settled(20.0), f"20 orders; {shop.log.read_text()}")
    assert page.value("shop_wait_seconds_bucket", le="+Inf") == 20.0
    assert page.value("shop_wait_seconds_sum") == 10.0
    assert page.value("shop_workers") == 2.0
    assert page.value("shelves") == 7.0
    assert page.value("shop_info", version="1.2") == 1.0
    assert [each.exemplar for each in page.find("visits_total", page="order")] == [{"order": "book"}]
    assert page.value("visits_total", page="start") == (0.0 if "--preload" in shop.process.args else 2000.0)
    assert page.types["shop_wait_seconds"] == "histogram"
    names = {name for name in foreign(page) if not name.endswith("_created")}
    assert names == {
        *("shop_orders_total", "shop_workers", "visits_total", "busy", "shelves", "shop_info"),
        *(f"shop_wait_seconds_{part}" for part in ("bucket", "sum", "count")),
        *(f"size_bytes_{part}" for part in ("bucket", "sum", "count")),
    }
    assert page.value("http_server_request_duration_seconds_sum") < 99

    def own() -> str | None:
        """Return the library's own page by a worker that had an order: any number of the two may have had them all."""
        text = shop.get("/own")[1]
        return text if 'visits_total{page="order"}' in text else None

    # The library's page is not ours to change: it has what its worker counted, and the library's collectors.
    assert until(lambda: "process_start_time_seconds" in (own() or ""), "the page of a worker that had an order")

    before = shop.workers()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    until(lambda: len(shop.workers()) == 2 and not shop.workers() & before, "two new workers")
    shop.ready(2)
    assert shop.get("/order/pen")[0] == 200

    page = until(settled(21.0), "21 orders")
    assert page.value("shop_orders_total", kind="book") == 20.0
    assert page.value("busy") == 1.0
    assert shop.log.read_text().count("the service is not affected") == 0
