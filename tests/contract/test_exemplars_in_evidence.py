"""A rollout's evidence names the traces of requests that a real service served and a real Prometheus scraped."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_scripts.adapters.prometheus import PrometheusApi
from quarterdeck_scripts.rollout.acting.traces import lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.contract.conftest import Service
    from tests.contract.scraping import Prometheus

pytestmark = pytest.mark.tools

BUCKET = "http_server_request_duration_seconds_bucket"


def test_a_failed_request_is_the_first_that_is_named(
    service: Callable[..., Service], prometheus_of: Callable[..., Prometheus], until: Callable[..., Any]
) -> None:
    """With its method, route and status, and the id of the span that was exported."""
    checkout = service(OTEL_TRACES_EXPORTER="console", OTEL_BSP_SCHEDULE_DELAY="100").ready(1)
    server = prometheus_of(checkout.metrics_port, interval="500ms")
    checkout.get("/items/1")
    checkout.get("/fails")
    api = PrometheusApi(server.url)

    def found() -> list[str]:
        named = list(lines(api.exemplars(BUCKET, 0, 9_999_999_999)))
        return named if len(named) > 1 else []

    first, second = until(found, "two exemplars")
    trace_id, _, what = first.partition("  ")
    assert re.fullmatch(r"GET /fails: 500 after \d+\.\d{3} s.*", what), what
    assert re.search(r"GET /items/\{item\}: 200 after \d+\.\d{3} s", second), second
    until(lambda: f'"trace_id": "0x{trace_id}"' in checkout.log.read_text(), "the exported span")
