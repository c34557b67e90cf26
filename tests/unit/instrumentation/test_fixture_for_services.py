"""The pytest fixture `telemetry`, in the tests of services that have nothing else of ours."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

SERVICE = """
import threading

import anyio
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from flask import Flask
from opentelemetry import metrics, trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.trace import Link, SpanKind, StatusCode

tracer = trace.get_tracer("checkout")  # at import: a proxy, which keeps the first provider it meets
orders = metrics.get_meter("checkout").create_counter("orders")
app = Flask(__name__)
COUNT = "http_server_request_duration_seconds_count"


@app.get("/orders/<int:order>")
def order(order):
    with tracer.start_as_current_span("look up", attributes={"order": order}):
        orders.add(1)
        return str(order)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_each_test_has_its_own(telemetry, number):
    for order in range(number):
        app.test_client().get(f"/orders/{order}").close()

    assert telemetry.value(COUNT, http_route="/orders/<int:order>") == number
    assert telemetry.value("orders_total") == number
    assert [span.name for span in telemetry.spans] == ["look up", "GET /orders/<int:order>"] * number
    own, request = telemetry.spans[:2]
    assert own.parent == request.context
    assert own.attributes == {"order": 0}
    assert (own.scope, request.scope) == ("checkout", "quarterdeck.instrumentation")
    assert request.kind is SpanKind.SERVER
    assert request.resource["telemetry.sdk.language"] == "python"


def test_without_it():
    assert app.test_client().get("/orders/1").text == "1"
    assert not tracer.start_span("nobody looks").is_recording()


def test_spans_are_plain_objects(telemetry):
    with pytest.raises(LookupError), tracer.start_as_current_span("fails", links=[Link(trace.SpanContext(1, 2, True))]):
        trace.get_current_span().add_event("half way", {"at": 1})
        raise LookupError("nothing")

    span = telemetry.span("fails")
    assert span.status.status_code is StatusCode.ERROR
    assert [(event.name, event.attributes.get("at")) for event in span.events] == [("half way", 1), ("exception", None)]
    assert [link.context.trace_id for link in span.links] == [1]
    assert span.end_time >= span.events[1].timestamp >= span.start_time > 0
    assert span == telemetry.spans[0]
    with pytest.raises(AttributeError):
        span.name = "else"
    with pytest.raises(AssertionError, match=r"expected one span 'none'; found \\['fails'\\]"):
        telemetry.span("none")


class Seen(SpanProcessor):
    def __init__(self):
        self.names, self.closed = [], False

    def on_end(self, span):
        self.names.append(span.name)

    def shutdown(self):
        self.closed = True


seen = Seen()


def test_a_processor_of_one_test(telemetry):
    telemetry.provider.add_span_processor(seen)
    tracer.start_span("one").end()
    trace.get_tracer_provider().add_span_processor(other := Seen())
    tracer.start_span("two").end()
    assert (seen.names, other.names) == (["one", "two"], ["two"])
    assert isinstance(telemetry.provider, TracerProvider)
    assert isinstance(trace.get_tracer_provider(), TracerProvider)


def test_is_not_there_in_the_next(telemetry):
    tracer.start_span("three").end()
    assert seen.names == ["one", "two"]
    assert telemetry.span("three")


late = threading.Event()
threads = []


def test_a_thread_that_ends_a_span_late(telemetry):
    def work():
        with tracer.start_as_current_span("in the background"):
            began.set()
            late.wait(30)

    began = threading.Event()
    threads.append((threading.Thread(target=work), telemetry))
    threads[0][0].start()
    assert began.wait(30)
    assert telemetry.spans == []


def test_ends_it_where_it_began(telemetry):
    late.set()
    thread, earlier = threads.pop()
    thread.join()
    assert telemetry.spans == []
    assert earlier.span("in the background")


api = FastAPI()


@api.get("/items/{item}")
async def item(item: int):
    with tracer.start_as_current_span("think"):
        await anyio.sleep(0)


def test_an_asynchronous_service(telemetry):
    TestClient(api).get("/items/7")
    assert telemetry.span("think").parent == telemetry.span("GET /items/{item}").context


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.mark.anyio
async def test_that_is_asynchronous_itself(telemetry):
    async with anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(each, number)
    assert sorted(span.name for span in telemetry.spans) == ["task 0", "task 1", "task 2"]
    assert {span.parent for span in telemetry.spans} == {None}


async def each(number):
    with tracer.start_as_current_span(f"task {number}"):
        await anyio.sleep(0)
