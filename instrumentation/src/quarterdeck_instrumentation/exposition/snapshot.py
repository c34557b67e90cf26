"""The format of a worker's values on disk: bytes to values and back, checked, with no I/O.

A header (magic, checksum, sequence number, lengths), then the index (a JSON line for each metric and each of its
children, in the order of the values), the values (doubles), the exemplars, and as JSON those with labels of their
own. JSON and doubles, not pickle, because
a reader must survive whatever it finds. The checksum covers everything after itself.
"""

from __future__ import annotations

import json
import struct
from array import array
from dataclasses import field
from typing import Any, NamedTuple
from zlib import crc32

from quarterdeck_contract.labels import Label
from quarterdeck_contract.metrics import Kind, Metric
from quarterdeck_contract.records import record
from quarterdeck_instrumentation.exemplars import Exemplar
from quarterdeck_instrumentation.foreign import Foreign, Merge
from quarterdeck_instrumentation.registry import BUCKETS, METRIC, SERIES

_MAGIC = b"QDSNAP02"
_HEADER = struct.Struct("<8sIQIIII")
_CHECKED_FROM = 12
"""Offset of the first byte that the checksum covers: after the magic and the checksum itself."""
_EXEMPLAR = struct.Struct("<IIdd32s16s")

FOLDED = "folded"
"""First word of an index line that names a worker whose values are in these totals already."""


class CorruptSnapshotError(ValueError):
    """The bytes are not a whole snapshot: torn, truncated or tampered with."""


class Series(NamedTuple):
    """One child in a snapshot, and where its values are."""

    metric: Metric
    labels: tuple[str, ...]
    start: int
    """Index of its first value."""
    stop: int
    """One more than the index of its last value."""


@record(frozen=True, slots=True)
class Index:
    """What the values mean."""

    text: bytes = b""
    """As stored; equal text, equal index."""
    metrics: tuple[Metric, ...] = ()
    series: tuple[Series, ...] = ()
    folded: frozenset[str] = frozenset()


@record(frozen=True, slots=True)
class Snapshot:
    """A worker's values at one moment."""

    sequence: int = 0
    """Counts a worker's snapshots: of two, the greater is the later."""
    index: Index = Index()
    values: array[float] = field(default_factory=lambda: array("d"))
    exemplars: tuple[tuple[int, int, Exemplar], ...] = ()
    """(number of the series, number of the bucket, exemplar)."""


def encode(
    sequence: int, index: bytes, values: bytes, exemplars: list[tuple[int, int, Exemplar]] | tuple[()] = ()
) -> bytes:
    """Return a snapshot's bytes."""
    packed = b"".join(
        [
            _EXEMPLAR.pack(series, bucket, e.value, e.timestamp, e.trace_id.encode(), e.span_id.encode())
            for series, bucket, e in exemplars
            if not e.labels
        ]
    )
    others = [(series, bucket, tuple(e)) for series, bucket, e in exemplars if e.labels]
    labelled = json.dumps(others).encode() if others else b""
    parts = (index, values, packed, labelled)
    body = b"".join(parts)
    lengths = [len(part) for part in parts]
    checksum = crc32(body, crc32(_HEADER.pack(_MAGIC, 0, sequence, *lengths)[_CHECKED_FROM:]))
    return _HEADER.pack(_MAGIC, checksum, sequence, *lengths) + body


def decode(data: bytes, known: Index | None = None) -> Snapshot:
    """Return the snapshot in *data*, which may be longer than it.

    Args:
        data: what was read.
        known: an index seen earlier, used when the text is the same, because parsing it costs most.

    Raises:
        CorruptSnapshotError: *data* is not a whole snapshot.
    """
    if len(data) < _HEADER.size or not data.startswith(_MAGIC):
        raise CorruptSnapshotError("no header")
    _, checksum, sequence, *lengths = _HEADER.unpack_from(data)
    ends = [_HEADER.size, *lengths]
    for part in range(1, len(ends)):
        ends[part] += ends[part - 1]
    if ends[-1] > len(data) or crc32(memoryview(data)[_CHECKED_FROM : ends[-1]]) != checksum:
        raise CorruptSnapshotError("the checksum is another")
    text = data[ends[0] : ends[1]]
    index = known if known is not None and known.text == text else parse(text)
    try:
        values = array("d", data[ends[1] : ends[2]])
        exemplars = tuple(
            (series, bucket, Exemplar(value, timestamp, trace.decode("ascii"), span.decode("ascii")))
            for series, bucket, value, timestamp, trace, span in _EXEMPLAR.iter_unpack(data[ends[2] : ends[3]])
            if series < len(index.series)
        )
        if lengths[3]:
            exemplars += tuple(
                (series, bucket, Exemplar(*fields))
                for series, bucket, fields in json.loads(data[ends[3] : ends[4]])
                if series < len(index.series)
            )
    except (ValueError, TypeError, struct.error) as error:
        raise CorruptSnapshotError("the values cannot be read") from error
    if index.series and index.series[-1].stop > len(values):
        raise CorruptSnapshotError("fewer values than series")
    return Snapshot(sequence, index, values, exemplars)


def line(*fields: object) -> str:
    """Return one line of an index."""
    return json.dumps(fields)


def parse(text: bytes) -> Index:
    """Return what the lines of *text* say.

    Raises:
        CorruptSnapshotError: they say nothing sensible.
    """
    metrics: list[Metric] = []
    series: list[Series] = []
    folded: set[str] = set()
    position = 0
    try:
        for kind, *fields in json.loads(b"[" + text.replace(b"\n", b",") + b"]"):
            if kind == METRIC:
                metrics.append(_metric(*fields))
            elif kind == SERIES:
                metric = metrics[fields[0]]
                stop = position + width(metric)
                series.append(Series(metric, tuple(map(str, fields[1])), position, stop))
                position = stop
            elif kind == FOLDED:
                folded.add(fields[0])
    except (ValueError, TypeError, LookupError) as error:
        raise CorruptSnapshotError("the index cannot be read") from error
    return Index(text, tuple(metrics), tuple(series), frozenset(folded))


def width(metric: Metric) -> int:
    """Return how many values a child of *metric* has."""
    return BUCKETS + len(metric.buckets) + 1 if metric.kind is Kind.HISTOGRAM else BUCKETS


def _metric(name: str, unit: str, kind: str, description: str, *shape: Any) -> Metric:
    labels, buckets, *foreign = shape
    fields = (name, unit, Kind(kind), description, tuple(Label(label, "") for label in labels), tuple(buckets))
    if not foreign:
        return Metric(*fields)
    merge, *rest = foreign
    return Foreign(*fields, Merge(merge), *rest)
