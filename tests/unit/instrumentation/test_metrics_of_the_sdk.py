"""Where a service has a MeterProvider of the SDK's, its data are on the page too, after its views have seen them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import (
    ExplicitBucketHistogramAggregation,
    ExponentialBucketHistogramAggregation,
    View,
)
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span

import quarterdeck_instrumentation
from quarterdeck_contract.metrics import ALL
from quarterdeck_instrumentation import failures
from quarterdeck_instrumentation.exposition.page import Format
from quarterdeck_instrumentation.foreign import page_names
from quarterdeck_instrumentation.meters.home import home
from quarterdeck_instrumentation.meters.names import Names
from quarterdeck_instrumentation.meters.sdk import PageReader
from quarterdeck_instrumentation.testing import Page, Recording, recording

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.metrics import Meter

OURS = {name for metric in ALL for name in page_names(metric)}


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recording]:
    """Return what is recorded; nothing of other tests is."""
    monkeypatch.setattr(home, "names", Names())
    monkeypatch.setattr(home, "sources", [])
    failures.forget()
    with recording() as made:
        yield made


def meter(*views: View) -> Meter:
    """Return a meter of a provider with a reader for the page and one of the service's own."""
    provider = MeterProvider([PageReader(), InMemoryMetricReader()], shutdown_on_exit=False, views=views)
    return provider.get_meter("a.service")


def foreign(page: Page) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return what is not the contract's: value by name and labels."""
    return {(each.name, tuple(each.labels.items())): each.value for each in page.samples if each.name not in OURS}


def test_each_kind_has_its_form_on_the_page(recorded: Recording) -> None:
    """As if our own provider had made the instrument, and page after page."""
    of = meter(View(instrument_name="wait", aggregation=ExplicitBucketHistogramAggregation([0.1, 1.0])))
    of.create_observable_gauge("depth", [lambda _: [Observation(4, {"queue": "a"})]])
    of.create_observable_counter("ticks", [lambda _: [Observation(9)]])
    jobs, running, wait = of.create_counter("jobs"), of.create_up_down_counter("open"), of.create_histogram("wait", "s")
    for _ in range(2):
        jobs.add(3, {"kind": "a"})
        running.add(2)
        wait.record(0.5)
        page = recorded.page()

    assert foreign(page) == {
        ("jobs_total", (("kind", "a"),)): 6.0,
        ("open", ()): 4.0,
        ("wait_seconds_bucket", (("le", "0.1"),)): 0.0,
        ("wait_seconds_bucket", (("le", "1.0"),)): 2.0,
        ("wait_seconds_bucket", (("le", "+Inf"),)): 2.0,
        ("wait_seconds_sum", ()): 1.0,
        ("wait_seconds_count", ()): 2.0,
        ("depth", (("queue", "a"),)): 4.0,
        ("ticks_total", ()): 9.0,
    }


def test_a_view_decides_names_and_labels(recorded: Recording) -> None:
    """That is why a service has a provider of its own."""
    counter = meter(View(instrument_name="calls", name="requests", attribute_keys={"to"})).create_counter("calls")
    counter.add(1, {"to": "a", "user": "1"})
    counter.add(1, {"to": "a", "user": "2"})

    assert foreign(recorded.page()) == {("requests_total", (("to", "a"),)): 2.0}


def test_an_exponential_histogram_never_breaks_the_page(recorded: Recording) -> None:
    """It has classic buckets there, the same each time, though its own change with the values."""
    histogram = meter(
        View(instrument_name="wait", aggregation=ExponentialBucketHistogramAggregation())
    ).create_histogram("wait", "s")
    for value in (0.0, 0.003, 0.06, 0.3, 400.0):
        histogram.record(value)
        page = recorded.page()

    assert [each.value for each in page.find("wait_seconds_bucket", le="0.005")] == [2.0]
    assert [each.value for each in page.find("wait_seconds_bucket", le="0.075")] == [3.0]
    assert [each.value for each in page.find("wait_seconds_bucket", le="0.5")] == [4.0]
    assert [each.value for each in page.find("wait_seconds_bucket", le="10.0")] == [4.0]
    assert page.value("wait_seconds_count") == 5.0
    assert page.value("wait_seconds_sum") == pytest.approx(400.363)
    assert failures.counts() == {}


def test_exemplars_are_kept(recorded: Recording) -> None:
    """Of histograms and of counters, in OpenMetrics."""
    of = meter(View(instrument_name="wait", aggregation=ExplicitBucketHistogramAggregation([1.0])))
    sampled = SpanContext(0xAB, 0xCD, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    with use_span(NonRecordingSpan(sampled)):
        of.create_histogram("wait").record(2.0)
        of.create_counter("jobs").add(1)

    page = recorded.page(Format.OPENMETRICS)

    trace = {"trace_id": f"{0xAB:032x}", "span_id": f"{0xCD:016x}"}
    assert [each.exemplar for each in page.find("wait_bucket")] == [{}, trace]
    assert [each.exemplar for each in page.find("jobs_total")] == [trace]


def test_a_reader_is_had_without_importing_the_sdk() -> None:
    """From the package itself, for services that make their provider where we cannot see it."""
    assert quarterdeck_instrumentation.PageReader is PageReader


def test_every_provider_is_given_a_reader_when_it_is_made(recorded: Recording, patched: Any) -> None:
    """By whatever way its readers are named; only the global provider's data are shown."""
    with patched("opentelemetry.sdk.metrics"):
        providers = [
            MeterProvider(shutdown_on_exit=False),
            MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False),
            MeterProvider(metric_readers=(PageReader(),), shutdown_on_exit=False),
        ]

    assert len([source for source in home.sources if isinstance(source, PageReader)]) == 3
    for provider in providers:
        provider.get_meter("a.library").create_counter("jobs").add(1)
    assert foreign(recorded.page()) == {}


def test_a_measurement_has_the_provider_read(
    recorded: Recording, patched: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once until it is: less than a second of what a worker measured is lost to SIGKILL."""
    woken: list[bool] = []
    with patched("opentelemetry.sdk.metrics"):
        provider = MeterProvider(shutdown_on_exit=False)
    monkeypatch.setattr("opentelemetry.metrics._internal._METER_PROVIDER", provider)
    monkeypatch.setattr(home, "wake", lambda: woken.append(True))
    jobs = provider.get_meter("a.service").create_counter("jobs")

    jobs.add(1)
    jobs.add(1)
    assert len(woken) == 1
    assert recorded.page().value("jobs_total") == 2.0
    jobs.add(1)
    assert len(woken) == 2
