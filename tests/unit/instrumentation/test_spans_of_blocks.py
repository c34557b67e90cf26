"""`start_as_current_span` of the lean tracer is what the API's is: a block's span, and a decorator."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from quarterdeck_instrumentation.frameworks.api import patch_trace
from quarterdeck_instrumentation.spans.block import Block
from quarterdeck_instrumentation.spans.described import Description
from quarterdeck_instrumentation.spans.provider import LeanProvider
from quarterdeck_instrumentation.spans.sampling import Sampling
from quarterdeck_instrumentation.spans.sender import Sender

if TYPE_CHECKING:
    from types import ModuleType

    from quarterdeck_instrumentation.spans.provider import LeanTracer
    from quarterdeck_instrumentation.spans.span import LeanSpan


class Kept(Sender):
    """A sender that keeps spans and posts none."""

    def __init__(self) -> None:
        self.spans: list[LeanSpan] = []

    def add(self, span: LeanSpan) -> None:  # type: ignore[override]  # only lean ones are made here
        """Keep *span*."""
        self.spans.append(span)


@pytest.fixture
def kept() -> Kept:
    """Return what keeps the spans."""
    return Kept()


@pytest.fixture
def tracer(kept: Kept) -> LeanTracer:
    """Return a lean tracer."""
    return LeanProvider(kept, Sampling.everything()).get_tracer("users")


def test_decorates_a_function(kept: Kept, tracer: trace.Tracer) -> None:
    """Each call of a decorated function has a span of its own, current while it runs."""

    @tracer.start_as_current_span("look up")
    def look_up(order: int) -> trace.Span:
        return trace.get_current_span() if order else look_up(1)

    assert look_up(0) is kept.spans[0]
    assert [span.name for span in kept.spans] == ["look up", "look up"]
    assert kept.spans[0].parent == kept.spans[1].get_span_context()


def test_decorates_a_coroutine_function(kept: Kept, tracer: trace.Tracer) -> None:
    """The span of a decorated coroutine function ends with the coroutine, not with the call."""

    @tracer.start_as_current_span("look up")
    async def look_up() -> bool:
        await asyncio.sleep(0)
        return trace.get_current_span().is_recording()

    assert asyncio.run(look_up())
    assert [span.name for span in kept.spans] == ["look up"]


def test_begins_when_the_block_does(kept: Kept, tracer: trace.Tracer) -> None:
    """A span begins with its block, as child of what is current there, not where the block was made."""
    block = tracer.start_as_current_span("child")
    with tracer.start_as_current_span("parent") as parent, block as child:
        assert trace.get_current_span() is child
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert kept.spans[0].parent == parent.get_span_context()


def test_can_outlast_its_block(kept: Kept, tracer: trace.Tracer) -> None:
    """A span that is not to end with its block goes on."""
    with tracer.start_as_current_span("goes on", end_on_exit=False) as span:
        pass
    assert span.is_recording()
    assert kept.spans == []


def test_says_nothing_of_what_is_no_error(kept: Kept, tracer: trace.Tracer) -> None:
    """A block that is left by a cancellation or an exit is no failure."""
    with pytest.raises(KeyboardInterrupt), tracer.start_as_current_span("left"):
        raise KeyboardInterrupt
    (span,) = kept.spans
    assert (span.status.status_code, span.events) == (StatusCode.UNSET, ())


@pytest.mark.parametrize("records", [True, False])
@pytest.mark.parametrize("says", [True, False])
def test_says_what_was_raised_as_it_is_told(kept: Kept, tracer: trace.Tracer, *, records: bool, says: bool) -> None:
    """An exception is an event, and the status, only where the block was told so."""
    with (
        pytest.raises(LookupError),
        tracer.start_as_current_span("fails", record_exception=records, set_status_on_exception=says),
    ):
        raise LookupError("nothing")
    (span,) = kept.spans
    assert [event.name for event in span.events] == (["exception"] if records else [])
    assert span.status.description == ("LookupError: nothing" if says else None)


SAID = {"db.system.name": "sqlite", "db.query.text": "SELECT name FROM items"}


def test_a_described_span_is_what_it_would_be_without(kept: Kept, tracer: LeanTracer) -> None:
    """Name, kind, attributes, parent and encoding are those of a span that was begun with the same."""
    with tracer.start_as_current_span("request"):
        with tracer.described(Description("SELECT", SpanKind.CLIENT, SAID))() as current:
            assert trace.get_current_span() is current
        with tracer.start_as_current_span("SELECT", kind=SpanKind.CLIENT, attributes=SAID):
            pass

    described, plain, request = kept.spans
    assert (described.name, described.kind, described.attributes) == ("SELECT", SpanKind.CLIENT, SAID)
    assert described.parent == plain.parent == request.get_span_context()
    plain.identity, plain.start_time, plain.end_time = described.identity, described.start_time, described.end_time
    assert described.encode() == plain.encode()
    assert described.encode() == plain.encode()  # from what was kept of the first time


def test_what_is_said_of_one_described_span_is_said_of_no_other(kept: Kept, tracer: LeanTracer) -> None:
    """An attribute that is set on one comes before its description's, and leaves that as it is."""
    description = Description("SELECT", SpanKind.CLIENT, SAID)
    with tracer.described(description)() as span:
        span.set_attribute("db.system.name", "postgresql")
    with tracer.described(description)():
        pass

    assert [span.attributes["db.system.name"] for span in kept.spans] == ["postgresql", "sqlite"]
    assert [b"postgresql" in span.encode() for span in kept.spans] == [True, False]
    assert description.attributes == SAID


