"""Spans for tests: a provider for each test behind one global one, and what it has ended, as plain objects."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased
from opentelemetry.util._decorator import _agnosticcontextmanager

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext, SpanKind, Status


@dataclass(frozen=True)
class Event:
    """What happened in a span."""

    name: str
    attributes: dict[str, Any]
    timestamp: int
    """Unix time in nanoseconds."""


@dataclass(frozen=True)
class Link:
    """Another span that a span points to."""

    context: SpanContext
    attributes: dict[str, Any]


@dataclass(frozen=True)
class Span:
    """A span that has ended, as it was then. Its fields are called like those of the SDK's `ReadableSpan`."""

    name: str
    kind: SpanKind
    context: SpanContext
    parent: SpanContext | None
    attributes: dict[str, Any]
    status: Status
    start_time: int
    """Unix time in nanoseconds."""
    end_time: int
    """Unix time in nanoseconds."""
    events: tuple[Event, ...] = ()
    links: tuple[Link, ...] = ()
    resource: dict[str, Any] = field(default_factory=dict)
    """Attributes of what made it."""
    scope: str = ""
    """Name of the library that made it: what its tracer was got by."""


def plain(span: ReadableSpan) -> Span:
    """Return *span*, which has ended, as a plain object."""
    scope = span.instrumentation_scope
    return Span(
        name=span.name,
        kind=span.kind,
        context=span.get_span_context() or trace.INVALID_SPAN_CONTEXT,
        parent=span.parent,
        attributes=dict(span.attributes or {}),
        status=span.status,
        start_time=span.start_time or 0,
        end_time=span.end_time or 0,
        events=tuple(Event(each.name, dict(each.attributes or {}), each.timestamp) for each in span.events),
        links=tuple(Link(each.context, dict(each.attributes or {})) for each in span.links),
        resource=dict(span.resource.attributes),
        scope="" if scope is None else scope.name,
    )


class Collect(SpanProcessor):
    """Keeps the spans that end, for whoever listens."""

    def __init__(self, spans: list[Span] | None = None) -> None:
        self.spans = spans
        """Where they go; None: nobody listens."""

    def on_end(self, span: ReadableSpan) -> None:
        """Keep *span*."""
        if self.spans is not None:
            self.spans.append(plain(span))

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002 -- the SDK's signature
        """Do nothing: they are kept at once."""
        return True


class PerTest(TracerProvider):
    """The one global provider of a run, behind which each test has its own."""

    def __init__(self) -> None:
        self._test: TracerProvider | None = None
        self._of_test: list[SpanProcessor] = []
        self._of_run: list[SpanProcessor] = []
        super().__init__(sampler=ParentBased(ALWAYS_ON), shutdown_on_exit=False)

    def begin(self, spans: list[Span]) -> TracerProvider:
        """Have a new provider make the spans from now on, and keep those that end in *spans*."""
        provider = TracerProvider(sampler=ParentBased(ALWAYS_ON), shutdown_on_exit=False)
        for processor in (Collect(spans), *self._of_run):
            provider.add_span_processor(processor)
        self._test = provider
        return provider

    def end(self) -> None:
        """Make no more spans; those that have begun still end where they belong."""
        self._test = None
        for processor in self._of_test:
            processor.shutdown()
        self._of_test.clear()

    def tracer(self, *named: Any) -> trace.Tracer:
        """Return the tracer of the test in progress; one that makes nothing where there is none."""
        return trace.NoOpTracer() if self._test is None else self._test.get_tracer(*named)

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Any = None,
    ) -> trace.Tracer:
        """Return a tracer that goes over from test to test."""
        return _Tracer(self, instrumenting_module_name, instrumenting_library_version, schema_url, attributes)

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        """Have *span_processor* see the spans of the test in progress, or of all tests if there is none."""
        if self._test is None:
            self._of_run.append(span_processor)
        else:
            self._of_test.append(span_processor)
            self._test.add_span_processor(span_processor)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Have the processors of the test in progress send what they hold."""
        return self._test is None or self._test.force_flush(timeout_millis)

    def shutdown(self) -> None:
        """Do nothing: the service ends, and other tests follow."""


class _Tracer(trace.Tracer):
    def __init__(self, provider: PerTest, *named: Any) -> None:
        self._provider = provider
        self._named = named

    def start_span(self, *arguments: Any, **options: Any) -> trace.Span:
        return self._provider.tracer(*self._named).start_span(*arguments, **options)

    @_agnosticcontextmanager
    def start_as_current_span(self, *arguments: Any, **options: Any) -> Iterator[trace.Span]:
        with self._provider.tracer(*self._named).start_as_current_span(*arguments, **options) as span:
            yield span
