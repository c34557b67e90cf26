"""What the lean path posts is what the SDK's own exporter posts for the same calls, decoded by OpenTelemetry's proto.

Three differences, each with its test. An integer beyond 64 bits is posted as text, where the SDK drops the
attribute. Text that UTF-8 cannot encode is posted with question marks, where the SDK
drops the attribute, or the whole batch if it is a name: the rest of it is worth having. Beyond the attribute limit
a server span keeps its own attributes and drops the oldest of the user's, where the SDK drops its own first.
"""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry import baggage, trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.propagate import inject
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from quarterdeck_instrumentation import failures
from quarterdeck_instrumentation.asgi import MARK, serve
from quarterdeck_instrumentation.exposition.page import Format
from quarterdeck_instrumentation.spans.provider import LeanProvider
from quarterdeck_instrumentation.spans.sampling import Sampling, load, read
from quarterdeck_instrumentation.spans.sender import Sender
from quarterdeck_instrumentation.testing import recording
from quarterdeck_instrumentation.tracing import Tracing

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Message, Receive, Scope, Send

TRACEPARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
REMOTE = [(b"traceparent", TRACEPARENT), (b"tracestate", b"a=1,b=2")]
ELSEWHERE = SpanContext(1 << 100, 1 << 50, is_remote=True, trace_flags=TraceFlags(1))


class Lean:
    """A lean provider, and what it has posted."""

    def __init__(self, environ: dict[str, str] | None = None) -> None:
        self.bodies: list[bytes] = []
        sender = Sender(lambda: self._post, queue=4096, batch=4096, delay=600.0, timeout=10.0)
        kept = read(environ or {})
        other = None if kept is not None else load(environ or {})
        self.provider = LeanProvider(sender, kept or Sampling.everything(), sampler=other)

    def _post(self, body: bytes, deadline: float) -> None:
        assert deadline > 0
        self.bodies.append(body)

    def posted(self) -> ExportTraceServiceRequest:
        """Return all that was posted, decoded."""
        assert self.provider.force_flush()
        whole = ExportTraceServiceRequest()
        for body in self.bodies:
            whole.MergeFromString(body)
        return whole

    def spans(self) -> dict[str, Any]:
        """Return the posted spans by name."""
        found = self.posted().resource_spans
        return {span.name: span for each in found for scope in each.scope_spans for span in scope.spans}


def of_the_sdk(use: Callable[[TracerProvider], None]) -> ExportTraceServiceRequest:
    """Return what the SDK's exporter posts for *use*."""
    kept = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    random.seed(7)  # both draw a trace's id, then a span's
    use(provider)
    return encode_spans(kept.get_finished_spans())


def of_ours(use: Callable[[TracerProvider], None]) -> ExportTraceServiceRequest:
    """Return what the lean path posts for *use*."""
    lean = Lean()
    random.seed(7)
    use(lean.provider)
    assert lean.provider.lean
    return lean.posted()


def timeless(posted: ExportTraceServiceRequest) -> ExportTraceServiceRequest:
    """Return *posted* with times of 1, stacks of one line, and attributes in the order of their names."""
    for each in posted.resource_spans:
        for scope in each.scope_spans:
            for span in scope.spans:
                assert 0 < span.start_time_unix_nano <= span.end_time_unix_nano
                span.start_time_unix_nano = span.end_time_unix_nano = 1
                for event in span.events:
                    assert event.time_unix_nano
                    event.time_unix_nano = 1
                    for pair in event.attributes:
                        if pair.key == "exception.stacktrace":
                            pair.value.string_value = pair.value.string_value.splitlines()[-1]
                span.attributes.sort(key=lambda pair: pair.key)
    return posted


