"""`start_as_current_span` of the lean tracer is what the API's is: a block's span, and a decorator."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from opentelemetry import trace
from opentelemetry.trace import StatusCode

from quarterdeck_instrumentation.spans.provider import LeanProvider
from quarterdeck_instrumentation.spans.sampling import Sampling
from quarterdeck_instrumentation.spans.sender import Sender

if TYPE_CHECKING:
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
def tracer(kept: Kept) -> trace.Tracer:
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
