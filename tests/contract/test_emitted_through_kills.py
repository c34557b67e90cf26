"""The page tells the truth while workers are killed, ports are taken and services are ended."""

from __future__ import annotations

import os
import signal
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.contract.conftest import Service

    from quarterdeck_instrumentation.testing import Page

COUNT = "http_server_request_duration_seconds_count"


def counters(page: Page) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return every counter and histogram series on *page*."""
    cumulative = {name for name, kind in page.types.items() if kind in ("counter", "histogram")}
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for sample in page.samples
        if sample.name in cumulative or sample.name.rpartition("_")[0] in cumulative
    }


def test_no_counter_goes_backwards_while_workers_are_killed(
    service: Callable[..., Service], until: Callable[..., object]
) -> None:
    """Not even when the worker that serves the page is the one: another takes over, and the totals go on."""
    checkout = service("--workers", "2").ready(2)
    before = counters(checkout.page())
    sent = 0
    for _ in range(3):
        for _ in range(20):
            checkout.get("/items/1")
        sent += 20
        until(lambda sent=sent: checkout.value(COUNT) >= sent, f"{sent} requests on the page")
        victim = checkout.page_owner()
        os.kill(victim, signal.SIGKILL)

        page = checkout.page()
        assert {name: value for name, value in before.items() if counters(page).get(name, 0.0) < value} == {}
        before = counters(page)
        until(lambda victim=victim: len(checkout.workers() - {victim}) == 2, "the worker's replacement")
        checkout.ready(2)

    assert checkout.value(COUNT) == 60.0
    assert checkout.value("quarterdeck_instrumentation_failures_total") == 0.0


def test_a_port_taken_by_a_stranger_breaks_nothing(
    service: Callable[..., Service], until: Callable[..., object]
) -> None:
    """It is said once, counted, and asked for until it is free."""
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        checkout = service("--workers", "2", METRICS_PORT=str(port))
        until(lambda: "cannot listen on" in checkout.log.read_text(), "the message")
        until(lambda: _serves(checkout), "an answer")

    until(lambda: checkout.value("quarterdeck_workers") == 2.0, "both workers on the page")
    page = checkout.page()
    assert page.value("quarterdeck_instrumentation_failures_total", component="page") >= 1.0
    assert checkout.log.read_text().count("cannot listen on") == 1


def test_a_living_workers_files_can_be_destroyed(service: Callable[..., Service], until: Callable[..., object]) -> None:
    """Truncated or scribbled on under its feet: the service answers, the page is there and mends itself."""
    checkout = service("--workers", "2").ready(2)
    for _ in range(10):
        checkout.get("/items/1")
    until(lambda: checkout.value(COUNT) == 10.0, "ten requests on the page")
    workers = checkout.workers()

    for content in (b"", b"scribble"):
        for file in checkout.base.glob("*/worker-*"):
            file.write_bytes(content)
        assert checkout.page().value("quarterdeck_build_info") == 1.0
        for _ in range(10):
            assert checkout.get("/items/1")[0] == 200

    until(lambda: checkout.value(COUNT) == 30.0, "thirty requests on the page")
    assert checkout.workers() == workers


def test_a_service_that_is_ended_leaves_nothing_behind(service: Callable[..., Service]) -> None:
    """Neither with several workers nor with one, which ends by the signal it got."""
    several = service("--workers", "2").ready(2)
    assert several.stop() == 0
    assert list(several.base.iterdir()) == []

    single = service().ready(1)
    assert single.stop() == -signal.SIGTERM
    assert list(single.base.iterdir()) == []


def test_the_last_values_are_written_before_a_worker_ends(
    service: Callable[..., Service], until: Callable[..., object]
) -> None:
    """On SIGHUP uvicorn replaces its workers: what they counted until their last moment stays on the page."""
    checkout = service("--workers", "2").ready(2)
    workers = checkout.workers()
    for _ in range(20):
        checkout.get("/items/1")
    checkout.process.send_signal(signal.SIGHUP)

    until(lambda: not checkout.workers() & workers, "two new workers")
    checkout.ready(2)
    assert checkout.value(COUNT) == 20.0


def test_no_span_is_lost_when_a_service_is_ended(service: Callable[..., Service]) -> None:
    """Queued ones are sent before the worker ends by the signal, which Python's own exit handlers never see."""
    checkout = service(OTEL_TRACES_EXPORTER="console", OTEL_BSP_SCHEDULE_DELAY="60000").ready(1)
    for _ in range(20):
        checkout.get("/items/1")
    assert '"kind"' not in checkout.log.read_text()

    assert checkout.stop() == -signal.SIGTERM
    assert checkout.log.read_text().count('"kind": "SpanKind.SERVER"') == 20


def test_an_application_without_a_lifespan_loses_nothing_either(
    service: Callable[..., Service], until: Callable[..., object]
) -> None:
    """Any ASGI application is measured; its server tells us of its end, since it cannot."""
    source = """
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"plain"})
"""
    checkout = service("--workers", "2", source=source).ready(2)
    workers = checkout.workers()
    for _ in range(20):
        assert checkout.get("/anything") == (200, "plain")
    checkout.process.send_signal(signal.SIGHUP)

    until(lambda: not checkout.workers() & workers, "two new workers")
    checkout.ready(2)
    assert checkout.value(COUNT, http_route="unmatched") == 20.0


def _serves(checkout: Service) -> bool:
    try:
        return checkout.get("/healthz")[0] == 200
    except OSError:
        return False
