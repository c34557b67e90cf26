"""Server spans: OpenTelemetry's stable HTTP conventions, and what they share with users' own spans."""

from __future__ import annotations

import asyncio
from threading import Lock
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

from quarterdeck_instrumentation import failures, tracing
from quarterdeck_instrumentation.asgi import MARK, serve
from quarterdeck_instrumentation.exposition.page import Format
from quarterdeck_instrumentation.settings import Settings
from quarterdeck_instrumentation.testing import Recording, recording

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

TRACEPARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Traced:
    """An application's spans, finished."""

    def __init__(self, recorded: Recording, provider: TracerProvider) -> None:
        self._exporter = InMemorySpanExporter()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        recorded.runtime.trace_with(tracing.Tracing(provider))
        self.provider = provider
        self.page = recorded.page

    def spans(self) -> dict[str, Any]:
        """Return the finished spans by name."""
        return {span.name: span for span in self._exporter.get_finished_spans()}

    def call(self, app: ASGIApp, kind: str = "http", **scope: Any) -> None:
        """Call *app*, measured, for `POST /users/7?token=secret`."""

        async def receive() -> Message:
            return {"type": f"{kind}.disconnect"}

        async def send(_: Message) -> None:
            """Take it."""

        whole = {
            "type": kind,
            **({"method": "POST"} if kind == "http" else {}),
            "path": "/users/7",
            "query_string": b"token=secret",
            "scheme": "http",
            "http_version": "1.1",
            "headers": [(b"host", b"checkout.test:8443"), (b"user-agent", b"curl/8")],
            **scope,
        }
        asyncio.run(serve(app, whole, receive, send))


@pytest.fixture
def traced() -> Iterator[Traced]:
    """Return a provider's finished spans, with no global provider touched."""
    failures.forget()
    with recording() as recorded:
        yield Traced(recorded, TracerProvider())


def answers(status: int) -> ASGIApp:
    """Return an application that says it is at `/users/{user}` and answers *status*."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope[MARK] is not None:
            scope[MARK].route, scope[MARK].module = "/users/{user}", "accounts"
        with trace.get_tracer("users").start_as_current_span("ours"):
            await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    return app


def test_a_request_is_one_span_by_the_stable_conventions(traced: Traced) -> None:
    """Every attribute, none of the old names, and no query: secrets travel in it."""
    traced.call(answers(200))

    (span,) = traced.spans().values()
    assert span.name == "POST /users/{user}"
    assert span.kind is SpanKind.SERVER
    assert span.status.status_code is StatusCode.UNSET
    assert dict(span.attributes) == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "http.route": "/users/{user}",
        "network.protocol.version": "1.1",
        "quarterdeck.module": "accounts",
        "server.address": "checkout.test",
        "server.port": 8443,
        "url.path": "/users/7",
        "url.scheme": "http",
        "user_agent.original": "curl/8",
    }


def test_a_server_error_is_an_error_of_the_span(traced: Traced) -> None:
    """With its type; a client's error is none."""
    traced.call(answers(503))

    (span,) = traced.spans().values()
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] == "503"


def test_the_callers_trace_goes_on(traced: Traced) -> None:
    """The W3C header names the parent."""
    traced.call(answers(200), headers=[(b"traceparent", TRACEPARENT)])

    (span,) = traced.spans().values()
    assert trace.format_trace_id(span.context.trace_id) == "0af7651916cd43dd8448eb211c80319c"
    assert trace.format_span_id(span.parent.span_id) == "b7ad6b7169203331"


def test_an_unknown_method_is_kept_as_it_was_sent(traced: Traced) -> None:
    """The name and the label have one value for all of them."""
    traced.call(answers(200), method="BREW")

    span = traced.spans()["HTTP /users/{user}"]
    assert span.attributes["http.request.method"] == "_OTHER"
    assert span.attributes["http.request.method_original"] == "BREW"