"""
OWN_PROVIDER = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

provider = TracerProvider(shutdown_on_exit=False)
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("checkout")


def test_the_services_own_provider_stays(telemetry):
    tracer.start_span("one").end()
    assert telemetry.provider is provider
    assert [span.name for span in telemetry.spans] == ["one"]


def test_and_each_test_has_its_own_spans(telemetry):
    tracer.start_span("two").end()
    assert [span.name for span in telemetry.spans] == ["two"]


def test_without_it():
    tracer.start_span("three").end()
"""


CLIENTS = """
import asyncio

import django
import pytest
from django.conf import settings
from django.http import HttpResponse, StreamingHttpResponse
from django.test import AsyncClient, Client
from django.urls import path
from flask import Flask
from opentelemetry import trace
from prometheus_client import Counter

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="s")
django.setup()
sold = Counter("sold", "What was sold.", ["what"])
COUNT = "http_server_request_duration_seconds_count"
flask_app = Flask(__name__)


@flask_app.get("/orders/<int:order>")
def order(order):
    sold.labels("apples").inc()
    return ("", 204) if order == 0 else str(order)


@flask_app.get("/stream")
def stream():
    return (part for part in "abc")


def view(request, order):
    sold.labels("apples").inc()
    if order == 9:
        raise LookupError
    return StreamingHttpResponse("abc") if order == 8 else HttpResponse(str(order))


async def view_async(request, order):
    return HttpResponse(str(order))


urlpatterns = [path("orders/<int:order>", view), path("async/<int:order>", view_async)]


@pytest.mark.parametrize("client", [flask_app.test_client(), Client()], ids=["Flask", "Django"])
@pytest.mark.parametrize("order", [0, 7])
def test_an_order_is_one_request(telemetry, client, order):
    response = client.get(f"/orders/{order}")

    status = response.status_code
    assert telemetry.value(COUNT, http_route="/orders/<int:order>", http_response_status_code=str(status)) == 1
    assert telemetry.span("GET /orders/<int:order>").attributes["http.response.status_code"] == status
    assert telemetry.value("sold_total", what="apples") == 1
    assert telemetry.value("http_server_active_requests") == 0
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_a_stream_of_flask_ends_when_it_is_read(telemetry):
    response = flask_app.test_client().get("/stream")
    assert telemetry.value(COUNT) == 0
    assert response.text == "abc"
    assert telemetry.value(COUNT, http_route="/stream") == 1


def test_a_stream_of_django_is_the_tests_to_read(telemetry):
    assert b"".join(Client().get("/orders/8").streaming_content) == b"abc"
    assert telemetry.value(COUNT, http_route="/orders/<int:order>") == 1


def test_an_exception_is_the_tests_and_its_type_ours(telemetry):
    with pytest.raises(LookupError):
        Client().get("/orders/9")
    assert telemetry.value(COUNT, http_response_status_code="500", error_type="LookupError") == 1


def test_an_asynchronous_client(telemetry):
    assert asyncio.run(AsyncClient().get("/async/3")).content == b"3"
    assert telemetry.value(COUNT, http_route="/async/<int:order>") == 1
    assert telemetry.span("GET /async/<int:order>").attributes["http.response.status_code"] == 200


def test_without_it():
    assert Client().get("/orders/7").content == flask_app.test_client().get("/orders/7").data == b"7"
"""


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["one process", "two processes"])
@pytest.mark.parametrize(
    ("service", "passed"),
    [(SERVICE, 11), (OWN_PROVIDER, 3), (CLIENTS, 9)],
    ids=["ours", "its own", "clients that read nothing"],
)
def test_each_test_sees_its_own(tmp_path: Path, service: str, passed: int, options: tuple[str, ...]) -> None:
    """Spans, metrics and provider; what begins in a test stays in it; a test without the fixture works as before."""
    (tmp_path / "test_service.py").write_text(service)
    environ = {"PATH": os.environ["PATH"], "OTEL_METRICS_EXPORTER": "none", "OTEL_TRACES_SAMPLER": "always_off"}
    environ = environ if service == SERVICE else {**environ, "OTEL_TRACES_SAMPLER": "always_on"}
    quiet = ("-q", "-p", "no:cacheprovider", "-W", "ignore", "--rootdir", tmp_path)
    distribution = ("--dist", "loadfile") if options else ()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *quiet, *options, *distribution, tmp_path],
        env=environ,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout
    assert f"{passed} passed" in done.stdout


def test_it_says_so_where_everything_is_switched_off(tmp_path: Path) -> None:
    """As it is in many a service's CI: a test that finds nothing recorded would be looked into for hours."""
    (tmp_path / "test_service.py").write_text("def test_one(telemetry):\n    pass\n")
    environ = {"PATH": os.environ["PATH"], "OTEL_SDK_DISABLED": "true"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path]

    done = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "OTEL_SDK_DISABLED or QUARTERDECK_ENABLED switches off what this test looks at" in done.stdout
