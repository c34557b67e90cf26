"""What is alerted on: error budgets that burn, services that are down or silent, Prometheus itself.

Each alert has a name, a severity, the labels it is routed and inhibited by, and the runbook page that says
what to do. Whom it reaches is decided in `alertmanager`.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from datetime import timedelta
from functools import reduce
from typing import TYPE_CHECKING

from quarterdeck_contract import labels as l_
from quarterdeck_contract.kubernetes import SYSTEM_NAMESPACE
from quarterdeck_contract.metrics import BUILD_INFO
from quarterdeck_dashboards.duration import format_duration
from quarterdeck_dashboards.promql import Selector, max_by, sum_by
from quarterdeck_dashboards.rulefile import AlertingRule
from quarterdeck_dashboards.series import SLO, UP, external, only
from quarterdeck_dashboards.slo import recorded, sli
from quarterdeck_dashboards.slo.objective import error_budget, threshold
from quarterdeck_dashboards.slo.rules import select
from quarterdeck_dashboards.slo.windows import RATE_WINDOW, BurnRateRow, Severity, rows_for

if TYPE_CHECKING:
    from quarterdeck_dashboards.catalogue import Service, Slo
    from quarterdeck_dashboards.promql import Vector

SEVERITY = "severity"
"""Alert label: a `Severity`."""
RUNBOOK_URL = "runbook_url"
"""Alert annotation: where the page on this alert is."""
MONITORING = "prometheus"
"""The label `service` of alerts on Prometheus itself, which is its `app.kubernetes.io/name`."""

BURN = "ErrorBudgetBurn"
"""An objective's error budget is spent too fast. One alert per severity, whichever window saw it."""
DOWN = "ServiceDown"
"""No pod of the service answers Prometheus."""
SILENT = "TelemetryAbsent"
"""No pod of the service delivers the contract's metrics, so no other alert of it can fire."""

RUNBOOKS = {
    BURN: "error-budget-burn",
    DOWN: "service-down",
    SILENT: "telemetry-absent",
    "PrometheusConfigInvalid": "prometheus-unhealthy",
    "PrometheusRulesFailing": "prometheus-unhealthy",
    "PrometheusRulesLate": "prometheus-unhealthy",
    "PrometheusWithoutAlertmanager": "prometheus-unhealthy",
}
"""The runbook page of each alert: a file in `docs/runbooks/`, a command of `quarterdeck runbook`."""

LOWEST_TIER = 3
"""The tier that never pages: its pages are tickets."""
DOWN_FOR = timedelta(minutes=1)
"""How long a service is down before someone is woken: longer than one failed scrape or a pod's restart."""
SILENT_FOR = timedelta(minutes=5)
"""How long telemetry is missing before a ticket: past any rollout or restart."""
MIN_SCRAPES = 4
"""Scrapes that a rate, or a condition that must last, spans at least: one may fail and two must remain."""


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """What alerts depend on beside the catalogue's services."""

    runbook_base_url: str
    """Where runbook pages are published, with a trailing slash."""
    scrape_interval: timedelta
    """Between two scrapes of a pod, and between two evaluations of the rules."""

    def runbook_url(self, alert: str) -> str:
        """Return where the page on *alert* is."""
        return f"{self.runbook_base_url}{RUNBOOKS[alert]}/"

    def lasting(self, at_least: timedelta) -> timedelta:
        """Return how long a condition must hold: *at_least*, and no less than MIN_SCRAPES scrapes."""
        return max(at_least, MIN_SCRAPES * self.scrape_interval)


def burn_alerts(settings: AlertSettings, service: Service, slo: Slo) -> tuple[AlertingRule, ...]:
    """Return one alert per severity: any of its rows, with its long and short windows both above the threshold."""
    annotations = {
        "summary": f"{service.name} spends the error budget of {slo.name} too fast",
        "description": f"{service.name} promises {slo.objective:g}% good events over "
        f"{slo.over}, so {100 * error_budget(slo.objective):g}% may be bad. "
        "Now {{ $value | humanizePercentage }} are.",
        RUNBOOK_URL: settings.runbook_url(BURN),
    }
    return tuple(
        AlertingRule(BURN, str(_burning(service, slo, rows)), _labels(severity, service, slo), annotations)
        for severity, rows in rows_by_severity(service, slo).items()
    )


def rows_by_severity(service: Service, slo: Slo) -> dict[Severity, tuple[BurnRateRow, ...]]:
    """Return the burn-rate rows of each alert of *slo*; the lowest tier has tickets only."""
    rows: dict[Severity, tuple[BurnRateRow, ...]] = {}
    for row in rows_for(slo.window):
        severity = severity_for(service, row.severity)
        rows[severity] = (*rows.get(severity, ()), row)
    return rows