@pytest.mark.parametrize(
    ("host", "address", "port"),
    [
        (b"checkout", "checkout", 80),
        (b"[::1]", "::1", 80),
        (b"[::1]:81", "::1", 81),
        (b"a:b:c", "a:b", 80),
        (b"", "", 80),
    ],
)
def test_the_host_header_may_be_anything(traced: Traced, host: bytes, address: str, port: int) -> None:
    """It comes from the client."""
    traced.call(answers(200), headers=[(b"host", host)])

    (span,) = traced.spans().values()
    assert span.attributes["server.address"] == address
    assert span.attributes["server.port"] == port


def test_spans_of_users_are_children(traced: Traced) -> None:
    """The server span is current while the application runs, and not after."""
    tracer = traced.provider.get_tracer("users")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with tracer.start_as_current_span("child"):
            pass
        await answers(200)(scope, receive, send)

    traced.call(app)

    spans = traced.spans()
    assert spans["child"].parent.span_id == spans["POST /users/{user}"].context.span_id
    assert not trace.get_current_span().get_span_context().is_valid


def test_a_probes_whole_subtree_is_suppressed(traced: Traced) -> None:
    """Its children are not left behind as roots."""
    tracer = traced.provider.get_tracer("users")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with tracer.start_as_current_span("child"):
            await answers(200)(scope, receive, send)

    traced.call(app, path="/healthz")

    assert traced.spans() == {}


def test_a_websocket_is_one_span(traced: Traced) -> None:
    """For the whole connection, and no HTTP metric."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope[MARK].route = "/ws/{room}"
        for _ in range(3):
            await send({"type": "websocket.send", "text": "hello"})

    traced.call(app, "websocket", scheme="wss")

    (span,) = traced.spans().values()
    assert span.name == "GET /ws/{room}"
    assert span.attributes["url.scheme"] == "https"
    assert traced.page().find("http_server_request_duration_seconds_count") == []


def test_a_bucket_names_the_trace_behind_it(traced: Traced) -> None:
    """The exemplar of the slowest request leads to its span."""
    traced.call(answers(200))

    (span,) = traced.spans().values()
    exemplars = [sample.exemplar for sample in traced.page(Format.OPENMETRICS).samples if sample.exemplar]
    assert exemplars == [
        {
            "trace_id": trace.format_trace_id(span.context.trace_id),
            "span_id": trace.format_span_id(span.context.span_id),
        }
    ]


def test_a_trace_that_is_not_kept_is_no_exemplar() -> None:
    """A link to nothing helps nobody."""
    with recording() as recorded:
        traced = Traced(recorded, TracerProvider(sampler=ALWAYS_OFF))

        traced.call(answers(200))

        assert traced.spans() == {}
        assert [sample for sample in traced.page(Format.OPENMETRICS).samples if sample.exemplar] == []


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_a_tracer_that_raises_costs_the_span_alone(traced: Traced, kind: str) -> None:
    """A user's sampler or processor is anybody's code: the request is served, and counted."""

    class Raises(tracing.Tracing):
        def request(self, scope: Any) -> Any:
            raise LookupError

    with recording() as recorded:
        recorded.runtime.trace_with(Raises(traced.provider))
        served: list[str] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            served.append(scope["path"])

        traced.call(app, kind)

        assert served == ["/users/7"]
        assert failures.counts()["traces"] == 1
        assert recorded.page().value("http_server_request_duration_seconds_count") == (1 if kind == "http" else 0)


def test_an_exporter_that_is_not_installed_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """And counted; the service runs without spans."""
    failures.forget()

    for _ in range(2):
        assert tracing.start(Settings(traces_exporters=("zipkin",))) is None

    assert failures.counts()["traces"] == 2
    assert caplog.text.count("no spans are sent to zipkin, which opentelemetry-exporter-zipkin provides") == 1


def test_without_an_exporter_there_is_no_tracing() -> None:
    """And nothing is made, so nothing is connected to."""
    assert tracing.start(Settings()) is None


def test_a_flush_waits_no_longer_than_it_may(traced: Traced) -> None:
    """A collector that swallows everything does not keep the worker from ending."""

    class Hangs(TracerProvider):
        def force_flush(self, timeout_millis: int = 30000) -> bool:
            with stuck:
                return True

    stuck = Lock()
    failures.forget()
    with stuck:
        tracing.Tracing(Hangs()).flush(0.01)

        assert failures.counts()["traces"] == 1
