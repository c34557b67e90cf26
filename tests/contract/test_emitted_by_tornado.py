"""What a Tornado service emits is what the contract declares, in one process and in forked ones, to the last span."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from tests.contract.conftest import asked_for_orders, tells_of_orders

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Collector
    from tests.contract.conftest import Service

SOURCE = """
import asyncio
import signal
import sys

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.process import fork_processes
from tornado.web import Application, RequestHandler


class Order(RequestHandler):
    async def get(self, order):
        self.write({"order": order})


class Fails(RequestHandler):
    def get(self):
        raise LookupError


class Healthz(RequestHandler):
    def get(self):
        self.finish()


async def serve(sockets, stops):
    server = HTTPServer(Application([(r"/orders/([0-9]+)", Order), ("/fails", Fails), ("/healthz", Healthz)]))
    server.add_sockets(sockets)
    stopped = asyncio.Event()
    if stops:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()
    server.stop()
    await server.close_all_connections()


sockets = bind_sockets(int(sys.argv[1]), "127.0.0.1")
if "fork" in sys.argv:
    fork_processes(2)
asyncio.run(serve(sockets, "fork" in sys.argv))
"""
"""A service without one line of telemetry; alone it leaves SIGTERM to the system, and forked it ends in good order."""


@pytest.fixture(params=[(), ("fork",)], ids=["one process", "two forked"])
def orders(request: pytest.FixtureRequest, service: Callable[..., Service], collector: Collector) -> Service:
    """Return a service that answered ten requests, failed one, and had no route for one."""
    running = service(
        *request.param,
        source=SOURCE,
        server="python",
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{collector.port}",
    ).ready(2 if request.param else 1)
    return asked_for_orders(running)


def test_what_is_emitted_is_declared(orders: Service, collector: Collector) -> None:
    """Both ways; and when it ends, as without us, no span is lost."""
    page = tells_of_orders(orders, "/orders/{1}")

    assert ended(orders) == (0 if page.value("quarterdeck_workers") == 2.0 else -signal.SIGTERM)
    assert sorted(collector.names()) == ["GET", "GET /fails", *["GET /orders/{1}"] * 10]


def ended(orders: Service) -> int:
    """End *orders* as a supervisor does, by a signal to every process that serves, and return its exit status."""
    children = orders.workers()
    for pid in children:
        os.kill(pid, signal.SIGTERM)
    return orders.process.wait(120) if children else orders.stop()
