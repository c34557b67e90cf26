"""Prometheus names are derived from OpenTelemetry's by the specification's rules."""

from __future__ import annotations

import doctest

import pytest

from quarterdeck_contract import metrics, naming
from quarterdeck_contract.metrics import Kind, Metric
from quarterdeck_contract.naming import Path, prometheus_name, series_names


@pytest.mark.parametrize(
    ("name", "unit", "kind", "expected"),
    [
        ("http.server.request.duration", "s", Kind.HISTOGRAM, "http_server_request_duration_seconds"),
        ("process.cpu.time", "s", Kind.COUNTER, "process_cpu_time_seconds_total"),
        ("process.memory.usage", "By", Kind.UP_DOWN_COUNTER, "process_memory_usage_bytes"),
        ("http.server.active_requests", "{request}", Kind.UP_DOWN_COUNTER, "http_server_active_requests"),
        ("jobs.done", "{job}", Kind.COUNTER, "jobs_done_total"),
        ("cpu.utilization", "1", Kind.GAUGE, "cpu_utilization_ratio"),
        ("cache.hits", "1", Kind.COUNTER, "cache_hits_total"),
        ("wait.seconds", "s", Kind.HISTOGRAM, "wait_seconds"),
        ("queue..depth", "", Kind.GAUGE, "queue_depth"),
        ("disk.io", "By/s", Kind.GAUGE, "disk_io_bytes_per_second"),
        ("disk.rate", "{operation}/s", Kind.GAUGE, "disk_rate_per_second"),
        ("total.seconds.spent", "s", Kind.COUNTER, "seconds_spent_total"),
        ("hit.ratio.of.caches", "1", Kind.GAUGE, "hit_of_caches_ratio"),
        ("job:errors", "", Kind.UP_DOWN_COUNTER, "job:errors"),
        ("2xx", "", Kind.COUNTER, "_2xx_total"),
    ],
)
def test_unit_and_kind_become_suffixes(name: str, unit: str, kind: Kind, expected: str) -> None:
    """A unit becomes a word, an annotation in braces nothing, a counter ends in _total."""
    metric = Metric(name, unit, kind, "…")

    assert {prometheus_name(metric, path) for path in Path} == {expected}


def test_a_histogram_becomes_three_series() -> None:
    """Buckets, sum and count have their own names."""
    assert series_names(metrics.HTTP_SERVER_DURATION) == (
        "http_server_request_duration_seconds_bucket",
        "http_server_request_duration_seconds_sum",
        "http_server_request_duration_seconds_count",
    )


def test_every_metric_of_the_contract_is_listed_once() -> None:
    """`ALL` is the whole contract: each Metric of the module, none twice."""
    stated = [value for value in vars(metrics).values() if isinstance(value, Metric)]

    assert sorted(metric.name for metric in metrics.ALL) == sorted(metric.name for metric in stated)
    assert len({prometheus_name(metric) for metric in metrics.ALL}) == len(metrics.ALL)


def test_buckets_ascend_and_belong_to_histograms() -> None:
    """A histogram has ascending bounds without +Inf; nothing else has any."""
    for metric in metrics.ALL:
        assert bool(metric.buckets) == (metric.kind is Kind.HISTOGRAM)
        assert list(metric.buckets) == sorted(set(metric.buckets))
        assert float("inf") not in metric.buckets


def test_the_examples_in_the_module_hold() -> None:
    """Docstring examples are executed."""
    assert doctest.testmod(naming).failed == 0
