"""What a real Prometheus makes of the page: births count in full, kills take nothing back, exemplars are kept."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest
from tests.programs import free_port

from quarterdeck_contract import metrics
from quarterdeck_contract.naming import series_names

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.contract.conftest import Service
    from tests.contract.scraping import Prometheus

pytestmark = pytest.mark.tools

COUNT = "http_server_request_duration_seconds_count"
BUCKET = "http_server_request_duration_seconds_bucket"
FAILED = f'{COUNT}{{http_response_status_code="500"}}'
OK = f'{COUNT}{{http_response_status_code="200"}}'


@pytest.fixture
def prometheus(prometheus_of: Callable[..., Prometheus]) -> Callable[..., Prometheus]:
    """Return a function that starts a Prometheus, with the contract's flags or without, and has it scrape once."""
    return lambda checkout, **options: prometheus_of(checkout.metrics_port, interval="500ms", **options)


def fail_three_times(checkout: Service, server: Prometheus, until: Callable[..., Any]) -> None:
    """Have the series of failures born at 3: no scrape comes between the three."""
    with server.held():
        for _ in range(3):
            assert checkout.get("/fails")[0] == 500
        until(lambda: checkout.value(COUNT, http_response_status_code="500") == 3.0, "three failures on the page")
    until(lambda: len(server.samples(FAILED)) > 3, "some scrapes with them")


def test_the_increase_of_a_counter_first_seen_at_three_is_three(
    service: Callable[..., Service], prometheus: Callable[..., Prometheus], until: Callable[..., Any]
) -> None:
    """With the contract's feature flags, Prometheus puts a zero where the series says that it began."""
    checkout = service("--workers", "2").ready(2)
    server = prometheus(checkout)

    fail_three_times(checkout, server, until)

    samples = server.samples(FAILED)
    assert [value for _, value in samples[:2]] == [0.0, 3.0]
    assert server.value(f"increase({FAILED}[1m])", time=str(samples[-1][0])) == 3.0
    assert server.ask("query", query=COUNT.replace("_count", "_created"))["result"] == []


def test_without_the_feature_flags_it_would_be_nothing(
    service: Callable[..., Service], prometheus: Callable[..., Prometheus], until: Callable[..., Any]
) -> None:
    """Which is why the contract states them: a canary's first errors would vanish."""
    checkout = service().ready(1)
    server = prometheus(checkout, flags=False)

    fail_three_times(checkout, server, until)

    samples = server.samples(FAILED)
    assert samples[0][1] == 3.0
    assert server.value(f"increase({FAILED}[1m])", time=str(samples[-1][0])) == 0.0


def test_kills_take_nothing_back_and_add_nothing(
    service: Callable[..., Service], prometheus: Callable[..., Prometheus], until: Callable[..., Any]
) -> None:
    """Through killed workers and a page that changes hands: no series is reset, and the increase is the truth."""
    checkout = service("--workers", "2").ready(2)
    server = prometheus(checkout)
    sent = 0
    for victim in (checkout.page_owner, lambda: min(checkout.workers())):
        for _ in range(25):
            assert checkout.get("/items/1")[0] == 200
        sent += 25
        until(lambda sent=sent: checkout.value(COUNT) == sent, f"{sent} requests on the page")
        killed = victim()
        os.kill(killed, signal.SIGKILL)
        until(lambda killed=killed: len(checkout.workers() - {killed}) == 2, "the worker's replacement")
        checkout.ready(2)
    until(lambda: server.value(OK) == 50.0, "all requests in Prometheus")

    last = str(server.samples(OK)[-1][0])
    assert server.value(f"increase({OK}[5m])", time=last) == 50.0
    for name in (BUCKET, COUNT, COUNT.replace("_count", "_sum"), "process_cpu_time_seconds_total"):
        assert server.value(f"max(resets({name}[5m]))") == 0.0


def test_an_exemplar_leads_to_its_trace(
    service: Callable[..., Service], prometheus: Callable[..., Prometheus], until: Callable[..., Any]
) -> None:
    """What Prometheus keeps beside a bucket is the id of a span that was exported; one span a request."""
    checkout = service(OTEL_TRACES_EXPORTER="console", OTEL_BSP_SCHEDULE_DELAY="100").ready(1)
    server = prometheus(checkout)
    checkout.get("/items/1")

    def exemplars() -> list[Any]:
        data = server.ask("query_exemplars", query=BUCKET, start="0", end="9999999999")
        return [each["labels"]["trace_id"] for series in data or [] for each in series["exemplars"]]

    (trace_id,) = until(exemplars, "an exemplar in Prometheus")
    until(lambda: f'"trace_id": "0x{trace_id}"' in checkout.log.read_text(), "the exported span")
    assert checkout.log.read_text().count('"kind": "SpanKind.SERVER"') == 1


