"""Metrics with too many label sets: bounded, seen on the page, and their label named, once and without its values."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from quarterdeck_contract import metrics
from quarterdeck_contract.labels import Label
from quarterdeck_contract.metrics import Kind, Metric
from quarterdeck_instrumentation import cardinality
from quarterdeck_instrumentation.cardinality import Usage, Watch
from quarterdeck_instrumentation.exposition import snapshot
from quarterdeck_instrumentation.registry import VALUE, Registry
from quarterdeck_instrumentation.settings import Settings
from quarterdeck_instrumentation.testing import recording

if TYPE_CHECKING:
    from collections.abc import Iterator

ORDERS = Metric("shop.orders", "{order}", Kind.COUNTER, "", (Label("user.email", ""), Label("shop", "")))


@pytest.fixture
def registry() -> Registry:
    """Return a registry that takes five label sets a metric."""
    return Registry(label_sets=5)


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """Return what is said on the logger, as it is said."""
    messages: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("quarterdeck")
    logger.addHandler(handler)
    caplog.set_level(logging.WARNING, "quarterdeck")
    yield messages
    logger.removeHandler(handler)


def order(registry: Registry, customers: int) -> None:
    """Record an order of each of some customers, in one of two shops."""
    for number in range(customers):
        registry.cell(ORDERS, f"ada{number}@example.org", f"shop {number % 2}").add(1.0)


def label_sets(registry: Registry, metric: Metric) -> float:
    """Return how many label sets the page says that *metric* has."""
    return registry.cell(metrics.LABEL_SETS, metric.name).values[VALUE]


def test_the_report_names_the_label_with_most_values_first(registry: Registry) -> None:
    """Of the metrics that overflow first, then of those with most label sets."""
    order(registry, 8)
    registry.cell(metrics.HTTP_SERVER_ACTIVE, "GET", "http")
    registry.cell(metrics.HTTP_SERVER_ACTIVE, "PUT", "http")

    assert cardinality.of_index(snapshot.parse(registry.snapshot()[0])) == [
        Usage("shop.orders", 5, True, (("user.email", 5), ("shop", 2))),
        Usage("http.server.active_requests", 2, False, (("http.request.method", 2), ("url.scheme", 1))),
    ]


def test_the_report_is_as_long_as_asked_for() -> None:
    """Ten metrics, if nothing is said."""
    series = [(f"metric{number}", ["label"], [str(value)]) for number in range(20) for value in range(number + 1)]
    assert [usage.label_sets for usage in cardinality.report(series)] == list(range(20, 10, -1))
    assert [usage.metric for usage in cardinality.report(series, 2)] == ["metric19", "metric18"]


def test_a_metric_that_is_full_is_said_once(registry: Registry, said: list[str]) -> None:
    """With its labels and how many values each has, and with none of these."""
    watch = Watch(registry, 5)
    order(registry, 5)
    watch.update()
    assert said == []
    assert label_sets(registry, ORDERS) == 5.0

    order(registry, 100)
    watch.update()
    order(registry, 200)
    watch.update()
    assert said == [
        "shop.orders has more than 5 label sets, so all others share one series: user.email has 5, shop has 2"
    ]
    assert label_sets(registry, ORDERS) == 5.0
    assert "example.org" not in said[0]


def test_the_page_says_how_full_metrics_are(said: list[str]) -> None:
    """Beside the limit, so that one can be told before it is reached; the watch itself is bounded as all are."""
    with recording(Settings(label_sets=20)) as recorded:
        for number in range(50):
            recorded.runtime.registry.cell(ORDERS, f"ada{number}@example.org", "shop").add(1.0)
        for _ in range(2):
            page = recorded.page()

    assert page.value("quarterdeck_metric_label_sets", metric="shop.orders") == 20.0
    assert page.value("quarterdeck_metric_label_sets_limit") == 20.0
    assert page.value("shop_orders_total", otel_metric_overflow="true") == 30.0
    assert len(page.find("shop_orders_total")) == 21
    assert len([line for line in said if line.startswith("shop.orders has more than 20")]) == 1
