"""A worker's values as OTLP's protobuf bytes. No I/O.

Field numbers are those of opentelemetry/proto/metrics/v1 of https://github.com/open-telemetry/opentelemetry-proto.
"""

from __future__ import annotations

import struct
from math import isnan
from operator import lt
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from quarterdeck_contract.labels import HTTP_STATUS_CODE, OVERFLOW
from quarterdeck_contract.metrics import Kind
from quarterdeck_instrumentation.foreign import Foreign, form_of
from quarterdeck_instrumentation.registry import BUCKETS, CREATED, VALUE
from quarterdeck_instrumentation.spans import wire

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterator, Mapping, Sequence

    from opentelemetry.sdk.resources import Resource

    from quarterdeck_contract.metrics import Metric
    from quarterdeck_instrumentation.exemplars import Exemplar
    from quarterdeck_instrumentation.exposition.snapshot import Series, Snapshot

_SCOPE = InstrumentationScope("quarterdeck.instrumentation")
_DELTA, _CUMULATIVE = b"\x10\x01", b"\x10\x02"
"""A sum's or histogram's temporality."""
_MONOTONIC = b"\x18\x01"
_TIMES = struct.Struct("<BQBQ").pack
_NUMBER = struct.Struct("<Bd").pack
_COUNT = struct.Struct("<BQ").pack
_POINTS = 2000
"""Points in one request: so that its size is bounded however many there are."""
_IDENTITY = 32
"""Hexadecimal digits of a trace id."""


class _Moment(NamedTuple):
    """What is sent, and what was sent before."""

    now: Snapshot
    when: float
    attributes: Mapping[int, Mapping[str, Any]]
    exemplars: dict[int, list[tuple[int, Exemplar]]]


def requests(
    resource: Resource,
    now: Snapshot,
    when: float,
    attributes: Mapping[int, Mapping[str, Any]],
    before: tuple[Snapshot, float] | None = None,
) -> Iterator[bytes]:
    """Yield ExportMetricsServiceRequests with what *now* says.

    Args:
        resource: who says it.
        now: the values.
        when: Unix time of them.
        attributes: number of a series → its labels as they were before they became text.
        before: for delta temporality, what was sent last, and when; None for cumulative.
    """
    by_metric: dict[tuple[str, str, Kind], tuple[Metric, list[tuple[int, Series]]]] = {}
    for number, series in enumerate(now.index.series):
        metric = series.metric
        if not (isinstance(metric, Foreign) and metric.elsewhere) and not isnan(now.values[series.start + CREATED]):
            by_metric.setdefault((metric.name, metric.unit, metric.kind), (metric, []))[1].append((number, series))
    exemplars: dict[int, list[tuple[int, Exemplar]]] = {}
    for number, bucket, exemplar in now.exemplars:
        exemplars.setdefault(number, []).append((bucket, exemplar))
    moment = _Moment(now, when, attributes, exemplars)
    encoded: list[bytes] = []
    size = 0
    for metric, found in by_metric.values():
        for first in range(0, len(found), _POINTS):
            part = found[first : first + _POINTS]
            if before is None and size + len(part) > _POINTS:  # of changes, half a delivery would be repeated
                yield wire.request(resource, [wire.scope_spans(_SCOPE, encoded)])
                encoded, size = [], 0
            changes = before if metric.kind in (Kind.COUNTER, Kind.HISTOGRAM) else None
            points = [_point(number, series, moment, changes) for number, series in part]
            encoded.append(wire.field(b"\x12", _metric(metric, points, delta=changes is not None)))
            size += len(part)
    if encoded:
        yield wire.request(resource, [wire.scope_spans(_SCOPE, encoded)])


def _metric(metric: Metric, points: Sequence[bytes], *, delta: bool) -> bytes:
    head = (
        wire.field(b"\x0a", wire.text(metric.name))
        + wire.field(b"\x12", wire.text(metric.description))
        + wire.field(b"\x1a", wire.text(metric.unit))
    )
    body = b"".join(points)
    temporality = _DELTA if delta else _CUMULATIVE
    if form_of(metric) == "summary":
        return head + wire.field(b"\x5a", body)
    if metric.kind is Kind.HISTOGRAM:
        return head + wire.field(b"\x4a", body + temporality)
    if metric.kind is Kind.GAUGE:
        return head + wire.field(b"\x2a", body)
    return head + wire.field(b"\x3a", body + temporality + (_MONOTONIC if metric.kind is Kind.COUNTER else b""))


def _point(number: int, series: Series, moment: _Moment, before: tuple[Snapshot, float] | None) -> bytes:
    """Return one point as a field of its metric."""
    now, when, all_attributes, all_exemplars = moment
    exemplars = all_exemplars.get(number, [])
    values, created = now.values[series.start + VALUE : series.stop], now.values[series.start + CREATED]
    if before is not None:
        values, created = _changes(series, values, created, before)
    labels = all_attributes.get(number) or _attributes(series)
    times = _TIMES(0x11, _nanoseconds(created), 0x19, _nanoseconds(when))
    if series.metric.kind is not Kind.HISTOGRAM:
        traces = b"".join([wire.field(b"\x2a", _exemplar(each)) for _, each in exemplars])
        value = _NUMBER(0x21, values[0])
        return wire.field(b"\x0a", times + value + traces + wire.attributes(b"\x3a", labels))
    counts = [int(count) for count in values[1:]]
    total = _COUNT(0x21, sum(counts)) + _NUMBER(0x29, values[0])
    if form_of(series.metric) == "summary":
        return wire.field(b"\x0a", times + total + wire.attributes(b"\x3a", labels))
    bounds = series.metric.buckets
    return wire.field(
        b"\x0a",
        times
        + total
        + wire.field(b"\x32", struct.pack(f"<{len(counts)}Q", *counts))
        + (wire.field(b"\x3a", struct.pack(f"<{len(bounds)}d", *bounds)) if bounds else b"")
        + b"".join([wire.field(b"\x42", _exemplar(each)) for _, each in exemplars])
        + wire.attributes(b"\x4a", labels),
    )


def _changes(
    series: Series, values: array[float], created: float, before: tuple[Snapshot, float]
) -> tuple[array[float], float]:
    """Return by how much *values* have grown since *before*, and since when."""
    sent, when = before
    old = sent.values[series.start + VALUE : series.stop]
    began = sent.values[series.start + CREATED : series.start + BUCKETS][:1]
    counts, counted = values[1:] or values, old[1:] or old
    if len(old) != len(values) or isnan(began[0]) or any(map(lt, counts, counted)):
        return values, created  # it is new, or began anew
    return type(values)("d", [new - was for new, was in zip(values, old, strict=True)]), when


def _attributes(series: Series) -> dict[str, Any]:
    """Return the labels of a metric of ours with the types that the semantic conventions give them."""
    if series.metric.labels and not series.labels:
        return {OVERFLOW.name: True}
    pairs = zip(series.metric.labels, series.labels, strict=False)
    return {
        label.name: int(value) if label.name == HTTP_STATUS_CODE.name and value.isdecimal() else value
        for label, value in pairs
        if value
    }


def _exemplar(exemplar: Exemplar) -> bytes:
    parts = [_COUNT(0x11, _nanoseconds(exemplar.timestamp)), _NUMBER(0x19, exemplar.value)]
    if len(exemplar.trace_id) == _IDENTITY:
        parts.append(wire.field(b"\x22", bytes.fromhex(exemplar.span_id)))
        parts.append(wire.field(b"\x2a", bytes.fromhex(exemplar.trace_id)))
    return b"".join(parts)


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
