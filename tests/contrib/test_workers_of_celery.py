"""Celery's workers, on real brokers: a task is in the trace of the request that sent it, and no span is lost."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Collector
    from tests.contrib.conftest import Program, Servers, Span

pytestmark = pytest.mark.tools

WORK = """
import os

import celery
from flask import Flask
from opentelemetry import metrics, trace

app = celery.Celery("work", broker=os.environ["BROKER"])
app.conf.broker_connection_retry_on_startup = True
app.conf.task_default_queue = os.environ["QUEUE"]
app.conf.worker_hijack_root_logger = False
packed = metrics.get_meter("work").create_counter("parcels.packed")


@app.task(name="pack")
def pack(number):
    with trace.get_tracer("work").start_as_current_span("fold"):
        packed.add(1)
    return os.getpid()


site = Flask("shop")


@site.get("/order/<int:number>")
def order(number):
    return pack.delay(number).id
"""
POOLS = {
    "prefork, one task for each process": ("--concurrency=2", "--max-tasks-per-child=1"),
    "prefork": ("--concurrency=2",),
    "threads": ("--pool=threads", "--concurrency=2"),
    "solo": ("--pool=solo",),
}
TASKS = 10


class Site:
    """A worker, and what sends it tasks."""

    def __init__(self, folder: Path, program: Callable[..., Program], broker: str, collector: Collector) -> None:
        (folder / "work.py").write_text(WORK)
        self._program = program
        self._folder = folder
        self._environ = {
            "BROKER": broker,
            "QUEUE": f"parcels-{os.urandom(4).hex()}",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.port}",
        }

    def worker(self, *pool: str) -> Program:
        """Start a worker with the options *pool*, which sends no span before its end if it can help it."""
        command = ("celery", "-A", "work", "worker", "--loglevel=INFO", "--without-gossip", "--without-mingle")
        return self._start(*command, *pool, OTEL_SERVICE_NAME="packer", OTEL_BSP_SCHEDULE_DELAY="60000")

    def shop(self, port: int) -> Program:
        """Start the service that sends a task for each request."""
        return self._start("flask", "--app", "work:site", "run", "--port", str(port), OTEL_SERVICE_NAME="shop")

    def _start(self, *command: str, **environ: str) -> Program:
        return self._program(self._folder, *command, **self._environ, **environ)


@pytest.fixture
def site(tmp_path: Path, program: Callable[..., Program], servers: Servers, collector: Collector) -> Site:
    """Return a site whose broker is Redis."""
    return Site(tmp_path, program, servers.url("redis"), collector)


def order(get: Any, until: Any, shop: Program, port: int) -> None:
    """Send the tasks, once the shop answers."""

    def ordered() -> bool:
        try:
            return bool(get(port, "/order/0")[0] == 200)
        except OSError:
            return False

    until(ordered, shop.log.read_text)
    for number in range(1, TASKS):
        assert get(port, f"/order/{number}")[0] == 200, shop.log.read_text()


@pytest.mark.parametrize("pool", POOLS.values(), ids=POOLS)
def test_no_span_of_a_task_is_lost(  # noqa: PLR0917 -- fixtures are parameters
    site: Site,
    pool: tuple[str, ...],
    collector: Collector,
    spans: Callable[[Collector], list[Span]],
    until: Any,
    get: Any,
    a_port: Callable[[], int],
) -> None:
    """Ten requests, ten tasks, each in its request's trace, and all of them out, although processes are recycled."""
    port = a_port()
    worker, shop = site.worker(*pool), site.shop(port)
    order(get, until, shop, port)
    until(lambda: worker.log.read_text().count(" succeeded in ") == TASKS, worker.log.read_text)
    page = until(worker.scrape, worker.log.read_text)
    counted = until(
        lambda: (found := worker.scrape()) and found.value("parcels_packed_total") == TASKS, worker.log.read_text
    )

    status = worker.stop()
    shop.stop(signal.SIGINT)

    assert (status, counted) == (0, True), worker.log.read_text()
    assert page.value("quarterdeck_workers") >= 1
    made = spans(collector)
    requests = {each.trace: each for each in made if each.name == "GET /order/<int:number>"}
    sent = {each.id: each for each in made if each.name == "apply_async/pack"}
    ran = {each.id: each for each in made if each.name == "run/pack"}
    folded = [each for each in made if each.name == "fold"]
    assert (len(requests), len(sent), len(ran), len(folded)) == (TASKS, TASKS, TASKS, TASKS), worker.log.read_text()
    assert {(each.service, each.kind) for each in ran.values()} == {("packer", "CONSUMER")}
    assert all(sent[each.parent].parent == requests[each.trace].id for each in ran.values())
    assert all(each.parent in ran for each in folded)
    assert "the service is not affected" not in worker.log.read_text()


def test_over_rabbitmq(  # noqa: PLR0917 -- likewise
    tmp_path: Path,
    program: Callable[..., Program],
    servers: Servers,
    collector: Collector,
    spans: Callable[[Collector], list[Span]],
    until: Any,
    get: Any,
    a_port: Callable[[], int],
) -> None:
    """Kombu has no instrumentor of its own: Celery's carries the trace, whatever the broker."""
    site = Site(tmp_path, program, servers.url("rabbitmq").replace("%2F", "/"), collector)
    port = a_port()
    worker, shop = site.worker(*POOLS["solo"]), site.shop(port)
    order(get, until, shop, port)
    until(lambda: worker.log.read_text().count(" succeeded in ") == TASKS, worker.log.read_text)

    worker.stop()
    shop.stop(signal.SIGINT)

    traces = [each.trace for each in spans(collector) if each.name == "run/pack"]
    assert len(traces) == TASKS
    assert set(traces) == {each.trace for each in spans(collector) if each.service == "shop"}
