"""How full real servers' workers are: threads, event loop, and the queue before the door, as an operator sees it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.contract.conftest import Service

FLASK = """
import os
import time

from flask import Flask

app = Flask(__name__)


@app.get("/held")
def held():
    while not os.path.exists("free"):
        time.sleep(0.01)
    return "free"


@app.get("/healthz")
def healthz():
    return ""
"""

FASTAPI = """
import os
import time

from fastapi import FastAPI

app = FastAPI()


@app.get("/held")
def held() -> str:
    while not os.path.exists("free"):
        time.sleep(0.01)
    return "free"


@app.get("/blocks")
async def blocks() -> None:
    time.sleep(0.3)


@app.get("/healthz")
async def healthz() -> None:
    pass
"""


class Held:
    """Requests that wait in a service until they are let go."""

    def __init__(self, checkout: Service, number: int) -> None:
        self._checkout = checkout
        self._answers: list[tuple[int, str]] = []
        self._threads = [threading.Thread(target=self._ask) for _ in range(number)]
        for thread in self._threads:
            thread.start()

    def _ask(self) -> None:
        self._answers.append(self._checkout.get("/held"))

    def let_go(self) -> list[int]:
        """Have them answered, and return their statuses."""
        (self._checkout.base.parent / "free").touch()
        for thread in self._threads:
            thread.join()
        return [status for status, _ in self._answers]


@pytest.fixture
def hold() -> Iterator[Callable[[Service, int], Held]]:
    """Return a function that has requests wait in a service; at the latest with the test they are let go."""
    held: list[Held] = []

    def holding(checkout: Service, number: int) -> Held:
        held.append(Held(checkout, number))
        return held[-1]

    yield holding
    for each in held:
        each.let_go()


def test_the_threads_of_a_worker(
    service: Callable[..., Service], until: Callable[..., Any], hold: Callable[[Service, int], Held]
) -> None:
    """gunicorn's, in two workers: what is taken, and what there is."""
    checkout = service("--workers", "2", "--threads", "3", server="gunicorn", source=FLASK).ready(2)
    until(lambda: checkout.value("quarterdeck_worker_capacity", pool="requests") == 6.0, "the threads of both")

    held = hold(checkout, 2)
    until(lambda: checkout.value("quarterdeck_worker_busy", pool="requests") == 2.0, "two threads taken")
    assert held.let_go() == [200, 200]
    until(lambda: checkout.value("quarterdeck_worker_busy", pool="requests") == 0.0, "no thread taken")


def test_the_queue_before_the_door(
    service: Callable[..., Service], until: Callable[..., Any], hold: Callable[[Service, int], Held]
) -> None:
    """A synchronous worker serves one request; who comes meanwhile waits where only the kernel counts."""
    checkout = service("--backlog", "64", server="gunicorn", source=FLASK).ready(1)
    assert checkout.value("quarterdeck_worker_capacity", pool="requests") == 1.0
    assert checkout.value("quarterdeck_listen_queue_limit") == 64.0

    held = hold(checkout, 5)
    until(lambda: checkout.value("quarterdeck_listen_queue_length") == 4.0, "four who wait")
    assert checkout.value("quarterdeck_worker_busy", pool="requests") == 1.0
    assert held.let_go() == [200] * 5
    until(lambda: checkout.value("quarterdeck_listen_queue_length") == 0.0, "nobody who waits")


def test_the_threads_of_plain_functions(
    service: Callable[..., Service], until: Callable[..., Any], hold: Callable[[Service, int], Held]
) -> None:
    """Starlette's, and the connections that uvicorn takes."""
    checkout = service("--limit-concurrency", "50", source=FASTAPI).ready(1)
    held = hold(checkout, 5)
    until(lambda: checkout.value("quarterdeck_worker_busy", pool="threads") == 5.0, "five threads taken")
    assert checkout.value("quarterdeck_worker_capacity", pool="threads") == 40.0
    assert checkout.value("quarterdeck_worker_busy", pool="requests") == 5.0
    assert checkout.value("quarterdeck_worker_capacity", pool="requests") == 50.0
    assert held.let_go() == [200] * 5


def test_an_event_loop_that_is_blocked(service: Callable[..., Service], until: Callable[..., Any]) -> None:
    """By a handler that sleeps: how long events waited, which an idle loop's do not."""
    checkout = service(source=FASTAPI).ready(1)
    lag = "quarterdeck_event_loop_lag_seconds"

    def blocked() -> bool:
        assert checkout.get("/blocks")[0] == 200
        page = checkout.page()
        return page.value(f"{lag}_count") - page.value(f"{lag}_bucket", le="0.1") >= 2.0

    until(blocked, "two events that waited for more than a tenth of a second")
    assert checkout.value(f"{lag}_sum") > 0.2
    assert checkout.value("quarterdeck_event_loop_cpu_time_seconds_total") > 0.0
    assert checkout.value("quarterdeck_instrumentation_failures_total") == 0.0
