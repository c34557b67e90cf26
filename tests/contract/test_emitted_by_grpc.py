"""What a gRPC service emits is what the contract declares, with threads and with asyncio, to the last span."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import grpc
import pytest

from quarterdeck_contract import metrics

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Collector
    from tests.contract.conftest import Service

    from quarterdeck_instrumentation.testing import Page

COUNT = "rpc_server_call_duration_seconds_count"

SOURCE = """
import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc


def get(request, context):
    return request


def fails(request, context):
    raise LookupError


def follow(request, context):
    yield from (request, request)


async def get_later(request, context):
    return request


async def fails_later(request, context):
    raise LookupError


async def follow_later(request, context):
    yield request
    yield request


def serve(server, get, fails, follow):
    orders = {
        "Get": grpc.unary_unary_rpc_method_handler(get),
        "Fails": grpc.unary_unary_rpc_method_handler(fails),
        "Follow": grpc.unary_stream_rpc_method_handler(follow),
    }
    health = {"Check": grpc.unary_unary_rpc_method_handler(get)}
    server.add_generic_rpc_handlers((
        grpc.method_handlers_generic_handler("shop.Orders", orders),
        grpc.method_handlers_generic_handler("grpc.health.v1.Health", health),
    ))
    server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
    return server


async def main():
    server = serve(grpc.aio.server(), get_later, fails_later, follow_later)
    await server.start()
    await server.wait_for_termination()


if "asyncio" in sys.argv:
    asyncio.run(main())
else:
    server = serve(grpc.server(ThreadPoolExecutor(4)), get, fails, follow)
    server.start()
    server.wait_for_termination()
"""
"""A service without one line of telemetry, that leaves SIGTERM to the system."""


@pytest.fixture(params=["threads", "asyncio"])
def orders(
    request: pytest.FixtureRequest, service: Callable[..., Service], collector: Collector, until: Callable[..., Page]
) -> Service:
    """Return a service that answered ten calls and a stream, failed a call, and had no method for one."""
    running = service(
        request.param,
        source=SOURCE,
        server="python",
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{collector.port}",
    )
    until(lambda: running.page().value("quarterdeck_workers") == 1.0, "the worker")
    with grpc.insecure_channel(f"127.0.0.1:{running.port}") as channel:
        grpc.channel_ready_future(channel).result(120)
        for _ in range(10):
            assert channel.unary_unary("/shop.Orders/Get")(b"7", timeout=60) == b"7"
        assert list(channel.unary_stream("/shop.Orders/Follow")(b"7", timeout=60)) == [b"7", b"7"]
        assert channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=60) == b""
        for method in ("/shop.Orders/Fails", "/wp.Admin/Login"):
            with pytest.raises(grpc.RpcError):
                channel.unary_unary(method)(b"", timeout=60)
    return running


def test_what_is_emitted_is_declared(
    orders: Service,
    collector: Collector,
    until: Callable[..., Page],
    keeps_the_contract: Callable[..., None],
) -> None:
    """Both ways, and probes are not; and when it ends, as without us, no span is lost."""

    def whole() -> Page | None:
        page = orders.page()
        return page if page.value(COUNT) == 13.0 else None

    page = until(whole, "all calls on the page")

    keeps_the_contract(page, (metrics.RPC_SERVER_DURATION,))
    assert {
        (sample.labels["rpc_method"], sample.labels["rpc_response_status_code"], sample.labels.get("error_type")): (
            sample.value
        )
        for sample in page.find(COUNT)
    } == {
        ("shop.Orders/Get", "OK", None): 10.0,
        ("shop.Orders/Follow", "OK", None): 1.0,
        ("shop.Orders/Fails", "UNKNOWN", "LookupError"): 1.0,
        ("_OTHER", "UNIMPLEMENTED", "UNIMPLEMENTED"): 1.0,
    }
    assert page.value("quarterdeck_instrumentation_failures_total") == 0.0

    assert orders.stop() == -signal.SIGTERM
    assert sorted(collector.names()) == [
        "grpc",
        "shop.Orders/Fails",
        "shop.Orders/Follow",
        *["shop.Orders/Get"] * 10,
    ]
