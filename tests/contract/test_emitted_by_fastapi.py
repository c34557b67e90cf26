"""What a FastAPI service under `quarterdeck-instrument` emits is what the contract declares, both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from quarterdeck_contract import VERSION, metrics
from quarterdeck_contract.labels import UNMATCHED_ROUTE
from quarterdeck_contract.metrics import Kind
from quarterdeck_contract.naming import prometheus_name, prometheus_unit, series_names

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.contract.conftest import Service

    from quarterdeck_instrumentation.testing import Page

OPENMETRICS = "application/openmetrics-text;version=1.0.0"
COUNT = "http_server_request_duration_seconds_count"
EMITTED = tuple(metric for metric in metrics.ALL if metric is not metrics.RPC_SERVER_DURATION)
"""The whole contract, but for what only servers of gRPC emit."""


@pytest.fixture(scope="module")
def checkout(lasting_service: Callable[..., Service]) -> Service:
    """Return a service of two workers that answered ten requests, failed one, and had no route for one."""
    running = lasting_service("--workers", "2", "--limit-concurrency", "100").ready(2)
    for item in range(10):
        assert running.get(f"/items/{item}")[0] == 200
    assert running.get("/fails")[0] == 500
    assert running.get("/wp-admin.php")[0] == 404
    return running


@pytest.fixture(scope="module")
def plain(checkout: Service, until: Callable[..., Page]) -> Page:
    """Return the page in the plain format, with all that was requested on it."""

    def whole() -> Page | None:
        page = checkout.page()
        return page if page.value(COUNT) == 12.0 else None

    return until(whole, "twelve requests on the page")


@pytest.fixture(scope="module")
def openmetrics(checkout: Service, plain: Page) -> Page:
    """Return the page in OpenMetrics."""
    del plain  # asked for so that everything is on the page
    return checkout.page(OPENMETRICS)


def test_every_series_is_declared(plain: Page) -> None:
    """Nothing is emitted that the contract does not state."""
    declared = {name for metric in EMITTED for name in series_names(metric)}

    assert {sample.name for sample in plain.samples} - declared == set()


def test_every_declared_series_is_emitted(plain: Page) -> None:
    """Nothing is stated that a service does not emit."""
    emitted = {sample.name for sample in plain.samples}

    assert {name for metric in EMITTED for name in series_names(metric)} - emitted == set()


@pytest.mark.parametrize("metric", EMITTED, ids=lambda metric: metric.name)
def test_labels_are_the_declared_ones(plain: Page, metric: metrics.Metric) -> None:
    """All of them occur, and no other; a closed set stays closed."""
    declared = {label.prometheus: label for label in metric.labels}
    found: dict[str, set[str]] = {}
    for name in series_names(metric):
        for sample in plain.find(name):
            for label, value in sample.labels.items():
                found.setdefault(label, set()).add(value)
    found.pop("le", None)

    assert found.keys() == declared.keys()
    for name, values in found.items():
        assert not declared[name].values or values <= set(declared[name].values)


@pytest.mark.parametrize("metric", EMITTED, ids=lambda metric: metric.name)
def test_types_and_units_are_the_declared_ones(plain: Page, openmetrics: Page, metric: metrics.Metric) -> None:
    """In both formats; OpenMetrics names a counter's family without its suffix."""
    kind = {Kind.COUNTER: "counter", Kind.HISTOGRAM: "histogram"}.get(metric.kind, "gauge")
    name = prometheus_name(metric)
    family = name.removesuffix("_total") if metric.kind is Kind.COUNTER else name

    assert plain.types[name] == kind
    assert openmetrics.types[family] == kind
    assert openmetrics.units.get(family, "") == prometheus_unit(metric)


def test_buckets_are_the_declared_ones(plain: Page) -> None:
    """With the one that has no bound."""
    bounds = {sample.labels["le"] for sample in plain.find("http_server_request_duration_seconds_bucket")}

    assert bounds == {*map(str, metrics.SECONDS_BUCKETS), "+Inf"}


def test_both_formats_say_the_same(plain: Page, openmetrics: Page) -> None:
    """But for times of creation, which only OpenMetrics has, and what changes by itself."""
    own = [each for each in metrics.ALL if each.name.startswith(("process.", "cpython.", "quarterdeck.event_loop."))]
    moving = {name for metric in own for name in series_names(metric)}

    assert [sample for sample in plain.samples if sample.name not in moving] == [
        sample for sample in openmetrics.samples if sample.name not in moving and not sample.name.endswith("_created")
    ]


def test_the_page_is_the_services_own_request_log(plain: Page, checkout: Service) -> None:
    """Every request of either worker is counted once, by template, status and error; probes are not."""
    outcomes = {
        (sample.labels["http_route"], sample.labels["http_response_status_code"], sample.labels.get("error_type")): (
            sample.value
        )
        for sample in plain.find(COUNT)
    }

    assert outcomes == {
        ("/items/{item}", "200", None): 10.0,
        ("/fails", "500", "LookupError"): 1.0,
        (UNMATCHED_ROUTE, "404", None): 1.0,
    }
    served = [line for line in checkout.log.read_text().splitlines() if "HTTP/1.1" in line and "/healthz" not in line]
    assert len(served) == 12


def test_two_workers_are_one_page(plain: Page) -> None:
    """It says how many there are, which contract they speak, and that nothing failed."""
    assert plain.value("quarterdeck_workers") == 2.0
    assert plain.value("quarterdeck_build_info", contract_version=VERSION) == 1.0
    assert plain.value("quarterdeck_instrumentation_failures_total") == 0.0
    assert plain.value("http_server_active_requests") == 0.0
