"""Error budgets that are spent too fast: one alert per objective and severity, whichever window saw it."""

from __future__ import annotations

import operator
from functools import reduce
from typing import TYPE_CHECKING

from quarterdeck_dashboards.alerts.kind import labels_of, own_page, severity_for
from quarterdeck_dashboards.rulefile import AlertingRule
from quarterdeck_dashboards.slo import recorded
from quarterdeck_dashboards.slo.objective import error_budget, threshold
from quarterdeck_dashboards.slo.rules import select
from quarterdeck_dashboards.slo.windows import RATE_WINDOW, BurnRateRow, Severity, rows_for
from quarterdeck_dashboards.uid import uid_of

if TYPE_CHECKING:
    from quarterdeck_dashboards.alerts.kind import AlertSettings
    from quarterdeck_dashboards.catalogue import Service, Slo
    from quarterdeck_dashboards.promql import Vector

BURN = "ErrorBudgetBurn"
"""An objective's error budget is spent too fast. One alert per severity, whichever window saw it."""
PAGE = "error-budget-burn"
"""Its runbook page."""


def burn_alerts(settings: AlertSettings, service: Service, slo: Slo) -> tuple[AlertingRule, ...]:
    """Return one alert per severity: any of its rows, with its long and short windows both above the threshold."""
    annotations = {
        "summary": f"{service.name} spends the error budget of {slo.name} too fast",
        "description": f"{service.name} promises {slo.objective:g}% good events over "
        f"{slo.over}, so {100 * error_budget(slo.objective):g}% may be bad. "
        "Now {{ $value | humanizePercentage }} are.",
        **settings.links(PAGE, uid_of("service", service.name)),
        **own_page(service, BURN),
    }
    return tuple(
        AlertingRule(BURN, str(_burning(service, slo, rows)), labels_of(severity, service, slo), annotations)
        for severity, rows in rows_by_severity(service, slo).items()
    )


def rows_by_severity(service: Service, slo: Slo) -> dict[Severity, tuple[BurnRateRow, ...]]:
    """Return the burn-rate rows of each alert of *slo*; the lowest tier has tickets only."""
    rows: dict[Severity, tuple[BurnRateRow, ...]] = {}
    for row in rows_for(slo.window):
        severity = severity_for(service, row.severity)
        rows[severity] = (*rows.get(severity, ()), row)
    return rows


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
