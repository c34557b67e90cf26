"""What is kept, decided alike for OpenTelemetry's SDK where that makes the spans. Importing this imports the SDK."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import get_current_span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.context import Context
    from opentelemetry.trace import Link, SpanContext, SpanKind, TraceState
    from opentelemetry.util.types import Attributes

    from quarterdeck_instrumentation.spans.sampling import RateLimited


def of_share(share: float, *, parent_based: bool) -> Sampler:
    """Return OpenTelemetry's own sampler that keeps a *share* of all traces, from 0 to 1."""
    root = {0.0: ALWAYS_OFF, 1.0: ALWAYS_ON}.get(share) or TraceIdRatioBased(share)
    return ParentBased(root) if parent_based else root


class RateLimitedSampler(Sampler):
    """Takes from the bucket of *sampling*, so that the rate is one whoever makes the spans."""

    def __init__(self, sampling: RateLimited) -> None:
        self._sampling = sampling

    def should_sample(  # noqa: PLR0917 -- the SDK's signature
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Keep a span if the bucket has one left, or its parent says so."""
        del name, kind, links, trace_state
        above: SpanContext | None = get_current_span(parent_context).get_span_context()
        parent = above if above is not None and above.is_valid else None
        state = None if parent is None else parent.trace_state
        if self._sampling.keeps(trace_id, parent):
            return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes, state)
        return SamplingResult(Decision.DROP, None, state)

    def get_description(self) -> str:
        """Say what it does, as the SDK's own do."""
        name = f"QuarterdeckRateLimited{{{self._sampling.rate:g}}}"
        return f"ParentBased{{root:{name}}}" if self._sampling.parent_based else name
