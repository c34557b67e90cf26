"""The provider and its tracers: the SDK's to whoever asks, lean as long as nobody needs what the SDK alone has."""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.trace import SpanKind, TraceFlags
from opentelemetry.util._decorator import _agnosticcontextmanager

from quarterdeck_instrumentation.spans.server import LeanServerSpan
from quarterdeck_instrumentation.spans.span import Identity, LeanSpan, Origin, UnsampledSpan

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Link, SpanContext
    from opentelemetry.util.types import Attributes

    from quarterdeck_instrumentation.server_attributes import Facts
    from quarterdeck_instrumentation.spans.sender import Sender

_RANDOM = getattr(TraceFlags, "RANDOM_TRACE_ID", 0)
"""The flag that says a trace id is random; none before API 1.45."""
_ALL = 1 << 64
"""One more than the greatest low half of a trace id."""
_SERVER_ATTRIBUTES = 32
"""A limit below this could drop one of a server span's own attributes: the SDK path knows how."""


class Sampling:
    """Which traces are kept: OpenTelemetry's own samplers, as two numbers."""

    __slots__ = ("bound", "parent_based")

    def __init__(self, bound: int, *, parent_based: bool) -> None:
        self.bound = bound
        """Trace ids whose low half is below this are kept."""
        self.parent_based = parent_based
        """Whether a parent decides, where there is one."""

    def keeps(self, trace_id: int, parent: SpanContext | None) -> bool:
        """Say whether a span is kept."""
        if parent is not None and self.parent_based:
            return parent.trace_flags & TraceFlags.SAMPLED != 0
        return trace_id & (_ALL - 1) < self.bound


def sampling(environ: Mapping[str, str]) -> Sampling | None:
    """Read `OTEL_TRACES_SAMPLER` and its argument; None for a sampler that only the SDK knows.

    >>> sampling({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.5"}).bound == 1 << 63
    True
    """
    name = environ.get("OTEL_TRACES_SAMPLER", "").strip().lower() or "parentbased_always_on"
    root = name.removeprefix("parentbased_")
    if root == "traceidratio":
        try:
            ratio = float(environ.get("OTEL_TRACES_SAMPLER_ARG", "") or 1.0)
        except ValueError:
            ratio = 1.0  # as the SDK, which says so
    elif root in ("always_on", "always_off"):
        ratio = float(root == "always_on")
    else:
        return None
    return Sampling(round(ratio * _ALL), parent_based=root != name) if 0 <= ratio <= 1 else None


class LeanProvider(TracerProvider):
    """A provider whose spans go to one sender; a span processor of the user's has the SDK make them instead."""

    def __init__(self, sender: Sender, sampling: Sampling | None) -> None:
        """Send to *sender* what *sampling* keeps; None: what the SDK's own sampler keeps."""
        limits = SpanLimits()
        super().__init__(shutdown_on_exit=False, span_limits=limits)  # not at exit: the runtime flushes, in time
        self.limits = limits
        self.sender = sender
        self.sampling = sampling or Sampling(0, parent_based=False)
        self.lean = True
        self._lean_tracers: dict[tuple[str, str | None, str | None], LeanTracer] = {}
        if sampling is None:
            self._take_over("its sampler is not one of OpenTelemetry's own")
        elif _unusual(limits):
            self._take_over("the limits of attributes are not the usual ones")

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> trace.Tracer:
        """Return a tracer for a library, as the API has it."""
        name, version = instrumenting_module_name, instrumenting_library_version
        if attributes:
            return LeanTracer(self, super().get_tracer(name, version, schema_url, attributes))
        key = (name, version, schema_url)
        tracer = self._lean_tracers.get(key)
        if tracer is None:
            tracer = self._lean_tracers[key] = LeanTracer(self, super().get_tracer(name, version, schema_url))
        return tracer

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        """Have *span_processor* see every span from now on; it needs the SDK's."""
        self._take_over(f"{type(span_processor).__name__} reads the SDK's spans")
        super().add_span_processor(span_processor)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Send what is queued; False if that took longer than *timeout_millis*."""
        return super().force_flush(timeout_millis) and self.sender.flush(timeout_millis / 1000)

    def _take_over(self, why: str) -> None:
        if self.lean:
            self.lean = False
            super().add_span_processor(_Sending(self.sender))
            logging.getLogger("quarterdeck").debug("Spans are made by the OpenTelemetry SDK: %s", why)


class _Sending(SpanProcessor):
    """Gives the SDK's spans to the sender."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def on_end(self, span: ReadableSpan) -> None:
        if span.context is not None and span.context.trace_flags.sampled:
            self._sender.add(span)


