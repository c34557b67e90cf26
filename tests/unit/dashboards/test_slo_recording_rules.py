"""Recording rules: what each kind of objective counts, and event-weighted long windows."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import promql_parser
import pytest

from quarterdeck_dashboards.catalogue import Slo, SloKind
from quarterdeck_dashboards.check.expression import examine
from quarterdeck_dashboards.series import Series, SeriesKind, contract
from quarterdeck_dashboards.slo import recorded, sli
from quarterdeck_dashboards.slo.rules import recording_rules, windows

if TYPE_CHECKING:
    from quarterdeck_dashboards.catalogue import Catalogue

EVERY = timedelta(seconds=15)
OWN = 'namespace="shop",service="checkout"'
REQUESTS = f"http_server_request_duration_seconds_count{{{OWN}"


def test_availability_counts_5xx_and_reads_zero_when_there_never_was_one(catalogue: Catalogue) -> None:
    """The second half has the labels of all events, so the ratio has data from the first request on."""
    service = catalogue.service("checkout")
    events, errors, *_ = recording_rules(service, service.slos[0], EVERY)

    everything = f"sum by (cluster, namespace, service) (rate({REQUESTS}}}[5m]))"
    assert (events.record, events.expr, dict(events.labels)) == (
        "slo:events:rate5m",
        everything,
        {"slo": "availability"},
    )
    assert errors.record == "slo:errors:rate5m"
    assert errors.expr == (
        f'sum by (cluster, namespace, service) (rate({REQUESTS},http_response_status_code=~"5.."}}[5m]))\n'
        f"or\n({everything} * 0)"
    )


def test_latency_counts_successful_requests_outside_the_thresholds_bucket(catalogue: Catalogue) -> None:
    """`1s` is the bucket `le="1.0"` of Prometheus 3."""
    service = catalogue.service("checkout")
    events, errors, *_ = recording_rules(service, service.slos[1], EVERY)

    successful = f'sum by (cluster, namespace, service) (rate({REQUESTS},http_response_status_code!~"5.."}}[5m]))'
    fast = (
        "sum by (cluster, namespace, service) (rate(http_server_request_duration_seconds_bucket"
        f'{{{OWN},http_response_status_code!~"5..",le="1.0"}}[5m]))'
    )
    assert events.expr == successful
    assert errors.expr == f"clamp_min({successful} - {fast}, 0)"


def test_long_windows_sum_events_and_never_average_ratios(catalogue: Catalogue) -> None:
    """Nothing is divided by an idle window: then the ratio is absent, not NaN. What is counted is not summed twice."""
    service = catalogue.service("checkout")
    own = f'{{{OWN},slo="availability"}}'

    rules = {rule.record: rule.expr for rule in recording_rules(service, service.slos[0], EVERY)[2:]}

    assert {name: expr for name, expr in rules.items() if ":sum" in name} == {
        **{
            f"slo:errors:sum{window}": f"sum_over_time(slo:errors:rate5m{own}[{window}]) * 15"
            for window in ("1h", "6h", "3d")
        },
        "slo:events:sum1h": f"sum_over_time(slo:events:rate5m{own}[1h]) * 15",
    }
    assert {name: expr for name, expr in rules.items() if name.startswith("slo:error_ratio:")} == {
        "slo:error_ratio:5m": f"slo:errors:rate5m{own} / (slo:events:rate5m{own} > 0)",
        "slo:error_ratio:30m": f"sum_over_time(slo:errors:rate5m{own}[30m]) / "
        f"(sum_over_time(slo:events:rate5m{own}[30m]) > 0)",
        "slo:error_ratio:1h": f"slo:errors:sum1h{own} / (slo:events:sum1h{own} > 0)",
        **{
            f"slo:error_ratio:{window}": f"slo:errors:sum{window}{own} / "
            f"((sum_over_time(slo:events:rate5m{own}[{window}]) * 15) > 0)"
            for window in ("6h", "3d")
        },
        "slo:error_ratio:30d": f"(sum_over_time(slo:errors:sum1h{own}[30d:1h]) / "
        f"(sum_over_time(slo:events:sum1h{own}[30d:1h]) > 0))\nor\n"
        f"slo:error_ratio:1h{own}",
    }


def test_a_budget_is_what_its_window_leaves_of_the_allowed_share(catalogue: Catalogue) -> None:
    """Of 99.5 % the budget is 0.005; at the rate of the last hour the rest lasts as long as is recorded."""
    service = catalogue.service("checkout")
    own = f'{{{OWN},slo="availability"}}'

    remaining, burning, exhausted = recording_rules(service, service.slos[0], EVERY)[-3:]

    assert (remaining.record, remaining.expr) == (
        "slo:error_budget_remaining:ratio",
        f"1 - (slo:error_ratio:30d{own} / 0.005)",
    )
    assert (burning.record, burning.expr) == (
        "slo:burn_rate:1h",
        f"slo:error_ratio:1h{own} / 0.005",
    )
    assert (exhausted.record, exhausted.expr) == (
        "slo:error_budget_exhaustion:seconds",
        f"(clamp_min(slo:error_budget_remaining:ratio{own}, 0) * 2592000) / (slo:burn_rate:1h{own} > 0)",
    )


def test_a_week_has_the_windows_of_a_week(catalogue: Catalogue) -> None:
    """Each once, though two rows share the shortest."""
    (slo,) = catalogue.service("mailer").slos

    assert [str(window) for window in windows(slo)] == ["0:05:00", "0:15:00", "1:25:00", "16:50:00"]


def test_recorded_series_have_the_labels_they_are_declared_with(catalogue: Catalogue) -> None:
    """What the rules' queries yield, by their syntax trees, is what dashboards will rely on."""
    declared = {label.prometheus for label in recorded.SLO_LABELS}
    service = catalogue.service("checkout")

    for slo in service.slos:
        rules = recording_rules(service, slo, EVERY)
        known = contract() | {rule.record: Series(rule.record, SeriesKind.GAUGE, recorded.SLO_LABELS) for rule in rules}
        for rule in rules:
            shape, faults = examine(rule.expr, known)
            assert faults == []
            assert (shape.labels or frozenset()) | rule.labels.keys() == declared


def test_every_rule_is_promql(catalogue: Catalogue) -> None:
    """Parsed, not believed."""
    for service in catalogue.services:
        for slo in service.slos:
            assert all(promql_parser.parse(rule.expr) for rule in recording_rules(service, slo, EVERY))


def test_a_latency_objective_without_threshold_cannot_be_asked_for(catalogue: Catalogue) -> None:
    """The catalogue refuses it; so does the query, when a model was built without validation."""
    slo = Slo.model_construct(
        name="fast", kind=SloKind.LATENCY, objective=99.0, window=timedelta(days=30), threshold=None
    )

    with pytest.raises(ValueError, match="checkout/fast: an SLO of the kind latency needs a threshold"):
        sli.errors(catalogue.service("checkout"), slo)
