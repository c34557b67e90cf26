"""Exemplars: single observations, each with the trace that it can be looked up by."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Exemplar(NamedTuple):
    """One observation that can be looked up: the trace it belongs to."""

    value: float
    """The observation, in the metric's unit."""
    timestamp: float
    """Unix time."""
    trace_id: str
    """32 hexadecimal digits."""
    span_id: str
    """16 hexadecimal digits."""
    labels: str = ""
    """All its labels as the page writes them, where they are others than these two."""


class Identified(Protocol):
    """Which span something was measured in; OpenTelemetry's SpanContext, or what reads like it."""

    @property
    def trace_id(self) -> int:
        """The trace's number."""

    @property
    def span_id(self) -> int:
        """The span's number."""


Sighting = tuple[float, float, Identified]
"""Value, Unix time and span of an observation: an exemplar whose numbers nobody has had to spell yet. Of thousands in
a second few are ever written down."""


def spelt(found: Exemplar | Sighting) -> Exemplar:
    """Return *found* as an exemplar."""
    if isinstance(found, Exemplar):
        return found
    value, timestamp, span = found
    return Exemplar(value, timestamp, f"{span.trace_id:032x}", f"{span.span_id:016x}")
