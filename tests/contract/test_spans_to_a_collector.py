"""Spans of a real service under uvicorn reach a collector, to the last one; without one the service notices nothing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Collector
    from tests.contract.conftest import Service

EXIT = 10.0
"""Seconds within which a service ends although its collector does not answer; far above the flush deadline of one."""


@pytest.mark.parametrize("workers", [(), ("--workers", "2")], ids=["one process", "two workers"])
def test_no_span_is_lost_when_the_service_ends(
    service: Callable[..., Service], collector: Collector, workers: tuple[str, ...]
) -> None:
    """SIGTERM right after the last request: everything queued is sent before the exit."""
    running = service(*workers, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{collector.port}")
    running.ready(max(len(workers), 1))
    for item in range(50):
        assert running.get(f"/items/{item}")[0] == 200

    running.stop()

    assert collector.names().count("GET /items/{item}") == 50, running.log.read_text()
    assert "GET /healthz" not in collector.names()
    (instrument,) = {scope.scope.name for each in collector.posts[0].resource_spans for scope in each.scope_spans}
    assert instrument == "quarterdeck.instrumentation"


def test_a_dead_collector_costs_the_spans_alone(service: Callable[..., Service], collector: Collector) -> None:
    """Requests are served, the loss is on the page, said once, and the service ends in time."""
    collector.open.clear()
    running = service(
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{collector.port}",
        OTEL_BSP_MAX_QUEUE_SIZE="10",
        QUARTERDECK_FLUSH_TIMEOUT="1",
    ).ready(1)
    for item in range(600):
        assert running.get(f"/items/{item}")[0] == 200

    assert running.value("quarterdeck_instrumentation_failures_total", component="traces") >= 590 - 512
    begun = time.monotonic()
    running.stop()

    assert time.monotonic() - begun < EXIT
    assert running.log.read_text().count("spans are dropped") == 1
