"""Proofs of burn-rate alerts: each row of each alert, by the closed formula of its detection time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from quarterdeck_contract import labels as l_
from quarterdeck_contract.metrics import HTTP_SERVER_DURATION
from quarterdeck_dashboards.alerts import SEVERITY, burn_alerts, rows_by_severity
from quarterdeck_dashboards.catalogue.objective import SloKind
from quarterdeck_dashboards.duration import format_duration
from quarterdeck_dashboards.proof.timeline import CLUSTER, Check, Phase, Test, counter, minutes, selector
from quarterdeck_dashboards.series import LE, bucket_bound, buckets, count
from quarterdeck_dashboards.slo.objective import detection_time, threshold
from quarterdeck_dashboards.slo.windows import RATE_WINDOW, rows_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quarterdeck_dashboards.alerts import AlertSettings
    from quarterdeck_dashboards.catalogue import Service, Slo
    from quarterdeck_dashboards.rulefile import AlertingRule
    from quarterdeck_dashboards.slo.windows import BurnRateRow, Severity

TRAFFIC = 6_000_000
"""Requests per minute, so many that every error ratio of interest is a whole number of them."""
SLACK = 2
"""Evaluations that sampling and evaluating at intervals may add or take."""
BELOW = 0.98
"""Share of the threshold at which an alert must stay silent."""
IDLE = timedelta(hours=1)
"""Length of the pause in which no request comes."""


@dataclass(frozen=True, slots=True)
class _Span:
    """A stretch of traffic."""

    length: int
    """Minutes."""
    error_ratio: float = 0.0
    traffic: int = TRAFFIC

    @property
    def bad(self) -> int:
        """Bad requests per minute."""
        return round(self.error_ratio * self.traffic)


@dataclass(frozen=True)
class _Case:
    """One alert of one objective."""

    service: Service
    slo: Slo
    rule: AlertingRule
    rows: tuple[BurnRateRow, ...]
    pace: int
    """Minutes between two evaluations."""

    @property
    def clean(self) -> int:
        """Minutes of clean history: as long as the alert looks back."""
        return minutes(max(row.long for row in self.rows) + RATE_WINDOW)

    @property
    def slack(self) -> int:
        """Minutes that a check keeps away from the computed moment."""
        return SLACK * self.pace

    def limit(self, row: BurnRateRow) -> float:
        return threshold(row, self.slo.objective, self.slo.window)

    def detected(self, row: BurnRateRow, ratio: float) -> timedelta | None:
        return detection_time(row, self.slo.objective, ratio, self.slo.window)

    def check(self, minute: int, *, fires: bool) -> Check:
        return Check(minute, self.rule, {l_.CLUSTER.prometheus: CLUSTER}, fires)

    def test(self, claim: str, spans: tuple[_Span, ...], checks: tuple[Check, ...], *, born: int = 0) -> Test:
        series = _series(self.service, self.slo, spans, born=born)
        return Test(f"{self.rule.labels[SEVERITY]} for {self.slo.name} {claim}", series, checks)


def tests(settings: AlertSettings, service: Service, slo: Slo, severity: Severity, pace: int) -> Iterator[Test]:
    """Yield the tests of *slo*'s alert of *severity*: per row, in time and just below; and after idle traffic.

    Args:
        settings: as the rules were built with.
        service: whose objective it is.
        slo: the objective.
        severity: of the alert; there may be none.
        pace: minutes between two evaluations.
    """
    rows = rows_by_severity(service, slo).get(severity, ())
    for rule in burn_alerts(settings, service, slo):
        if rule.labels[SEVERITY] != severity.value:
            continue
        case = _Case(service, slo, rule, rows, pace)
        for row in rows:
            yield _in_time(case, row)
            yield _just_below(case, row)
        yield _after_idleness(case)


def _in_time(case: _Case, row: BurnRateRow) -> Test:
    """At a ratio that only *row* and slower ones answer: silent before its time, firing after, reset in the end."""
    ratio = _ratio(case, row)
    takes = case.detected(row, ratio)
    if takes is None:  # the ratio is above the row's own threshold
        raise ValueError(row)
    begins = case.clean
    fires = begins + minutes(takes) + case.slack
    ends = fires + case.pace
    reset = ends + minutes(row.short + RATE_WINDOW) + case.slack
    return case.test(
        f"fires {format_duration(timedelta(minutes=minutes(takes)))} after {ratio:.4%} turned bad, by the "
        f"{format_duration(row.long)} window, and resets",
        (_Span(begins), _Span(ends - begins, ratio), _Span(reset - ends)),
        (
            case.check(max(begins, begins + math.floor(takes / timedelta(minutes=1)) - case.slack), fires=False),
            case.check(fires, fires=True),
            case.check(reset, fires=False),
        ),
    )


def _just_below(case: _Case, row: BurnRateRow) -> Test:
    ratio = BELOW * case.limit(row)
    others = [takes for other in case.rows if (takes := case.detected(other, ratio)) is not None]
    length = minutes(min([row.long + 2 * RATE_WINDOW, *(takes - RATE_WINDOW for takes in others)]))
    ends = case.clean + length
    return case.test(
        f"stays silent at {ratio:.4%} bad, just below the {format_duration(row.long)} window's threshold",
        (_Span(case.clean), _Span(length, ratio)),
        (case.check(ends, fires=False),),
    )


def _after_idleness(case: _Case) -> Test:
    """Minutes without a request, then errors in a service that never had any: the ratio was 0/0 and recovers."""
    row = case.rows[0]
    ratio = _ratio(case, row)
    takes = case.detected(row, ratio)
    if takes is None:
        raise ValueError(row)
    begins = case.clean + minutes(IDLE)
    fires = begins + minutes(takes) + case.slack
    return case.test(
        f"is silent while nobody calls, and fires in time when the first calls fail ({ratio:.4%})",
        (_Span(case.clean), _Span(minutes(IDLE), traffic=0), _Span(fires - begins, ratio)),
        (case.check(begins, fires=False), case.check(fires, fires=True)),
        born=begins,
    )


def _ratio(case: _Case, row: BurnRateRow) -> float:
    """Return an error ratio above *row*'s threshold and below that of the next faster row of any severity."""
    own = case.limit(row)
    above = [limit for other in rows_for(case.slo.window) if (limit := case.limit(other)) > own]
    return math.sqrt(own * min(above)) if above else min(1.0, 2 * own)