def call(provider: TracerProvider, use: Any = None, status: int = 200, **scope: Any) -> str:
    """Call a measured application, in which *use* is called with the provider, and return the page."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope[MARK] is not None:
            scope[MARK].route, scope[MARK].module = "/users/{user}", "accounts"
        if use is not None:
            use(provider)
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(_: Message) -> None:
        """Take it."""

    whole = {
        "type": "http",
        "method": "POST",
        "path": "/users/7",
        "query_string": b"token=secret",
        "scheme": "http",
        "http_version": "1.1",
        "headers": [(b"host", b"checkout.test:8443"), (b"user-agent", b"curl/8")],
        **scope,
    }
    with recording() as recorded:
        recorded.runtime.trace_with(Tracing(provider))
        asyncio.run(serve(app, whole, receive, send))
        return recorded.text(Format.OPENMETRICS)


def children(provider: TracerProvider) -> None:
    """Use all of the API: kinds, attributes of every type, events, links, statuses, exceptions, names."""
    tracer = provider.get_tracer("users", "1.2", "https://example.test/schema", {"of": "scope"})
    with tracer.start_as_current_span("first", kind=SpanKind.CLIENT, attributes={"a": 1, "b": [1, 2], "c": "é"}):
        span = trace.get_current_span()
        span.set_attributes({"big": 1 << 40, "negative": -3, "true": True, "half": 0.5, "raw": b"\x00\xff"})
        span.set_attribute("texts", ("x", "y"))
        span.set_attribute("a", 2)
        span.set_attribute("", "no name")
        span.set_attribute("deep", {"in": {"it": [1, None]}})
        span.add_event("happened", {"how": "well"})
        span.add_link(ELSEWHERE, {"why": "batch"})
        with tracer.start_as_current_span("second", kind=SpanKind.PRODUCER, links=[Link(ELSEWHERE)]) as second:
            second.update_name("renamed")
            second.set_status(StatusCode.OK)
            second.set_status(StatusCode.ERROR, "too late")
    with pytest.raises(LookupError), tracer.start_as_current_span("raises"):
        raise LookupError("of ours")
    with pytest.raises(LookupError), tracer.start_span("raises too"):
        raise LookupError
    with pytest.raises(LookupError), tracer.start_as_current_span("quiet", record_exception=False):
        raise LookupError
    consumed = tracer.start_span("consumed", kind=SpanKind.CONSUMER)
    consumed.set_status(Status(StatusCode.ERROR, "why"))
    consumed.record_exception(ValueError("one"), {"more": 1})
    consumed.end()
    consumed.end()
    consumed.set_attribute("after", 1)
    consumed.update_name("after")
    consumed.set_status(StatusCode.OK)
    consumed.add_event("after")
    provider.get_tracer("plain").start_span("plain").end()


def many(provider: TracerProvider) -> None:
    """Go beyond every limit."""
    span = provider.get_tracer("users").start_span("many", attributes={f"first.{each}": each for each in range(100)})
    for each in range(200):
        span.set_attribute(f"then.{each}", each)
        span.add_event(f"event {each}")
        span.add_link(ELSEWHERE, {"number": each})
    span.end()


USES: dict[str, Callable[[TracerProvider], object]] = {
    "a request": call,
    "another route of it again": lambda provider: (call(provider), call(provider, path="/users/8")),
    "a server error": lambda provider: call(provider, status=503),
    "an unknown method": lambda provider: call(provider, method="BREW"),
    "a websocket's scheme, no host": lambda provider: call(provider, scheme="wss", headers=[]),
    "strange bytes": lambda provider: call(provider, headers=[(b"host", b"\xff:x"), (b"user-agent", b"\xe9")]),
    "a remote parent": lambda provider: call(
        provider, headers=[(b"traceparent", TRACEPARENT), (b"tracestate", b"a=1,b=2")]
    ),
    "an unsampled parent": lambda provider: call(provider, children, headers=[(b"traceparent", UNSAMPLED)]),
    "a broken parent": lambda provider: call(provider, headers=[(b"traceparent", b"00-zz-1-01")]),
    "children": lambda provider: call(provider, children),
    "children alone": children,
    "limits": many,
    "a user's attributes of the server span": lambda provider: call(
        provider, lambda _: trace.get_current_span().set_attributes({"user.id": "7", "server.address": "else"})
    ),
    "a user's status and name": lambda provider: call(
        provider, lambda _: trace.get_current_span().set_status(StatusCode.OK), status=500
    ),
}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("use", USES.values(), ids=USES.keys())
def test_what_is_posted_is_what_the_sdk_posts(use: Callable[[TracerProvider], None]) -> None:
    """Names, kinds, status, attributes, ids, parents, events, links, counts of what was dropped, resource, scope."""
    ours, theirs = timeless(of_ours(use)), timeless(of_the_sdk(use))

    assert ours == theirs


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
PLAIN = TEXT | st.integers(-(1 << 63), (1 << 63) - 1) | st.booleans() | st.floats(allow_nan=False)
VALUES = (
    PLAIN
    | st.binary(max_size=4)
    | st.none()
    | st.lists(PLAIN, max_size=3)
    | st.dictionaries(TEXT, PLAIN, max_size=2)
    | st.builds(object)
)
"""What users set as attributes, and what they should not."""
KEYS = st.sampled_from(["a", "b", "http.route", "é", ""]) | st.integers(0, 2) | st.none()
ATTRIBUTES = st.dictionaries(KEYS, VALUES, max_size=4)
STATUSES = st.sampled_from(list(StatusCode))
CALLS = st.lists(
    st.tuples(st.just("set_attribute"), st.tuples(KEYS, VALUES))
    | st.tuples(st.just("set_attributes"), st.tuples(ATTRIBUTES))
    | st.tuples(st.just("add_event"), st.tuples(TEXT, ATTRIBUTES, st.integers(1, 1 << 60)))
    | st.tuples(st.just("add_link"), st.tuples(st.sampled_from([ELSEWHERE, trace.INVALID_SPAN_CONTEXT]), ATTRIBUTES))
    | st.tuples(st.just("set_status"), st.tuples(STATUSES, st.none() | TEXT))
    | st.tuples(st.just("set_status"), st.tuples(st.builds(Status, STATUSES, st.none() | TEXT)))
    | st.tuples(st.just("update_name"), st.tuples(TEXT))
    | st.tuples(st.just("record_exception"), st.tuples(st.builds(ValueError, TEXT), st.none() | ATTRIBUTES))
    | st.tuples(st.just("end"), st.tuples(st.integers(1 << 60, 1 << 61))),
    max_size=8,
)
"""Method of a span → arguments."""


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    calls=CALLS,
    kind=st.sampled_from(list(SpanKind)),
    attributes=st.none() | ATTRIBUTES,
    links=st.lists(st.builds(Link, st.just(ELSEWHERE), ATTRIBUTES), max_size=2),
    start=st.integers(1, 1 << 60),
)
def test_whatever_users_call_is_posted_as_the_sdk_posts_it(
    calls: list[tuple[str, tuple[Any, ...]]],
    kind: SpanKind,
    attributes: dict[str, Any] | None,
    links: list[Link],
    start: int,
) -> None:
    """Any calls in any order, with arguments that fit and arguments that do not; both raise, or neither."""

    def use(provider: TracerProvider) -> None:
        mine = [Link(each.context, each.attributes) for each in links]  # the SDK changes what it is given
        span = provider.get_tracer("users").start_span("span", None, kind, attributes, mine, start)
        for method, arguments in calls:
            before = span.is_recording()
            getattr(span, method)(*arguments)
            assert span.is_recording() is (before and method != "end")
        span.end(1 << 61)

    logging.disable(logging.CRITICAL)
    try:
        ours, theirs = timeless(of_ours(use)), timeless(of_the_sdk(use))
    finally:
        logging.disable(logging.NOTSET)
    assert ours == theirs


def test_a_key_that_is_no_text_does_not_cost_the_batch() -> None:
    """In a mapping it becomes text, alone it is dropped; once it was kept, and no span around it could be encoded."""
    lean = Lean()

    span = lean.provider.get_tracer("users").start_span("span", attributes={5: "five", "a": 1})  # type: ignore[dict-item]
    span.set_attribute(6, "six")  # type: ignore[arg-type]  # users do
    span.end()

    posted = lean.spans()["span"]
    assert [pair.key for pair in posted.attributes] == ["5", "a"]
    assert posted.dropped_attributes_count == 1


def test_a_span_that_cannot_be_encoded_is_left_out() -> None:
    """And counted; the others of its batch arrive."""
    failures.forget()
    lean = Lean()
    tracer = lean.provider.get_tracer("users")

    tracer.start_span(5).end()  # type: ignore[arg-type]  # users do
    tracer.start_span("other", start_time=1.5).end()  # type: ignore[arg-type]  # likewise
    tracer.start_span("span").end()

    assert list(lean.spans()) == ["span"]
    assert failures.counts() == {"traces": 2}


def test_an_integer_that_otlp_has_no_room_for_is_posted_as_text() -> None:
    """Where the SDK drops the attribute: nothing of it is lost, and no other number is claimed."""
    lean = Lean()

    lean.provider.get_tracer("users").start_span("span", attributes={"big": 1 << 64, "least": -(1 << 63)}).end()

    big, least = lean.spans()["span"].attributes
    assert big.value.string_value == "18446744073709551616"
    assert least.value.int_value == -(1 << 63)


def test_text_that_utf_8_cannot_encode_is_posted_with_question_marks() -> None:
    """It comes from a client, or from a user's file names."""
    lean = Lean()

    call(lean.provider, lambda _: lean.provider.get_tracer("users").start_span("\udcff").end(), path="/\ud800")

    spans = lean.spans()
    assert set(spans) == {"POST /users/{user}", "?"}
    assert {pair.key: pair.value.string_value for pair in spans["POST /users/{user}"].attributes}["url.path"] == "/?"