def _unusual(limits: SpanLimits) -> bool:
    most = limits.max_span_attributes
    return limits.max_span_attribute_length is not None or (most is not None and most < _SERVER_ATTRIBUTES)


class LeanTracer(trace.Tracer):
    """Makes the spans of one library."""

    def __init__(self, provider: LeanProvider, sdk: trace.Tracer) -> None:
        self._provider = provider
        self._sdk = sdk
        scope = getattr(sdk, "_instrumentation_scope", None)  # where the SDK's tracer keeps it; NoOpTracer has none
        self._origin = Origin(scope, provider.limits, lambda: provider.resource, provider.sender.add)

    def start_span(  # noqa: PLR0917 -- the API's signature
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,  # noqa: FBT001, FBT002 -- likewise
        set_status_on_exception: bool = True,  # noqa: FBT001, FBT002 -- likewise
    ) -> trace.Span:
        """Begin a span; child of the one that is current in *context*."""
        made = self.begin(LeanSpan, name, context, kind, start_time)
        if made is None:
            return self._sdk.start_span(
                name, context, kind, attributes, links, start_time, record_exception, set_status_on_exception
            )
        if isinstance(made, LeanSpan):
            if attributes:
                made.set_attributes(attributes)
            for link in links or ():
                made.add_link(link.context, link.attributes)
            if not (record_exception and set_status_on_exception):
                made.catching(record=record_exception, set_status=set_status_on_exception)
        return made

    def start_server_span(self, name: str, context: Context, facts: Facts, path: str) -> trace.Span | None:
        """Begin the span of a request; None where the SDK has to make it."""
        made = self.begin(LeanServerSpan, name, context, SpanKind.SERVER, None)
        if isinstance(made, LeanServerSpan):
            made.received(facts, path)
        return made

    @_agnosticcontextmanager
    def start_as_current_span(  # noqa: PLR0917 -- the API's signature
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,  # noqa: FBT001, FBT002 -- likewise
        set_status_on_exception: bool = True,  # noqa: FBT001, FBT002 -- likewise
        end_on_exit: bool = True,  # noqa: FBT001, FBT002 -- likewise
    ) -> Iterator[trace.Span]:
        """Begin a span that is current in the block, and end it after."""
        span = self.start_span(name, context, kind, attributes, links, start_time)
        with trace.use_span(span, end_on_exit, record_exception, set_status_on_exception):
            yield span

    def begin(
        self, make: type[LeanSpan], name: str, context: Context | None, kind: SpanKind, start_time: int | None
    ) -> LeanSpan | UnsampledSpan | None:
        """Return a new span of class *make*, or an unsampled one; None where the SDK has to make it."""
        provider = self._provider
        if not provider.lean or isinstance(self._sdk, trace.NoOpTracer):
            return None
        above = trace.get_current_span(context)
        parent = None if above is trace.INVALID_SPAN else above.get_span_context()
        if parent is None or not parent.is_valid:
            parent = None
            identity = Identity(random.getrandbits(128) or 1, random.getrandbits(64) or 1, _RANDOM, None)
        else:
            flags = parent.trace_flags & _RANDOM
            identity = Identity(parent.trace_id, random.getrandbits(64) or 1, flags, parent.trace_state)
        if not provider.sampling.keeps(identity.trace_id, parent):
            return UnsampledSpan(identity)
        identity.flags |= TraceFlags.SAMPLED
        return make(self._origin, name, identity, parent, kind, start_time)
