"""Which span something is: numbers that read like the API's SpanContext; and all there is of one that is not kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

if TYPE_CHECKING:
    from opentelemetry.trace import TraceState


class Identity:
    """Which span this is: its numbers, which read like the API's SpanContext, and that once it is asked for."""

    __slots__ = ("_context", "span_id", "trace_flags", "trace_id", "trace_state")

    is_remote = False
    is_valid = True

    def __init__(self, trace_id: int, span_id: int, trace_flags: int, trace_state: TraceState | None) -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.trace_flags = trace_flags
        self.trace_state = trace_state
        self._context: SpanContext | None = None

    def get_span_context(self) -> SpanContext:
        """Return it as the API has it."""
        context = self._context
        if context is None:
            flags = TraceFlags(self.trace_flags)
            context = self._context = SpanContext(self.trace_id, self.span_id, False, flags, self.trace_state)
        return context


class UnsampledSpan(NonRecordingSpan):
    """A span that is not kept; its children learn so from its context."""

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.get_span_context = identity.get_span_context  # type: ignore[method-assign]  # spares a frame for each use