SHOP = """
import prometheus_client as client
from flask import Flask
from opentelemetry import metrics
from opentelemetry.metrics import Observation

app = Flask(__name__)
meter = metrics.get_meter("shop")
orders = meter.create_counter("shop.orders", "{order}", "Orders.")
stock = meter.create_up_down_counter("shop.stock", "By", "Stock.")
rate = meter.create_gauge("shop.rate", "1", "Rate.")
waits = meter.create_histogram("shop.wait", "ms", explicit_bucket_boundaries_advisory=[0.5, 10])
meter.create_observable_counter("shop.total.uses", [lambda _: [Observation(7, {"2.x": True})]], "By/s")
visits = client.Counter("visits", "Visits.", ["page"])
sizes = client.Histogram("size", "Sizes.", unit="bytes", buckets=(10, 100))
weights = client.Summary("weight", "Weights.", unit="grams")
busy = client.Gauge("busy", "Busy.", multiprocess_mode="livesum")
client.Info("shop", "This shop.").info({"version": "1.2"})


@app.get("/order")
def order():
    orders.add(1, {"kind": "book", "count": 2})
    stock.add(5)
    rate.set(0.25)
    waits.record(7)
    visits.labels("order").inc()
    sizes.observe(50)
    weights.observe(2)
    busy.set(1)
    return ""


@app.get("/healthz")
def healthz():
    return ""
"""
"""A service with metrics of its own, of both libraries."""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_services_own_counters_count_in_full_from_birth(
    service: Callable[..., Service], prometheus: Callable[..., Prometheus], until: Callable[..., Any], workers: str
) -> None:
    """First seen at three, whichever library they are of: their increase is three."""
    shop = service("--workers", workers, source=SHOP, server="gunicorn").ready(int(workers))
    server = prometheus(shop)

    with server.held():
        for _ in range(3):
            assert shop.get("/order")[0] == 200
        until(lambda: shop.value("shop_orders_total") == shop.value("visits_total") == 3.0, "three orders on the page")

    for series in (
        *("shop_orders_total", "shop_wait_milliseconds_count", 'visits_total{page="order"}'),
        *("size_bytes_count", "weight_grams_count"),
    ):
        samples = until(lambda series=series: server.samples(series)[3:], f"scrapes of {series}")
        assert server.value(f"increase({series}[1m])", time=str(samples[-1][0])) == 3.0, series


def test_what_is_pushed_is_what_is_scraped(
    service: Callable[..., Service], prometheus: Callable[..., Prometheus], until: Callable[..., Any]
) -> None:
    """By name, labels and value, over both workers: Prometheus' own receiver derives the same names as the page."""
    port = free_port()
    shop = service(
        *("--workers", "2"),
        source=SHOP,
        server="gunicorn",
        OTEL_METRICS_EXPORTER="prometheus,otlp",
        OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=f"http://127.0.0.1:{port}/api/v1/otlp/v1/metrics",
        OTEL_METRIC_EXPORT_INTERVAL="300",
        OTEL_SERVICE_NAME="shop",
    ).ready(2)
    server = prometheus(shop, otlp_port=port)
    for _ in range(12):
        assert shop.get("/order")[0] == 200

    def of_the_service(job: str) -> dict[Any, float]:
        own = ("shop_", "visits_", "size_", "weight_", "busy", "http_server_request_duration_seconds_count")
        return {key: value for key, value in server.vector(job).items() if key[0].startswith(own)}

    def settled() -> bool:
        scraped, pushed = of_the_service("checkout"), of_the_service("shop")
        orders = [value for (name, _), value in scraped.items() if name == "shop_orders_total"]
        return orders == [12.0] and scraped == pushed

    until(settled, f"the same both ways; {shop.log.read_text()}")
    emitted = {name for metric in metrics.ALL for name in series_names(metric)}

    def names() -> list[set[str]]:
        return [emitted & {name for name, _ in server.vector(job)} for job in ("checkout", "shop")]

    # A scrape that a busy machine did not answer in time leaves nothing at that moment.
    until(lambda: (found := names())[0] and found[0] == found[1], lambda: f"the same names both ways, not {names()}")


def test_the_last_values_are_pushed_before_a_service_ends(
    service: Callable[..., Service], prometheus: Callable[..., Prometheus], until: Callable[..., Any]
) -> None:
    """Those of both workers, although the next push was a minute away."""
    port = free_port()
    shop = service(
        *("--workers", "2"),
        source=SHOP,
        server="gunicorn",
        OTEL_METRICS_EXPORTER="prometheus,otlp",
        OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=f"http://127.0.0.1:{port}/api/v1/otlp/v1/metrics",
        OTEL_SERVICE_NAME="shop",
        QUARTERDECK_FLUSH_TIMEOUT="10",  # on a busy machine the receiver answers late
    ).ready(2)
    server = prometheus(shop, otlp_port=port)
    for _ in range(12):
        assert shop.get("/order")[0] == 200

    assert shop.stop() == 0

    until(lambda: server.value('sum(shop_orders_total{job="shop"})') == 12.0, f"twelve orders; {shop.log.read_text()}")
