"""The multi-window, multi-burn-rate table, as data.

Source: The Site Reliability Workbook, chapter 5 "Alerting on SLOs", Table 5-8
(https://sre.google/workbook/alerting-on-slos/): for a window of 30 days, page on 2 % of the budget in 1 h
(burn rate 14.4) or 5 % in 6 h (6), ticket on 10 % in 3 d (1); the short window is a twelfth of the long one.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import timedelta

RATE_WINDOW = timedelta(minutes=5)
"""Window of the recorded rates that every longer window sums: the workbook's shortest, and at least four
scrapes up to an interval of 75 s."""

HOUR = timedelta(hours=1)
"""Window of the sums that a whole period is added up from: 30 days read 720 of them, where the rates are 172,800 at
an evaluation every 15 s."""

MIN_PERIOD = timedelta(days=7)
"""Shortest period of an objective: a shorter one makes the fast rows shorter than RATE_WINDOW."""
MAX_PERIOD = timedelta(days=90)
"""Longest period of an objective: a quarter."""


class Severity(enum.StrEnum):
    """How urgent an alert is."""

    PAGE = "page"
    """Someone is woken."""
    TICKET = "ticket"
    """Someone looks within a working day."""


@dataclass(frozen=True, slots=True)
class BurnRateRow:
    """One row of the table: alert when `budget` of the error budget is spent within `long`."""

    severity: Severity
    budget: float
    """Share of the whole period's error budget, between 0 and 1."""
    long: timedelta
    """Proves that the burn is significant; for a period of TABLE_PERIOD."""
    short: timedelta
    """Proves that it still goes on, so that the alert ends soon after the burn."""


TABLE_PERIOD = timedelta(days=30)
"""The period that TABLE is written for."""

TABLE = (
    BurnRateRow(Severity.PAGE, 0.02, timedelta(hours=1), timedelta(minutes=5)),
    BurnRateRow(Severity.PAGE, 0.05, timedelta(hours=6), timedelta(minutes=30)),
    BurnRateRow(Severity.TICKET, 0.10, timedelta(days=3), timedelta(hours=6)),
)
"""Table 5-8 of the workbook, fastest burn first."""


def rows_for(period: timedelta) -> tuple[BurnRateRow, ...]:
    """Return TABLE for an objective over *period*: the same shares of the budget, the windows in proportion.

    Windows are whole multiples of RATE_WINDOW, because they sum rates over it.

    >>> [str(row.long) for row in rows_for(timedelta(days=7))]
    ['0:15:00', '1:25:00', '16:50:00']
    """
    scale = period / TABLE_PERIOD
    return tuple(
        BurnRateRow(row.severity, row.budget, _whole(row.long * scale), _whole(row.short * scale)) for row in TABLE
    )


def _whole(window: timedelta) -> timedelta:
    return max(1, round(window / RATE_WINDOW)) * RATE_WINDOW
