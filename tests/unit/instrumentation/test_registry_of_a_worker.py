"""The record path: what a worker remembers of what it did."""

from __future__ import annotations

import json

import pytest
from opentelemetry.trace import SpanContext

from quarterdeck_contract.labels import Label
from quarterdeck_contract.metrics import Kind, Metric
from quarterdeck_instrumentation.exemplars import Exemplar
from quarterdeck_instrumentation.exposition import snapshot
from quarterdeck_instrumentation.registry import BUCKETS, CREATED, VALUE, Registry

LATENCY = Metric("latency", "s", Kind.HISTOGRAM, "How long.", (Label("who", ""),), (0.1, 1.0))
JOBS = Metric("jobs", "{job}", Kind.COUNTER, "How many.", (Label("kind", ""),))


def registry(label_sets: int = 100) -> Registry:
    """Return a registry whose clock stands at 1,000 s."""
    return Registry(label_sets, clock=lambda: 1000.0)


def test_an_observation_is_counted_in_the_bucket_whose_bound_it_does_not_exceed() -> None:
    """A value equal to a bound belongs below it, as Prometheus' `le` says; one beyond all bounds has its own."""
    child = registry().distribution(LATENCY, "me")

    buckets = [child.observe(seconds) for seconds in (0.05, 0.1, 0.5, 2.0)]

    assert buckets == [0, 0, 1, 2]
    assert list(child.values[BUCKETS:]) == [2.0, 1.0, 1.0]
    assert child.values[VALUE] == pytest.approx(2.65)
    assert child.values[CREATED] == 1000.0


def test_an_exemplars_numbers_are_spelt_when_they_are_written_down() -> None:
    """As many hexadecimal digits as W3C's, zeroes in front; what is an exemplar already stays as it is."""
    metrics = registry()
    child = metrics.distribution(LATENCY, "me")
    told = Exemplar(2.0, 1001.5, "", "", 'order="7"')
    child.exemplars = {1: (0.5, 1000.5, SpanContext(0xA, 0xB, is_remote=False)), 2: told}

    assert metrics.snapshot()[2] == [(0, 1, Exemplar(0.5, 1000.5, "0" * 31 + "a", "0" * 15 + "b")), (0, 2, told)]


def test_the_same_labels_give_the_same_child() -> None:
    """And other labels another."""
    metrics = registry()

    assert metrics.cell(JOBS, "a") is metrics.cell(JOBS, "a")
    assert metrics.cell(JOBS, "a") is not metrics.cell(JOBS, "b")


def test_label_sets_beyond_the_limit_share_one_series() -> None:
    """Memory stays bounded, whatever a service puts into labels, and no other metric is affected."""
    metrics = registry(label_sets=2)
    for name in ("a", "b"):
        metrics.cell(JOBS, name)

    overflow = metrics.cell(JOBS, "c")

    assert metrics.cell(JOBS, "d") is overflow
    assert metrics.cell(JOBS, "a") is not overflow
    assert metrics.distribution(LATENCY, "me").values[VALUE] == 0.0


def test_a_histogram_is_not_a_counter() -> None:
    """Asking for the wrong instrument is a mistake in the program, and says so."""
    metrics = registry()
    metrics.distribution(LATENCY, "me")

    with pytest.raises(TypeError, match="latency is a histogram, not a Cell"):
        metrics.cell(LATENCY, "me")


def test_the_first_change_after_a_snapshot_wakes_the_writer_once() -> None:
    """A thousand requests between two writes wake nobody a thousand times."""
    metrics = registry()
    woken: list[bool] = []
    metrics.wake = lambda: woken.append(metrics.changed)

    metrics.touch()
    metrics.touch()
    metrics.snapshot()
    metrics.touch()

    assert woken == [True, True]


def test_a_snapshot_lists_children_in_the_order_of_their_values() -> None:
    """The index names a metric before its first child, and says all a reader needs to show it."""
    metrics = registry()
    metrics.cell(JOBS, "a").add(3)
    metrics.declare(LATENCY)
    metrics.cell(JOBS, "b").add(4)

    index, values, exemplars = metrics.snapshot()

    assert [json.loads(line) for line in index.splitlines()] == [
        ["metric", "jobs", "{job}", "counter", "How many.", ["kind"], []],
        ["series", 0, ["a"]],
        ["metric", "latency", "s", "histogram", "How long.", ["who"], [0.1, 1.0]],
        ["series", 0, ["b"]],
    ]
    assert list(memoryview(values).cast("d")) == [1000.0, 3.0, 1000.0, 4.0]
    assert exemplars == []


def test_a_removed_series_gives_its_place_to_a_new_one() -> None:
    """So label sets that come and go never overflow while there are few at a time, and the index does not grow."""
    metrics = registry(label_sets=2)
    metrics.cell(JOBS, "stays").add(1)
    for name in ("a", "b", "c"):
        child = metrics.cell(JOBS, name)
        child.add(5)
        shown = snapshot.decode(snapshot.encode(1, *metrics.snapshot()))
        assert [each.labels for each in shown.index.series] == [("stays",), (name,)]
        assert list(shown.values) == [1000.0, 1.0, 1000.0, 5.0]
        metrics.hide(child)

    metrics.cell(JOBS, "d")
    assert metrics.cell(JOBS, "e") is metrics.cell(JOBS, "f")


def test_a_metric_is_of_the_shape_it_had_first() -> None:
    """Whatever a later one of the same name says: the index describes the first."""
    metrics = registry()
    metrics.distribution(LATENCY, "me")

    other = metrics.distribution(Metric("latency", "s", Kind.HISTOGRAM, "", LATENCY.labels, (5.0,)), "you")

    assert other.bounds == LATENCY.buckets
