"""A Prometheus that scrapes all through it sees no counter go backwards, however workers end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from quarterdeck_contract.prometheus import FEATURE_FLAGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.contract.servers.conftest import Running

pytestmark = pytest.mark.tools

COUNT = "http_server_request_duration_seconds_count"
CUMULATIVE = (
    *(COUNT.replace("_count", part) for part in ("_count", "_sum", "_bucket")),
    "process_cpu_time_seconds_total",
    "quarterdeck_instrumentation_failures_total",
)
CONFIGURATION = """
global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
scrape_configs:
  - job_name: checkout
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""
GUNICORN = ("gunicorn", "app:app", "--bind", "127.0.0.1:{port}", "--no-control-socket", "--workers", "2")
SERVERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "gunicorn": ("wsgi", (*GUNICORN, "--threads", "2", "--max-requests", "30")),
    "uvicorn": ("asgi", ("uvicorn", "app:app", "--port", "{port}", "--workers", "2")),
}


@pytest.fixture
def prometheus(
    tool: Callable[[str], Path], tmp_path: Path, free_port: int, until: Callable[..., Any]
) -> Iterator[Callable[[int], Callable[[str], float | None]]]:
    """Return a function that has a Prometheus scrape a port, and returns what asks it a query."""
    started: list[subprocess.Popen[bytes]] = []

    def ask(query: str) -> float | None:
        connection = HTTPConnection("127.0.0.1", free_port, timeout=10)
        try:
            connection.request("GET", f"/api/v1/query?{urlencode({'query': query})}")
            response = connection.getresponse()
            result = json.load(response)["data"]["result"] if response.status == 200 else None
        except OSError:
            return None
        finally:
            connection.close()
        return float(result[0]["value"][1]) if result else None

    def start(port: int) -> Callable[[str], float | None]:
        file = tmp_path / "prometheus.yml"
        file.write_text(CONFIGURATION.format(port=port))
        arguments = [
            tool("prometheus"),
            f"--config.file={file}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{free_port}",
            f"--enable-feature={','.join(FEATURE_FLAGS)}",
        ]
        with (tmp_path / "prometheus.log").open("wb") as log:
            started.append(subprocess.Popen(arguments, stdout=log, stderr=log))
        until(lambda: ask("up") == 1.0, "the first scrape")
        return ask

    yield start
    for process in started:
        process.kill()
        process.wait()


def killed(service: Running) -> None:
    """Kill a worker that has answered, when what it answered has been written down."""
    service.counts()
    os.kill(max(service.pids), signal.SIGKILL)


def left(service: Running) -> None:
    """Have a worker end itself."""
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
    prometheus: Callable[[int], Callable[[str], float | None]],
    kind: str,
    command: tuple[str, ...],
) -> None:
    """Through kills, exits, recycling, reloading and scaling; in the end it has counted what was answered."""
    service = serving(kind, *command).instrumented(2)
    ask = prometheus(service.page_port)
    for happens, workers in DEATHS:
        service.pids.clear()
        service.send(20)
        happens(service)
        service.ready(workers)
    service.counts()

    total = f'sum({COUNT}{{http_route="{service.route}"}})'
    service.wait_for(lambda: ask(total) == service.answered, "all requests in Prometheus")
    assert {name: ask(f"max(resets({name}[5m]))") for name in CUMULATIVE} == dict.fromkeys(CUMULATIVE, 0.0)