def test_a_described_span_may_be_called_otherwise(kept: Kept, tracer: LeanTracer) -> None:
    """Its new name is sent, and that of others of the same description stays."""
    description = Description("SELECT", SpanKind.CLIENT, SAID)
    for name in ("SELECT", "find items", "SELECT"):
        with tracer.described(description)() as span:
            span.update_name(name)

    assert [b"find items" in span.encode() for span in kept.spans] == [False, True, False]


def test_described_spans_are_the_sdks_where_it_makes_them(kept: Kept) -> None:
    """A processor of the user's sees the same name, kind and attributes."""
    seen = InMemorySpanExporter()
    provider = LeanProvider(kept, Sampling.everything())
    provider.add_span_processor(SimpleSpanProcessor(seen))
    with provider.get_tracer("users").described(Description("SELECT", SpanKind.CLIENT, SAID))():
        pass

    (span,) = seen.get_finished_spans()
    assert (span.name, span.kind, span.attributes) == ("SELECT", SpanKind.CLIENT, SAID)


def test_a_described_span_that_is_not_kept_has_children_that_are_not(kept: Kept) -> None:
    """Without a parent's word or a place in the share, neither it nor what is below it is kept."""
    tracer = LeanProvider(kept, Sampling(0, parent_based=True)).get_tracer("users")
    begin = tracer.described(Description("SELECT", SpanKind.CLIENT, SAID))
    with begin() as span, tracer.start_as_current_span("below"):
        assert not span.is_recording()

    assert kept.spans == []


def test_a_tracer_that_was_made_before_its_provider_is_as_direct_once_it_has_it(tracer: LeanTracer) -> None:
    """Its block is the API's own until the provider is known, for a decorated function that is called later."""

    class Proxy(trace.ProxyTracer):
        """One that is patched for this test alone."""

    patch_trace(cast("ModuleType", SimpleNamespace(ProxyTracer=Proxy, _TRACER_PROVIDER=None)))
    proxy = Proxy("users")

    assert not isinstance(proxy.start_as_current_span("early"), Block)
    proxy._real_tracer = tracer
    assert isinstance(proxy.start_as_current_span("late"), Block)
