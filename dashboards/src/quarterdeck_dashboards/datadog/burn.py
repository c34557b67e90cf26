"""The burn-rate table in the windows that Datadog has.

Source: Datadog's documentation, "Burn Rate Alerts"
(https://docs.datadoghq.com/service_level_objectives/burn_rate/): the long window is whole hours from 1 to 48, the
short one minutes and shorter, the burn rate more than 0 and at most 1 / (1 - target), the period 7, 30 or 90 days.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from quarterdeck_dashboards.alerts import severity_for
from quarterdeck_dashboards.duration import format_duration
from quarterdeck_dashboards.slo.objective import error_budget, factor
from quarterdeck_dashboards.slo.windows import Severity, rows_for

if TYPE_CHECKING:
    from quarterdeck_dashboards.catalogue import Service, Slo

HOUR = timedelta(hours=1)
"""Shortest long window, and its unit."""
LONGEST = timedelta(hours=48)
"""Longest long window."""
TWELFTH = 12
"""Short windows in a long one: the workbook's, and what Datadog's own pages suggest."""


@dataclass(frozen=True, slots=True)
class BurnRate:
    """One monitor's condition."""

    severity: Severity
    above: float
    """Times as fast as allowed."""
    long: timedelta
    short: timedelta
    instead: str
    """What the table has, where Datadog has no such window; empty where it has."""


def burn_rates(service: Service, slo: Slo) -> tuple[BurnRate, ...]:
    """Return *slo*'s rows of the table, each in the nearest windows there are, fastest burn first.

    No row becomes easier to fire than the table's: in a longer window than the table's the burn rate stays as it is,
    in a shorter one the share of the budget does, so that the burn rate rises. Of 30 days, the table's 1 over 3 d
    becomes 1.5 over 48 h; what burns more slowly is seen on the objective itself, and in Prometheus. A row that
    another one of its severity always fires with is left out.
    """
    period, rates = slo.window, []
    highest = 1 / error_budget(slo.objective)
    for row in rows_for(period):
        long = min(max(HOUR, round(row.long / HOUR) * HOUR), LONGEST)
        above = round(max(factor(row, period), row.budget * (period / long)), 3)
        instead = "" if long == row.long else f"{factor(row, period):g} over {format_duration(row.long)}"
        if above <= highest:
            rates.append(BurnRate(severity_for(service, row.severity), above, long, long / TWELFTH, instead))
    return tuple(rate for rate in rates if not any(_implies(rate, other) for other in rates))


def _implies(rate: BurnRate, other: BurnRate) -> bool:
    """Return whether *other*, of the same severity and windows, fires whenever *rate* does."""
    return rate is not other and (rate.severity, rate.long) == (other.severity, other.long) and rate.above > other.above