def severity_for(service: Service, severity: Severity) -> Severity:
    """Return *severity* as it applies to *service*'s tier."""
    return Severity.TICKET if service.tier == LOWEST_TIER else severity


def _burning(service: Service, slo: Slo, rows: tuple[BurnRateRow, ...]) -> Vector:
    conditions = []
    for row in rows:
        limit = threshold(row, slo.objective, slo.window)
        long, short = (
            select(recorded.error_ratio(window), service, slo).now > limit for window in (row.long, row.short)
        )
        conditions.append(long & short & _enough(service, slo, row))
    return reduce(operator.or_, conditions)


def _enough(service: Service, slo: Slo, row: BurnRateRow) -> Vector:
    """Return a condition on the number of bad events, in the long window or already in the last RATE_WINDOW.

    One failed request of a quiet night is a large share of its few: a share alone must wake nobody. An event is in
    the sum in full only when it has been in the rate for a whole RATE_WINDOW, so the rate is asked as well.
    """
    errors = select(recorded.ERRORS, service, slo).now * RATE_WINDOW.total_seconds()
    counted = select(recorded.errors_in(row.long), service, slo).now
    return (counted >= slo.minimum_errors) | (errors >= slo.minimum_errors)


def service_alerts(settings: AlertSettings, service: Service) -> tuple[AlertingRule, ...]:
    """Return the alerts that every service has, whatever it promises."""
    own = sli.of_service(service)
    down_for, silent_for = settings.lasting(DOWN_FOR), settings.lasting(SILENT_FOR)
    return (
        AlertingRule(
            DOWN,
            str(max_by(recorded.SERVICE_LABELS, Selector(UP).where(*own).now).is_equal_to(0)),
            _labels(severity_for(service, Severity.PAGE), service),
            {
                "summary": f"{service.name} is down",
                "description": f"Not one pod of {service.name} in {service.namespace} has answered Prometheus "
                f"for {format_duration(down_for)}.",
                RUNBOOK_URL: settings.runbook_url(DOWN),
            },
            down_for,
        ),
        AlertingRule(
            SILENT,
            str(Selector(only(BUILD_INFO)).where(*own).absent()),
            _labels(Severity.TICKET, service),
            {
                "summary": f"{service.name} sends no telemetry",
                "description": f"For {format_duration(silent_for)} no pod of {service.name} in "
                f"{service.namespace} has delivered the contract's metrics: none of its other alerts can fire.",
                RUNBOOK_URL: settings.runbook_url(SILENT),
            },
            silent_for,
        ),
    )


def monitoring_alerts(settings: AlertSettings) -> tuple[AlertingRule, ...]:
    """Return the alerts of Prometheus on itself, as it scrapes its own pod: each makes the others untrustworthy."""
    return (
        _self_alert(
            settings,
            "PrometheusConfigInvalid",
            _own("prometheus_config_last_reload_successful").now.is_equal_to(0),
            "Prometheus runs on an old configuration: the new one is invalid",
        ),
        _self_alert(
            settings,
            "PrometheusRulesFailing",
            sum_by([l_.CLUSTER], _own("prometheus_rule_evaluation_failures_total").increase(RATE_WINDOW)) > 0,
            "Prometheus cannot evaluate some of its rules",
        ),
        _self_alert(
            settings,
            "PrometheusRulesLate",
            sum_by([l_.CLUSTER], _own("prometheus_rule_group_iterations_missed_total").increase(RATE_WINDOW)) > 0,
            "Prometheus evaluates its rules more slowly than it should",
        ),
        _self_alert(
            settings,
            "PrometheusWithoutAlertmanager",
            _own("prometheus_notifications_alertmanagers_discovered").now < 1,
            "Prometheus has found no Alertmanager, so no alert reaches anyone",
        ),
    )


def _own(name: str) -> Selector:
    return Selector(external()[name])


def _self_alert(settings: AlertSettings, name: str, condition: Vector, summary: str) -> AlertingRule:
    lasts = settings.lasting(SILENT_FOR)
    return AlertingRule(
        name,
        str(condition),
        {
            SEVERITY: Severity.TICKET.value,
            l_.NAMESPACE.prometheus: SYSTEM_NAMESPACE,
            l_.SERVICE.prometheus: MONITORING,
        },
        {
            "summary": summary,
            "description": f"{summary}. It has been so for {format_duration(lasts)}.",
            RUNBOOK_URL: settings.runbook_url(name),
        },
        lasts,
    )


def _labels(severity: Severity, service: Service, slo: Slo | None = None) -> dict[str, str]:
    labels = {
        SEVERITY: severity.value,
        l_.NAMESPACE.prometheus: service.namespace,
        l_.SERVICE.prometheus: service.name,
    }
    return labels | ({SLO.prometheus: slo.name} if slo else {})
