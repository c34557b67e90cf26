"""How much a span may keep: the specification's defaults, or what the environment says, as the SDK reads that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULTS = {
    "OTEL_ATTRIBUTE_COUNT_LIMIT": "128",
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "none",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "128",
    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT": "none",
    "OTEL_SPAN_EVENT_COUNT_LIMIT": "128",
    "OTEL_SPAN_LINK_COUNT_LIMIT": "128",
    "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT": "128",
    "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT": "128",
}
"""Variables, with the specification's defaults. `none` is no limit, as the SDK reads it."""
_SERVER_ATTRIBUTES = 32
"""A limit below this could drop one of a server span's own attributes: the SDK path knows how."""


class Limits(Protocol):
    """What is asked of the SDK's `SpanLimits`. None is no limit."""

    max_events: int | None
    max_links: int | None
    max_span_attributes: int | None
    max_event_attributes: int | None
    max_link_attributes: int | None
    max_attribute_length: int | None
    max_span_attribute_length: int | None


class Usual:
    """The specification's defaults."""

    max_events: int | None = 128
    max_links: int | None = 128
    max_span_attributes: int | None = 128
    max_event_attributes: int | None = 128
    max_link_attributes: int | None = 128
    max_attribute_length: int | None = None
    max_span_attribute_length: int | None = None


def read(environ: Mapping[str, str]) -> Limits:
    """Return the limits; the SDK, which is 10 ms to import, is asked only where one of the variables is set."""
    if environ.keys().isdisjoint(DEFAULTS):
        return Usual()
    from opentelemetry.sdk.trace import SpanLimits  # noqa: PLC0415 -- see above

    return SpanLimits()


def unusual(limits: Limits) -> bool:
    """Say whether only the SDK's spans keep to *limits*."""
    most = limits.max_span_attributes
    return limits.max_span_attribute_length is not None or (most is not None and most < _SERVER_ATTRIBUTES)
