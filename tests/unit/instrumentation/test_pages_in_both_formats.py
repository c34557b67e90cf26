"""The page's text, to the letter."""

from __future__ import annotations

import doctest
from array import array

import pytest

from quarterdeck_contract.labels import Label
from quarterdeck_contract.metrics import Kind, Metric
from quarterdeck_instrumentation.exemplars import Exemplar
from quarterdeck_instrumentation.exposition import page
from quarterdeck_instrumentation.exposition.collector import Sum
from quarterdeck_instrumentation.exposition.page import Format, negotiate, render
from quarterdeck_instrumentation.testing import parse

LATENCY = Metric("request.latency", "s", Kind.HISTOGRAM, "How long.", (Label("http.route", ""),), (0.1, 1.0))
JOBS = Metric("jobs", "{job}", Kind.COUNTER, "How many\njobs.", (Label("kind", ""),))
WORKERS = Metric("workers", "{process}", Kind.UP_DOWN_COUNTER, "Who works.")
METRICS = (LATENCY, JOBS, WORKERS)

PROMETHEUS_3_16 = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.8,"
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.7,"
    "application/openmetrics-text;version=0.0.1;q=0.6,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.3"
)


def total(metric: Metric, labels: tuple[str, ...], *numbers: float) -> Sum:
    """Return a sum over one worker that began at 1,000 s."""
    made = Sum(metric, labels)
    made.add(1000.0, array("d", numbers))
    return made


def sums() -> list[Sum]:
    """Return one of each kind."""
    return [
        total(LATENCY, ("/a",), 2.5, 1.0, 0.0, 2.0),
        total(JOBS, ('q"\\',), 3.0),
        total(JOBS, (), 1.0),
        total(WORKERS, (), 2.0),
    ]


def test_the_plain_format() -> None:
    """Buckets are cumulative, labels escaped, the overflow series marked."""
    assert (
        "".join(render(METRICS, sums(), Format.PROMETHEUS))
        == r"""# HELP request_latency_seconds How long.
# TYPE request_latency_seconds histogram
request_latency_seconds_bucket{http_route="/a",le="0.1"} 1
request_latency_seconds_bucket{http_route="/a",le="1.0"} 1
request_latency_seconds_bucket{http_route="/a",le="+Inf"} 3
request_latency_seconds_sum{http_route="/a"} 2.5
request_latency_seconds_count{http_route="/a"} 3
# HELP jobs_total How many\njobs.
# TYPE jobs_total counter
jobs_total{kind="q\"\\"} 3
jobs_total{otel_metric_overflow="true"} 1
# HELP workers Who works.
# TYPE workers gauge
workers 2
"""
    )


def test_openmetrics() -> None:
    """Counters lose their suffix in the family's name; units, times of creation and the end are said."""
    assert (
        "".join(render(METRICS, sums(), Format.OPENMETRICS))
        == r"""# TYPE request_latency_seconds histogram
# UNIT request_latency_seconds seconds
# HELP request_latency_seconds How long.
request_latency_seconds_bucket{http_route="/a",le="0.1"} 1
request_latency_seconds_bucket{http_route="/a",le="1.0"} 1
request_latency_seconds_bucket{http_route="/a",le="+Inf"} 3
request_latency_seconds_sum{http_route="/a"} 2.5
request_latency_seconds_count{http_route="/a"} 3
request_latency_seconds_created{http_route="/a"} 1000.0
# TYPE jobs counter
# HELP jobs How many\njobs.
jobs_total{kind="q\"\\"} 3
jobs_created{kind="q\"\\"} 1000.0
jobs_total{otel_metric_overflow="true"} 1
jobs_created{otel_metric_overflow="true"} 1000.0
# TYPE workers gauge
# HELP workers Who works.
workers 2
# EOF
"""
    )


def test_an_exemplar_links_a_bucket_to_a_trace() -> None:
    """On the line of its bucket, and in OpenMetrics only: the plain format knows none."""
    latency = total(LATENCY, ("/a",), 2.5, 0.0, 0.0, 1.0)
    latency.add_exemplar(2, Exemplar(2.5, 1001.5, "ab" * 16, "cd" * 8))

    text = "".join(render([LATENCY], [latency], Format.OPENMETRICS))

    assert (
        'request_latency_seconds_bucket{http_route="/a",le="+Inf"} 1'
        f' # {{trace_id="{"ab" * 16}",span_id="{"cd" * 8}"}} 2.5 1001.5\n'
    ) in text
    assert "trace_id" not in "".join(render([LATENCY], [latency], Format.PROMETHEUS))


def test_an_unlabelled_success_has_no_empty_label() -> None:
    """In Prometheus an empty label is no label."""
    outcome = Metric("done", "", Kind.COUNTER, "Done.", (Label("error.type", ""), Label("who", "")))

    text = "".join(render([outcome], [total(outcome, ("", "me"), 1.0)], Format.PROMETHEUS))

    assert 'done_total{who="me"} 1\n' in text


def test_no_label_of_a_services_own_spoils_the_page() -> None:
    """One that is the page's own is renamed, and of two that are spelt alike there is the first."""
    jobs = Metric("jobs", "", Kind.COUNTER, "", (Label("__name__", ""), Label("a.b", ""), Label("a_b", "")))
    wait = Metric("wait", "", Kind.HISTOGRAM, "", (Label("le", ""),), (1.0,))

    text = "".join(
        render([jobs, wait], [total(jobs, ("x", "1", "2"), 1.0), total(wait, ("y",), 1.0, 1.0, 0.0)], Format.PROMETHEUS)
    )

    assert 'jobs_total{exported___name__="x",a_b="1"} 1\n' in text
    assert 'wait_bucket{exported_le="y",le="1.0"} 1\n' in text


def test_a_page_can_be_without_times_of_creation() -> None:
    """For a Prometheus that would make series of them."""
    assert "_created" not in "".join(render(METRICS, sums(), Format.OPENMETRICS, created=False))


def test_a_metric_without_series_is_still_described() -> None:
    """A dashboard's author finds it before the first request."""
    assert parse("".join(render([JOBS], [], Format.PROMETHEUS))).types == {"jobs_total": "counter"}


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (PROMETHEUS_3_16, Format.OPENMETRICS),
        ("text/plain;version=0.0.4;q=0.9,application/openmetrics-text;version=1.0.0;q=0.5", Format.PROMETHEUS),
        ("application/openmetrics-text; version=2.0.0", Format.PROMETHEUS),
        ("application/openmetrics-text", Format.OPENMETRICS),
        ("application/openmetrics-text;q=0", Format.PROMETHEUS),
        ("application/openmetrics-text;q=high,text/html", Format.PROMETHEUS),
        ("*/*", Format.PROMETHEUS),
        ("", Format.PROMETHEUS),
        (";;,,=;q", Format.PROMETHEUS),
    ],
)
def test_the_scraper_gets_the_format_it_prefers(accept: str, expected: Format) -> None:
    """Prometheus 3.16's own header among them; who prefers nothing of ours gets the plain one."""
    assert negotiate(accept) is expected


def test_the_examples_in_the_docstrings_hold() -> None:
    """They are the documentation."""
    assert doctest.testmod(page).failed == 0
