"""Real services for the contract's tests: an application under a real server, started as a user starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.contract.scraping import Prometheus
from tests.programs import free_port, until

from quarterdeck_contract import metrics
from quarterdeck_contract.labels import UNMATCHED_ROUTE
from quarterdeck_contract.naming import prometheus_name, series_names
from quarterdeck_instrumentation.testing import Page, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


HTTP = (metrics.HTTP_SERVER_DURATION, metrics.HTTP_SERVER_ACTIVE)
RPC = (metrics.RPC_SERVER_DURATION,)
WHERE_LIMITED = (metrics.WORKER_BUSY, metrics.WORKER_CAPACITY)
"""What only a server with a limit, or an application that uses worker threads, emits."""

BIN = Path(sys.executable).parent
DEADLINE = 120.0
"""Seconds until a service that does not end fails its test."""
OPENMETRICS = "application/openmetrics-text;version=1.0.0"

CHECKOUT = '''
import os

from fastapi import FastAPI, HTTPException

app = FastAPI()


@app.get("/items/{item}", tags=["items"])
async def item(item: int) -> dict[str, int]:
    return {"item": item, "pid": os.getpid()}


@app.get("/fails")
async def fails() -> None:
    raise LookupError


@app.get("/healthz")
async def healthz() -> None:
    """Say that all is well."""
'''
"""A service without one line of telemetry."""


class Service:
    """An instrumented service, from outside."""

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        source: str = CHECKOUT,
        server: str = "uvicorn",
        launcher: str = "quarterdeck-instrument",
        **environ: str,
    ) -> None:
        """Start *server* under *launcher* with *arguments* in *folder* with *environ* added; ports are free ones."""
        self.port, self.metrics_port = free_port(), int(environ.pop("METRICS_PORT", 0)) or free_port()
        self.base = folder / "metrics"
        (folder / "app.py").write_text(source)
        self.log = folder / "service.log"
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "QUARTERDECK_"))
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [BIN / launcher, BIN / server, *_serves(server, self.port), *arguments],
                cwd=folder,
                env={
                    **inherited,
                    "OTEL_EXPORTER_PROMETHEUS_HOST": "127.0.0.1",
                    "OTEL_EXPORTER_PROMETHEUS_PORT": str(self.metrics_port),
                    "QUARTERDECK_METRICS_DIR": str(self.base),
                    # A collector that answers does so late on a busy machine; for one that is not there, none waits.
                    **({"QUARTERDECK_FLUSH_TIMEOUT": "10"} if "OTEL_EXPORTER_OTLP_ENDPOINT" in environ else {}),
                    **environ,
                },
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def get(self, path: str) -> tuple[int, str]:
        """Send one request on a connection of its own, and return status and body."""
        return _get(self.port, path)

    def scrape(self, accept: str = "text/plain") -> Page | None:
        """Return the page; None while nobody serves it."""
        try:
            status, text = _get(self.metrics_port, "/metrics", Accept=accept)
        except (OSError, HTTPException):
            return None
        assert status == 200
        return parse(text)

    def page(self, accept: str = "text/plain") -> Page:
        """Return the page, when it is there."""
        return until(lambda: self.scrape(accept), f"the page; {self.log.read_text()}")

    def value(self, name: str, **labels: str) -> float:
        """Return a value from the page."""
        return self.page().value(name, **labels)

    def ready(self, workers: int) -> Service:
        """Wait until *workers* workers are on the page and requests are answered."""
        until(self._answers, f"an answer; {self.log.read_text()}")
        until(lambda: self.value("quarterdeck_workers") == workers, f"{workers} workers; {self.log.read_text()}")
        return self

    def workers(self) -> set[int]:
        """Return the process ids of the workers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return {int(pid) for pid in children if _is_worker(pid)}

    def page_owner(self) -> int:
        """Return the process id of the worker that serves the page."""
        (line,) = (line for line in Path("/proc/net/tcp").read_text().splitlines() if self._listens(line))
        inode = f"socket:[{line.split()[9]}]"
        return next(pid for pid in self.workers() if inode in _open_files(pid))

    def stop(self) -> int:
        """End it as Kubernetes does, and return its exit status."""
        self.process.terminate()
        return self.process.wait(DEADLINE)

    def kill(self) -> None:
        """End it without a word, its workers too."""
        pids = [self.process.pid, *self.workers()] if self.process.poll() is None else []
        for pid in pids:
            with suppress(ProcessLookupError):  # a worker whose parent was just killed may end by itself
                os.kill(pid, 9)
        self.process.wait(DEADLINE)

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.get("/healthz")[0] == 200
        except (OSError, HTTPException):
            return False

    def _listens(self, line: str) -> bool:
        return f":{self.metrics_port:04X} " in line.partition(" 00000000:0000")[0] + " " and " 0A " in line


