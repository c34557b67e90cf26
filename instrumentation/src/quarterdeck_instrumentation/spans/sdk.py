"""The provider as OpenTelemetry's SDK has it: for who asks for its class, or for what the SDK alone has.

Importing this imports the SDK.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, TracerProvider

from quarterdeck_instrumentation.spans.limits import Usual
from quarterdeck_instrumentation.spans.provider import SHUTDOWN, LeanProvider

if TYPE_CHECKING:
    from opentelemetry import trace
    from opentelemetry.sdk.trace import ReadableSpan

    from quarterdeck_instrumentation.spans.sender import Sender


class SdkProvider(LeanProvider, TracerProvider):
    """What a `LeanProvider` becomes, in place: the same object, lean until it takes over."""

    def begin(self) -> None:
        """Set up the SDK's half."""
        limits: Any = self.limits
        TracerProvider.__init__(
            self,
            sampler=self.chosen_sampler or self.sampling.sampler(),
            id_generator=self.chosen_id_generator,
            span_limits=SpanLimits() if isinstance(limits, Usual) else limits,
            shutdown_on_exit=False,  # the runtime flushes, in time
        )

    def sdk_tracer(self, named: tuple[Any, ...]) -> trace.Tracer:
        """Return the SDK's tracer for the library *named*, as `get_tracer` is told it."""
        return TracerProvider.get_tracer(self, *named)

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        """Have *span_processor* see every span from now on; it needs the SDK's."""
        self.take_over(f"{type(span_processor).__name__} reads the SDK's spans")
        TracerProvider.add_span_processor(self, span_processor)

    def send_to(self, sender: Sender) -> None:
        """Give what the SDK makes to *sender*."""
        TracerProvider.add_span_processor(self, _Sending(sender))

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Send what is queued, ours first; False if that took longer than *timeout_millis*, or a processor says so."""
        deadline = time.monotonic() + timeout_millis / 1000
        sent = self.sender.flush(timeout_millis / 1000)
        left = max(1, round((deadline - time.monotonic()) * 1000))
        return TracerProvider.force_flush(self, left) and sent

    def shutdown(self) -> None:
        """Send what is queued, as the SDK's processors do. A request still in progress is sent by the runtime."""
        TracerProvider.shutdown(self)
        self.sender.flush(SHUTDOWN)


class _Sending(SpanProcessor):
    """Gives the SDK's spans to the sender."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def on_end(self, span: ReadableSpan) -> None:
        if span.context is not None and span.context.trace_flags.sampled:
            self._sender.add(span)

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002 -- the SDK's signature
        """Do nothing: the provider flushes the sender itself."""
        return True
