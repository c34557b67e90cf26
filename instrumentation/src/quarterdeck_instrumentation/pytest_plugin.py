"""A pytest plugin: the fixture `telemetry` is what a test's requests left behind, as plain objects.

Loaded by every pytest run where the package is installed, so nothing else is imported before the fixture is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quarterdeck_instrumentation.testing import Telemetry


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    """Record what the service does during the test; no file, no thread, no port, nothing of other tests.

    Each test has a tracer provider of its own, which keeps every span and sends none anywhere. Tracers that were got
    earlier, at import for one, go over to it: the global provider is set once for the run, and hands each span to the
    test in progress. A span belongs to the test in which it began, whatever thread or task ends it, and when. A
    processor that the service adds during a test is gone with the test; one that was added before stays for all.

    Counters, histograms and summaries of `prometheus_client`'s default registry begin at zero with each test.

    A request that a test client makes has ended when the client returns; one whose response streams under Flask, when
    it is read or closed.

    If the service has set a global provider of its own by then, it stays: OpenTelemetry allows no other. Its ended
    spans are recorded for the test in progress, and its sampler decides which there are.

    With pytest-xdist each worker is a process and has its own. Tests that run at once in threads of one process would
    share what is recorded.

    Example:
        def test_an_order_is_one_request(telemetry, client):
            client.get("/orders/7")

            assert telemetry.value("http_server_request_duration_seconds_count", http_route="/orders/{order}") == 1
            assert telemetry.span("GET /orders/{order}").attributes["http.response.status_code"] == 200
    """
    from quarterdeck_instrumentation import activate, activation  # noqa: PLC0415 -- see the module
    from quarterdeck_instrumentation.testing import observing  # noqa: PLC0415 -- likewise

    if not activation.enabled_here():
        pytest.fail("OTEL_SDK_DISABLED or QUARTERDECK_ENABLED switches off what this test looks at", pytrace=False)
    activate()
    with observing() as observed:
        yield observed
