"""FastAPI's own OpenTelemetry and ours make one span of a request, whoever sets which provider, and when.

In processes of their own, because a process has one global provider for good.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.conftest import Collector

SCRIPT = """
import contextlib, json, sys

def provider():
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    made = TracerProvider()
    made.add_span_processor(SimpleSpanProcessor(exporter))
    return made

def configure():
    from opentelemetry import trace
    trace.set_tracer_provider(provider())

def activate():
    import quarterdeck_instrumentation
    quarterdeck_instrumentation.configure(metrics_page=False)

def make(**options):
    global app
    import fastapi
    app = fastapi.FastAPI(**options)

    @app.get("/items/{item}")
    async def item(item: int):
        return item

    @app.websocket("/ws/{room}")
    async def room(socket: fastapi.WebSocket):
        await socket.accept()
        await socket.close()

def make_with_lifespan():
    @contextlib.asynccontextmanager
    async def lifespan(app):
        configure()
        yield
    make(lifespan=lifespan)

def give():
    make(telemetry={"tracer_provider": provider()})

def call(app, scope, *received):
    import asyncio
    messages, sent = iter(received), []

    async def receive():
        return next(messages)

    async def send(message):
        sent.append(message)

    asyncio.run(app({"path": "", "query_string": b"", "headers": [], **scope}, receive, send))
    return sent

def request():
    call(app, {"type": "lifespan"}, {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
    request_without_lifespan()

def request_without_lifespan():
    http = {"type": "http", "method": "GET", "scheme": "http", "http_version": "1.1"}
    assert call(app, {**http, "path": "/items/7"}, {"type": "http.request"})[1]["body"] == b"7"
    call(app, {**http, "path": "/healthz"}, {"type": "http.request"})
    call(app, {"type": "websocket", "scheme": "ws", "path": "/ws/lobby"}, {"type": "websocket.connect"})

def wrap():
    global app
    from quarterdeck_instrumentation.asgi import Instrumented
    app = Instrumented(app)

def say():
    from quarterdeck_instrumentation import runtime
    from quarterdeck_instrumentation.frameworks.fastapi import native_telemetry
    runtime.end()
    spans = [[span.name, span.kind.name, span.instrumentation_scope.name] for span in exporter.get_finished_spans()]
    print(json.dumps({"spans": spans, "native": native_telemetry()}))

from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
exporter = InMemorySpanExporter()
for step in sys.argv[1:]:
    globals()[step]()
"""

ONE_EACH = [
    ["GET /items/{item}", "SERVER", "quarterdeck.instrumentation"],
    ["GET /ws/{room}", "SERVER", "quarterdeck.instrumentation"],
]
OFF = "off, because Quarterdeck makes the one span and the metrics of each request, at a tenth of the cost"


def run(*steps: str, launcher: tuple[str, ...] = (), **environ: str) -> dict[str, Any]:
    """Take *steps* of the script in a process of its own, and return what it says."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "QUARTERDECK_"))}
    command = [*launcher, sys.executable, "-c", SCRIPT, *steps]
    done = subprocess.run(command, env={**inherited, **environ}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    said: dict[str, Any] = json.loads(done.stdout)
    return said


@pytest.mark.parametrize(
    "steps",
    [
        ("configure", "activate", "make"),
        ("activate", "configure", "make"),
        ("activate", "make", "configure"),
        ("configure", "make", "activate"),
        ("make", "activate", "configure"),
        ("activate", "make_with_lifespan"),
        ("activate", "give"),
        ("give", "activate"),
        ("configure", "activate", "give"),
    ],
    ids=", ".join,
)
def test_a_request_is_one_span(steps: tuple[str, ...]) -> None:
    """Ours, whoever configures the service's provider when, or gives it to FastAPI; and nothing of a probe."""
    assert run(*steps, "request", "say") == {"spans": ONE_EACH, "native": OFF}


def test_fastapi_makes_the_span_where_it_alone_knows_the_provider() -> None:
    """A provider that FastAPI was given, and a server outside that had begun the request before FastAPI was asked."""
    said = run("activate", "give", "wrap", "request_without_lifespan", "say")

    assert [span for span in said["spans"] if span[1] == "SERVER"] == [["GET /items/{item}", "SERVER", "fastapi"]]


@pytest.mark.parametrize("launcher", ["quarterdeck-instrument", "opentelemetry-instrument"])
def test_a_request_is_one_span_where_ours_is_the_provider(collector: Collector, launcher: str) -> None:
    """Which FastAPI's own telemetry would otherwise be switched on by, and whose launcher finds its instrumentor."""
    run(
        *("make", "request", "say"),
        launcher=(str(Path(sys.executable).parent / launcher),),
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{collector.port}",
        OTEL_METRICS_EXPORTER="none",
        QUARTERDECK_FLUSH_TIMEOUT="10",  # a collector that answers does so late on a busy machine
        OTEL_PYTHON_DISTRO="quarterdeck",
        OTEL_PYTHON_CONFIGURATOR="quarterdeck",
    )

    assert collector.names() == [name for name, *_ in ONE_EACH]


def test_what_is_said_of_it_where_it_is_on() -> None:
    """For whoever looks why a request is two spans, or none."""
    said = run("configure", "make", "request", "say")

    assert (
        said["native"] == "on as soon as a provider is configured, because FastAPI is not instrumented by Quarterdeck"
    )
    assert {scope for *_, scope in said["spans"]} == {"fastapi"}
    assert run("say")["native"] == "off, because FastAPI is not imported"
