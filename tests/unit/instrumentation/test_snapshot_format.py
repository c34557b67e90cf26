"""A worker's values on disk: read back exactly, or not at all."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck_contract.labels import Label
from quarterdeck_contract.metrics import Kind, Metric
from quarterdeck_instrumentation.exemplars import Exemplar
from quarterdeck_instrumentation.exposition.snapshot import CorruptSnapshotError, decode, encode
from quarterdeck_instrumentation.registry import Registry

LATENCY = Metric("latency", "s", Kind.HISTOGRAM, "How long.", (Label("who", ""),), (0.1, 1.0))
EXEMPLAR = Exemplar(0.5, 1000.5, "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")


def worker_bytes(sequence: int = 7) -> bytes:
    """Return a snapshot with one histogram, one observation and one exemplar."""
    registry = Registry(100, clock=lambda: 1000.0)
    child = registry.distribution(LATENCY, 'new\nline "quoted" \N{SNOWMAN}')
    child.exemplars[child.observe(0.5)] = EXEMPLAR
    return encode(sequence, *registry.snapshot())


WHOLE = worker_bytes()


def test_what_is_written_is_read() -> None:
    """Labels of any text, values and exemplars come back, and what stands behind the snapshot is ignored."""
    snapshot = decode(WHOLE + b"rest of an earlier, longer snapshot")

    (series,) = snapshot.index.series
    assert snapshot.sequence == 7
    assert series.labels == ('new\nline "quoted" \N{SNOWMAN}',)
    assert series.metric.buckets == (0.1, 1.0)
    assert list(snapshot.values[series.start : series.stop]) == [1000.0, 0.5, 0.0, 1.0, 0.0]
    assert snapshot.exemplars == ((0, 1, EXEMPLAR),)


def test_a_known_index_is_used_again() -> None:
    """Parsing the index costs most of reading, and it seldom changes."""
    first = decode(WHOLE)

    assert decode(worker_bytes(8), first.index).index is first.index


@given(st.integers(0, len(WHOLE) - 1))
def test_a_truncated_snapshot_is_refused(length: int) -> None:
    """Whatever is missing."""
    with pytest.raises(CorruptSnapshotError):
        decode(WHOLE[:length])


@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_a_snapshot_with_a_changed_byte_is_refused(position: int, flip: int) -> None:
    """Wherever it is, the lengths in the header included."""
    data = bytearray(WHOLE)
    data[position] ^= flip

    with pytest.raises(CorruptSnapshotError):
        decode(bytes(data))


@given(st.binary(max_size=200), st.binary(max_size=64), st.integers(0, 2**63))
def test_sense_is_never_assumed_behind_a_right_checksum(index: bytes, values: bytes, sequence: int) -> None:
    """Bytes that somebody else put there with care raise the one error, or mean nothing."""
    with contextlib.suppress(CorruptSnapshotError):
        decode(encode(sequence, index, values))
