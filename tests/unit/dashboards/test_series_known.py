"""Which series exist: the contract's, Prometheus' own, and those of recorded pages."""

from __future__ import annotations

import pytest

from quarterdeck_contract.labels import TARGET_LABELS
from quarterdeck_contract.metrics import HTTP_SERVER_DURATION
from quarterdeck_dashboards.series import SeriesKind, bucket_bound, buckets, contract, external, of_exposition

PAGE = """\
# HELP jobs_total Jobs.
# TYPE jobs_total counter
jobs_total{queue="a\\"b,c}",outcome="ok"} 3 # {trace_id="0"} 1
# TYPE queue_depth gauge
queue_depth 2
# TYPE wait_seconds histogram
wait_seconds_bucket{le="1"} 1
wait_seconds_sum 0.5
wait_seconds_count 1
# TYPE gc_seconds summary
gc_seconds{quantile="0.5"} 0.1
gc_seconds_count 4
# TYPE served counter
served_total 9
untold 1
"""


def test_a_histogram_of_the_contract_is_three_series() -> None:
    """Buckets have `le` beside the metric's own labels and the target's."""
    series = buckets(HTTP_SERVER_DURATION)
    names = {label.prometheus for label in series.labels or ()}

    assert (series.name, series.kind) == ("http_server_request_duration_seconds_bucket", SeriesKind.BUCKET)
    assert names >= {"le", "http_route", "job", "instance", *(label.prometheus for label in TARGET_LABELS)}
    assert series.bounds[0] == "0.005"
    assert series.bounds[-2:] == ("10.0", "+Inf")
    assert "http_server_request_duration_seconds" not in contract()


@pytest.mark.parametrize(("bound", "text"), [(0.25, "0.25"), (1, "1.0"), (10.0, "10.0"), (0.005, "0.005")])
def test_bounds_are_spelt_as_prometheus_3_does(bound: float, text: str) -> None:
    """It normalises `1` to `1.0` when it scrapes, so the matcher must say so."""
    assert bucket_bound(bound) == text


def test_a_recorded_page_tells_names_kinds_and_labels() -> None:
    """With target labels added, because that is how such a page is scraped."""
    series = {each.name: each for each in of_exposition(PAGE)}

    assert {name: each.kind.value for name, each in series.items()} == {
        "jobs_total": "counter",
        "queue_depth": "gauge",
        "wait_seconds_bucket": "bucket",
        "wait_seconds_sum": "counter",
        "wait_seconds_count": "counter",
        "gc_seconds": "gauge",
        "gc_seconds_count": "counter",
        "served_total": "counter",
        "untold": "gauge",
    }
    assert [label.name for label in series["jobs_total"].labels or ()][:3] == ["outcome", "queue", "cluster"]


def test_prometheus_own_metrics_are_known_by_name() -> None:
    """A list, not a prefix: a misspelt one is found."""
    series = external()

    assert series["prometheus_rule_evaluation_failures_total"].kind is SeriesKind.COUNTER
    assert series["prometheus_config_last_reload_successful"].kind is SeriesKind.GAUGE
    assert "prometheus_config_last_reload_succesful" not in series