def _series(service: Service, slo: Slo, spans: tuple[_Span, ...], *, born: int) -> dict[str, str]:
    """Return what a pod of *service* exposes; series of failures exist from minute *born*."""
    good = [Phase(span.length, span.traffic - span.bad) for span in spans]
    bad = [Phase(span.length, span.bad) for span in spans]
    everything = [Phase(span.length, span.traffic) for span in spans]
    name = count(HTTP_SERVER_DURATION).name
    if slo.kind is SloKind.AVAILABILITY or slo.threshold is None:
        return {
            selector(name, _labels(service, "200")): counter(good),
            selector(name, _labels(service, "500")): counter(bad, born=born),
        }
    bound = {LE.prometheus: bucket_bound(slo.threshold.total_seconds())}
    return {
        selector(name, _labels(service, "200")): counter(everything),
        selector(buckets(HTTP_SERVER_DURATION).name, _labels(service, "200") | bound): counter(good),
        # Failures are the availability objective's: half of all requests fail, and latency does not care.
        selector(name, _labels(service, "500")): counter(everything, born=born),
    }


def _labels(service: Service, status: str) -> dict[str, str]:
    return {
        label.prometheus: value
        for label, value in (
            (l_.CLUSTER, CLUSTER),
            (l_.NAMESPACE, service.namespace),
            (l_.SERVICE, service.name),
            (l_.POD, f"{service.name}-0"),
            (l_.VERSION, service.version),
            (l_.TRACK, "stable"),
            (l_.HTTP_METHOD, "GET"),
            (l_.HTTP_ROUTE, "/"),
            (l_.HTTP_STATUS_CODE, status),
        )
    }
