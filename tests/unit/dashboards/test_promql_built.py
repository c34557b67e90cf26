"""Queries built from series that exist; anything else is an error where it is written."""

from __future__ import annotations

from datetime import timedelta

import promql_parser
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quarterdeck_contract import labels as l_
from quarterdeck_contract.metrics import ALL, HTTP_SERVER_ACTIVE, HTTP_SERVER_DURATION, PROCESS_CPU_TIME, Kind
from quarterdeck_dashboards.promql import (
    QueryError,
    Selector,
    at_least,
    equals,
    lacks,
    matches,
    max_by,
    quantile,
    sum_by,
)
from quarterdeck_dashboards.series import LE, UP, buckets, count, of_metric, only

FIVE_MINUTES = timedelta(minutes=5)
REQUESTS = Selector(count(HTTP_SERVER_DURATION))
BUCKETS = Selector(buckets(HTTP_SERVER_DURATION))
ACTIVE = Selector(only(HTTP_SERVER_ACTIVE))


def test_a_rate_by_service_is_written_as_by_hand() -> None:
    """Matchers in the order given, durations as Prometheus writes them."""
    query = sum_by(
        [l_.SERVICE], REQUESTS.where(equals(l_.SERVICE, "a"), matches(l_.HTTP_ROUTE, "/.*")).rate(FIVE_MINUTES)
    )

    assert str(query) == (
        'sum by (service) (rate(http_server_request_duration_seconds_count{service="a",http_route=~"/.*"}[5m]))'
    )
    assert query.labels == {"service"}


def test_operands_that_are_operations_are_in_parentheses() -> None:
    """No reader, and no parser, has to know the precedence."""
    up = max_by([l_.SERVICE], Selector(UP).now)

    assert str((up - up) / (up > 0)) == (
        "(max by (service) (up) - max by (service) (up)) / (max by (service) (up) > 0)"
    )
    assert str(up * 0 | up + up) == ("(max by (service) (up) * 0)\nor\n(max by (service) (up) + max by (service) (up))")
    assert str((up < 1) & up.is_equal_to(0.5)) == "(max by (service) (up) < 1) and (max by (service) (up) == 0.5)"


def test_absence_keeps_the_labels_that_were_asked_for_by_equality() -> None:
    """As Prometheus does; a pattern names no value."""
    query = Selector(UP).where(equals(l_.SERVICE, "a"), lacks(l_.POD, "b.*")).absent()

    assert str(query) == 'absent(up{service="a",pod!~"b.*"})'
    assert query.labels == {"service"}


def test_a_quantile_takes_bucket_rates_with_their_bounds() -> None:
    """And loses `le` itself."""
    query = quantile(0.99, sum_by([l_.SERVICE, LE], BUCKETS.increase(FIVE_MINUTES)))

    assert str(query) == (
        "histogram_quantile(0.99, sum by (service, le) (increase(http_server_request_duration_seconds_bucket[5m])))"
    )
    assert query.labels == {"service"}


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ACTIVE.where(equals(l_.HTTP_ROUTE, "/")), "found http_route"),
        (
            lambda: equals(l_.TRACK, "canari"),
            "expected one of stable, canary, baseline for the label track, found 'canari'",
        ),
        (lambda: BUCKETS.where(equals(LE, "0.3")), "found 0.3"),
        (lambda: ACTIVE.rate(FIVE_MINUTES), r"expected a counter for rate\(\), found the gauge"),
        (lambda: ACTIVE.increase(FIVE_MINUTES), r"expected a counter for increase\(\), found the gauge"),
        (lambda: REQUESTS.sum_over(FIVE_MINUTES), "expected a gauge to sum over time, found the counter"),
        (lambda: sum_by([l_.CONTRACT_VERSION], ACTIVE.now), "to aggregate by, found contract_version"),
        (lambda: sum_by([l_.POD], sum_by([l_.SERVICE], ACTIVE.now)), "to aggregate by, found pod"),
        (lambda: quantile(0.5, sum_by([l_.SERVICE], BUCKETS.rate(FIVE_MINUTES))), "expected the label le"),
        (
            lambda: sum_by([l_.SERVICE], ACTIVE.now) / sum_by([l_.POD], ACTIVE.now),
            "found service and pod: no sample would match",
        ),
        (lambda: only(HTTP_SERVER_DURATION), "too many values to unpack"),
    ],
)
def test_what_could_never_have_data_cannot_be_built(build: object, message: str) -> None:
    """A label or bucket that is not there, a rate of a gauge, a label lost by aggregation."""
    assert callable(build)
    with pytest.raises(ValueError, match=message) as caught:
        build()
    assert isinstance(caught.value, QueryError) or "unpack" in message


@given(st.text())
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_value_is_quoted_so_that_it_comes_back(value: str) -> None:
    """Quotes, backslashes, line ends and anything else a label may hold."""
    selector = str(Selector(UP).where(equals(l_.SERVICE, value)))

    (matcher,) = promql_parser.parse(selector).matchers.matchers
    assert matcher.value == value


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)
def test_every_metric_of_the_contract_can_be_asked_for(metric: object) -> None:
    """Each of its series, with every label, in the function its kind allows."""
    for series in of_metric(metric):  # type: ignore[arg-type] -- pytest's parameters have no type
        selector = Selector(series).where(*(matches(label, ".*") for label in series.labels or ()))
        is_gauge = metric.kind in {Kind.GAUGE, Kind.UP_DOWN_COUNTER}  # type: ignore[attr-defined] -- likewise
        query = selector.sum_over(FIVE_MINUTES) if is_gauge else selector.rate(FIVE_MINUTES)
        assert promql_parser.parse(str(at_least(query, 0)))


def test_cpu_time_is_a_counter_of_seconds() -> None:
    """Its rate is a share of one core."""
    assert str(Selector(only(PROCESS_CPU_TIME)).rate(FIVE_MINUTES)) == "rate(process_cpu_time_seconds_total[5m])"