def _serves(server: str, port: int) -> list[str]:
    """Return what *server* is told, besides a test's own arguments; `python` is for services that serve themselves."""
    if server == "python":
        return ["app.py", str(port)]
    if server == "gunicorn":
        return ["app:app", "--bind", f"127.0.0.1:{port}", "--no-control-socket", "--access-logfile", "-"]
    if server == "hypercorn":
        return ["app:app", "--bind", f"127.0.0.1:{port}"]
    # uvicorn kills workers that do not answer it within 5 s, as on a busy machine none may that is still importing.
    return ["app:app", "--port", str(port), "--timeout-worker-healthcheck", "60"]


def _is_worker(pid: str) -> bool:
    try:
        command_line = Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False  # it has ended in between
    return any(word in command_line for word in ("spawn_main", "gunicorn", "app.py"))


def _open_files(pid: int) -> set[str]:
    found = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.add(str(link.readlink()))
        except OSError:
            continue  # closed in between
    return found


def _get(port: int, path: str, **headers: str) -> tuple[int, str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers={"Connection": "close", **headers})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def _services(root: Path) -> Iterator[Callable[..., Service]]:
    started: list[Service] = []

    def start(*arguments: str, **options: Any) -> Service:
        folder = root / f"service-{len(started)}"
        folder.mkdir()
        started.append(Service(folder, *arguments, **options))
        return started[-1]

    yield start
    for each in started:
        each.kill()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Return a function that starts a service, which is ended with the test."""
    yield from _services(tmp_path)


@pytest.fixture(scope="module")
def lasting_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Service]]:
    """Return a function that starts a service, which is ended with the last test of the module."""
    yield from _services(tmp_path_factory.mktemp("services"))


def keeps_the_contract(page: Page, served: tuple[metrics.Metric, ...] = HTTP) -> None:
    """Require that what is on *page* is what is declared, both ways: names, labels, closed sets.

    Of HTTP's metrics and gRPC's, those that are *served*.
    """
    emitted = {sample.name for sample in page.samples}
    spoken = [each for each in metrics.ALL if each in served or each not in (*HTTP, *RPC)]
    expected = [each for each in spoken if each not in WHERE_LIMITED or prometheus_name(each) in emitted]
    assert emitted == {name for metric in expected for name in series_names(metric)}
    for metric in expected:
        declared = {label.prometheus: set(label.values) for label in metric.labels}
        found: dict[str, set[str]] = {}
        for sample in (sample for name in series_names(metric) for sample in page.find(name)):
            for label, value in sample.labels.items():
                found.setdefault(label, set()).add(value)
        found.pop("le", None)
        assert found.keys() == declared.keys()
        assert all(not declared[label] or values <= declared[label] for label, values in found.items())


def asked_for_orders(running: Service) -> Service:
    """Have a service answer ten orders, fail once, and have no route for one request."""
    for number in range(10):
        assert running.get(f"/orders/{number}")[0] == 200
    assert running.get("/fails")[0] == 500
    assert running.get("/orders/none")[0] == 404
    return running


def tells_of_orders(running: Service, route: str) -> Page:
    """Require that the page tells of these requests and of nothing else, orders by *route*; and return it."""
    count = "http_server_request_duration_seconds_count"

    def whole() -> Page | None:
        page = running.page()
        return page if page.value(count) == 12.0 else None

    page = until(whole, "all requests on the page")
    keeps_the_contract(page)
    named = ("http_route", "http_response_status_code", "error_type")
    found = {tuple(each.labels.get(name) for name in named): each.value for each in page.find(count)}
    assert found == {
        (route, "200", None): 10.0,
        ("/fails", "500", "LookupError"): 1.0,
        (UNMATCHED_ROUTE, "404", None): 1.0,
    }
    assert page.value("quarterdeck_instrumentation_failures_total") == 0.0
    assert page.value("http_server_active_requests") == 0.0
    return page


@pytest.fixture(scope="session", name="keeps_the_contract")
def _keeps_the_contract() -> Callable[[Page], None]:
    """Return the function that compares a page with the contract."""
    return keeps_the_contract


@pytest.fixture(scope="session", name="until")
def _until() -> Callable[[Callable[[], Any], str], Any]:
    """Return the function that waits for a condition."""
    return until


@pytest.fixture
def prometheus_of(tool: Callable[[str], Path], tmp_path: Path) -> Iterator[Callable[..., Prometheus]]:
    """Return a function that starts a Prometheus which scrapes a port, and has it scrape once."""
    started: list[Prometheus] = []

    def start(scraped: int, **options: Any) -> Prometheus:
        folder = tmp_path / f"prometheus-{len(started)}"
        folder.mkdir()
        server = Prometheus(tool("prometheus"), folder, scraped, **options)
        started.append(server)
        until(lambda: server.value("up") == 1.0, "the first scrape")
        return server

    yield start
    for each in started:
        each.kill()
