"""Proofs of burn-rate alerts: each row of each alert, by the closed formula of its detection time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from quarterdeck_contract import labels as l_
from quarterdeck_dashboards.alerts import SEVERITY, burn_alerts, rows_by_severity
from quarterdeck_dashboards.duration import format_duration
from quarterdeck_dashboards.proof import traffic
from quarterdeck_dashboards.proof.timeline import CLUSTER, Check, Test, minutes
from quarterdeck_dashboards.proof.traffic import Span
from quarterdeck_dashboards.slo.objective import detection_time, threshold
from quarterdeck_dashboards.slo.windows import RATE_WINDOW, Severity, rows_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quarterdeck_dashboards.alerts import AlertSettings
    from quarterdeck_dashboards.catalogue import Service, Slo
    from quarterdeck_dashboards.rulefile import AlertingRule
    from quarterdeck_dashboards.slo.windows import BurnRateRow

SLACK = 2
"""Evaluations that sampling and evaluating at intervals may add or take."""
BELOW = 0.98
"""Share of the threshold at which an alert must stay silent."""
IDLE = timedelta(hours=1)
"""Length of the pause in which no request comes."""


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

    def test(self, claim: str, spans: tuple[Span, ...], checks: tuple[Check, ...], *, born: int = 0) -> Test:
        series = traffic.series(self.service, self.slo, spans, born=born)
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
        if severity is Severity.PAGE:  # a ticket's take minutes of processor time, and have the same rates below them
            yield _through_a_restart(case)
            yield _through_lost_scrapes(case)


def quiet_tests(settings: AlertSettings, service: Service, slo: Slo) -> Iterator[Test]:
    """Yield the test of *slo*'s page at so little traffic that numbers decide, and not shares.

    To be evaluated at the rules' own interval, because summed rates stand for so many seconds each.
    """
    rows = rows_by_severity(service, slo).get(Severity.PAGE, ())
    for rule in burn_alerts(settings, service, slo):
        if rule.labels[SEVERITY] == Severity.PAGE.value:
            yield _few_failures(_Case(service, slo, rule, rows, 1))


def _few_failures(case: _Case) -> Test:
    """Every one of a few requests fails: silent at one below the number that it takes, firing at twice that."""
    few = case.slo.minimum_errors - 1
    begins, calm = minutes(IDLE), minutes(IDLE) + 1 + minutes(2 * RATE_WINDOW)
    fires = calm + minutes(2 * RATE_WINDOW)
    return case.test(
        f"is silent when {few} of {few} requests fail, and fires at twice as many as it takes",
        (
            Span(begins, traffic=0),
            Span(1, 1.0, traffic=few),
            Span(calm - begins - 1, traffic=0),
            Span(1, 1.0, traffic=2 * case.slo.minimum_errors),
            Span(fires - calm - 1, traffic=0),
        ),
        (
            *(case.check(begins + minute, fires=False) for minute in (1, 3, minutes(RATE_WINDOW), calm - begins)),
            case.check(calm + 1 + case.slack, fires=True),
        ),
    )


def _through_a_restart(case: _Case) -> Test:
    """Counters begin anew, all at once, half-way to the alert: nothing counts as negative, nothing twice."""
    row = case.rows[0]
    ratio = _ratio(case, row)
    takes = case.detected(row, ratio)
    if takes is None:
        raise ValueError(row)
    begins = case.clean
    half = max(1, minutes(takes) // 2)
    # A rate does not see what was counted between the last scrape before a restart and the first after it.
    fires = begins + minutes(takes) + case.slack + case.pace
    return case.test(
        f"fires in time ({ratio:.4%}) although every counter begins anew on the way, and not because of it",
        (Span(begins - 1), Span(1, resets=True), Span(half, ratio), Span(fires - begins - half, ratio, resets=True)),
        (case.check(begins, fires=False), case.check(fires, fires=True)),
    )


def _through_lost_scrapes(case: _Case) -> Test:
    """Two scrapes of five are lost, again and again: too few to lose the rate."""
    row = case.rows[0]
    ratio = _ratio(case, row)
    takes = case.detected(row, ratio)
    if takes is None:
        raise ValueError(row)
    begins = case.clean
    fires = begins + minutes(takes) + case.slack + case.pace
    rounds = math.ceil((fires - begins) / 5)
    bad = tuple(span for _ in range(rounds) for span in (Span(3, ratio), Span(2, ratio, lost=True)))
    return case.test(
        f"fires in time ({ratio:.4%}) although two scrapes of five are lost",
        (Span(begins), *bad, Span(1, ratio)),
        (case.check(begins, fires=False), case.check(begins + 5 * rounds + 1, fires=True)),
    )


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
        (Span(begins), Span(ends - begins, ratio), Span(reset - ends)),
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
        (Span(case.clean), Span(length, ratio)),
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
        (Span(case.clean), Span(minutes(IDLE), traffic=0), Span(fires - begins, ratio)),
        (case.check(begins, fires=False), case.check(fires, fires=True)),
        born=begins,
    )


def _ratio(case: _Case, row: BurnRateRow) -> float:
    """Return an error ratio above *row*'s threshold and below that of the next faster row of any severity."""
    own = case.limit(row)
    above = [limit for other in rows_for(case.slo.window) if (limit := case.limit(other)) > own]
    return math.sqrt(own * min(above)) if above else min(1.0, 2 * own)