def test_a_server_span_keeps_its_own_attributes_beyond_the_limit() -> None:
    """The oldest of the user's are dropped, and counted."""
    lean = Lean()

    def use(_: TracerProvider) -> None:
        for number in range(200):
            trace.get_current_span().set_attribute(f"user.{number}", number)

    call(lean.provider, use)

    (span,) = lean.spans().values()
    keys = [pair.key for pair in span.attributes]
    assert "http.route" in keys
    assert "user.199" in keys
    assert "user.0" not in keys
    assert len(keys) <= 128
    assert span.dropped_attributes_count == 200 - sum(key.startswith("user.") for key in keys)


def test_a_users_processor_gets_the_sdks_spans(caplog: pytest.LogCaptureFixture) -> None:
    """The SDK makes them from then on, and they are posted as before; it is said once, at debug."""
    lean, kept = Lean(), InMemorySpanExporter()
    tracer = lean.provider.get_tracer("users")
    tracer.start_span("before").end()

    with caplog.at_level("DEBUG", "quarterdeck"):
        lean.provider.add_span_processor(SimpleSpanProcessor(kept))
        lean.provider.add_span_processor(SimpleSpanProcessor(kept))
    call(lean.provider, lambda _: tracer.start_span("child").end())

    assert {span.name for span in kept.get_finished_spans()} == {"child", "POST /users/{user}"}
    assert all(isinstance(span, ReadableSpan) for span in kept.get_finished_spans())
    spans = lean.spans()
    assert set(spans) == {"before", "child", "POST /users/{user}"}
    assert spans["child"].parent_span_id == spans["POST /users/{user}"].span_id
    assert caplog.text.count("SimpleSpanProcessor reads the SDK's spans") == 1


