"""A Prometheus that scrapes all through it sees no counter go backwards, however workers end."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.contract.scraping import Prometheus
    from tests.contract.servers.conftest import Running

pytestmark = pytest.mark.tools

COUNT = "http_server_request_duration_seconds_count"
CUMULATIVE = (
    *(COUNT.replace("_count", part) for part in ("_count", "_sum", "_bucket")),
    "process_cpu_time_seconds_total",
    "quarterdeck_instrumentation_failures_total",
)
GUNICORN = ("gunicorn", "app:app", "--bind", "127.0.0.1:{port}", "--no-control-socket", "--workers", "2")
SERVERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "gunicorn": ("wsgi", (*GUNICORN, "--threads", "2", "--max-requests", "30")),
    "uvicorn": (
        "asgi",
        ("uvicorn", "app:app", "--port", "{port}", "--workers", "2", "--timeout-worker-healthcheck", "60"),
    ),
}


def killed(service: Running) -> None:
    """Kill a worker that has answered, when what it answered has been written down."""
    service.counts()
    os.kill(max(service.pids), signal.SIGKILL)


def left(service: Running) -> None:
    """Have a worker end itself, when what it answered is counted: another of its threads may have the answer's end."""
    service.counts()
    service.leave()


def told(number: signal.Signals) -> Callable[[Running], None]:
    """Return what sends the service's main process a signal."""
    return lambda service: service.process.send_signal(number)


DEATHS = (
    (killed, 2),
    (left, 2),
    (told(signal.SIGTTIN), 3),
    (killed, 3),
    (told(signal.SIGTTOU), 2),
    (told(signal.SIGHUP), 2),
)
"""What happens to the workers, and how many there are after it."""


@pytest.mark.parametrize(("kind", "command"), SERVERS.values(), ids=SERVERS.keys())
def test_no_counter_goes_backwards(
    serving: Callable[..., Running],
    prometheus_of: Callable[..., Prometheus],
    kind: str,
    command: tuple[str, ...],
) -> None:
    """Through kills, exits, recycling, reloading and scaling; in the end it has counted what was answered."""
    service = serving(kind, *command).instrumented(2)
    ask = prometheus_of(service.page_port).value
    for happens, workers in DEATHS:
        service.pids.clear()
        service.send(20)
        happens(service)
        service.ready(workers)
    service.counts()

    total = f'sum({COUNT}{{http_route="{service.route}"}})'
    service.wait_for(lambda: ask(total) == service.answered, "all requests in Prometheus")
    assert {name: ask(f"max(resets({name}[5m]))") for name in CUMULATIVE} == dict.fromkeys(CUMULATIVE, 0.0)