def test_unusual_limits_are_the_sdks_affair(monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts and cuts as the specification says."""
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "3")
    lean = Lean()

    call(lean.provider)

    (span,) = lean.spans().values()
    assert len(span.attributes) == 3


def test_an_exemplar_links_to_the_span_that_is_posted() -> None:
    """And an unsampled request has none."""
    lean, unsampled = Lean(), Lean({"OTEL_TRACES_SAMPLER": "always_off"})

    page, nothing = call(lean.provider), call(unsampled.provider)

    (span,) = lean.spans().values()
    assert f'trace_id="{span.trace_id.hex()}",span_id="{span.span_id.hex()}"' in page
    assert "trace_id" not in nothing
    assert unsampled.spans() == {}


def test_what_the_request_carries_goes_on(subtests: pytest.Subtests) -> None:
    """Trace, vendors' state and baggage, also where the trace is not kept."""
    headers = [(b"tracestate", b"a=1"), (b"baggage", b"tenant=7")]
    for name, traceparent in (("sampled", TRACEPARENT), ("unsampled", UNSAMPLED)):
        with subtests.test(name):
            carried: dict[str, str] = {}

            def use(_: TracerProvider, carried: dict[str, str] = carried) -> None:
                assert baggage.get_baggage("tenant") == "7"
                inject(carried)

            call(Lean().provider, use, headers=[(b"traceparent", traceparent), *headers])

            version, trace_id, _, flags = carried["traceparent"].split("-")
            assert (version, trace_id, flags) == ("00", "0af7651916cd43dd8448eb211c80319c", traceparent[-2:].decode())
            assert (carried["tracestate"], carried["baggage"]) == ("a=1", "tenant=7")


def test_the_current_span_reads_as_the_sdks() -> None:
    """Users' code reads name, kind, attributes, status, resource, as of the SDK's span."""
    lean = Lean()

    def use(provider: TracerProvider) -> None:
        span: Any = trace.get_current_span()
        assert span.name == "POST"
        assert span.kind is SpanKind.SERVER
        assert span.parent is None
        assert span.context == span.get_span_context()
        assert span.attributes["server.port"] == 8443
        assert span.status.is_unset
        assert span.resource is provider.resource
        assert span.instrumentation_scope.name == "quarterdeck.instrumentation"
        assert (span.events, span.links) == ((), ())

    assert call(lean.provider, use)
    assert isinstance(lean.provider, TracerProvider)
    assert list(lean.spans()) == ["POST /users/{user}"]
