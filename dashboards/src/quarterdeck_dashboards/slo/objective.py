"""The arithmetic of an objective: error budget, burn rate, detection time. Numbers only.

Source of the definitions: The Site Reliability Workbook, chapter 5 (see `windows`). An objective is given in
percent, as people write it; error ratios and budgets are shares between 0 and 1.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from quarterdeck_dashboards.slo.windows import RATE_WINDOW, TABLE_PERIOD, rows_for

if TYPE_CHECKING:
    from datetime import timedelta

    from quarterdeck_dashboards.slo.windows import BurnRateRow


def error_budget(objective: float) -> float:
    """Return the share of events that may fail under *objective* (percent).

    >>> error_budget(99.5)
    0.005
    """
    return round((100 - objective) / 100, 10)  # 100 - 99.9 is 0.09999999999999432: not what was promised


def burn_rate(error_ratio: float, objective: float) -> float:
    """Return how many times faster than allowed *error_ratio* spends the budget.

    >>> round(burn_rate(0.072, 99.5), 6)
    14.4
    """
    return error_ratio / error_budget(objective)


def factor(row: BurnRateRow, period: timedelta = TABLE_PERIOD) -> float:
    """Return the burn rate at which *row* alerts: its budget share, spent evenly over its long window.

    >>> from quarterdeck_dashboards.slo.windows import TABLE
    >>> [factor(row) for row in TABLE]
    [14.4, 6.0, 1.0]
    """
    return round(row.budget * (period / row.long), 6)


def threshold(row: BurnRateRow, objective: float, period: timedelta = TABLE_PERIOD) -> float:
    """Return the error ratio above which *row* alerts.

    >>> from quarterdeck_dashboards.slo.windows import TABLE
    >>> threshold(TABLE[0], 99.5)
    0.072
    """
    return round(factor(row, period) * error_budget(objective), 10)


def unfireable(objective: float, period: timedelta = TABLE_PERIOD) -> BurnRateRow | None:
    """Return the first row that no error ratio can exceed (factor * budget ≥ 1), or None when all can fire.

    >>> unfireable(90).long, unfireable(99) is None
    (datetime.timedelta(seconds=3600), True)
    """
    return next((row for row in rows_for(period) if threshold(row, objective, period) >= 1), None)


def lowest_objective(period: timedelta = TABLE_PERIOD) -> float:
    """Return the objective, in percent, that an objective must lie above for every row to be able to fire.

    >>> round(lowest_objective(), 2)
    93.06
    """
    return 100 * (1 - 1 / max(factor(row, period) for row in rows_for(period)))


def detection_time(
    row: BurnRateRow, objective: float, error_ratio: float, period: timedelta = TABLE_PERIOD
) -> timedelta | None:
    """Return how long a constant *error_ratio* lasts, after a clean history, before *row* fires.

    Without delay it is `long * factor * budget / error_ratio`. The long window sums rates over RATE_WINDOW,
    and such a rate reaches a new level only after that window: a ramp, whose area is made up later. So short
    times become `sqrt(2 * RATE_WINDOW * time)` and longer ones are half a RATE_WINDOW later. Scrape and
    evaluation intervals come on top. None: *error_ratio* is not above the threshold, so it never fires.

    >>> from quarterdeck_dashboards.slo.windows import TABLE
    >>> detection_time(TABLE[0], 99.9, 1.0).total_seconds()  # 51.84 s by the workbook's formula
    176.363261
    >>> detection_time(TABLE[1], 99.5, 0.05).total_seconds()  # 3 h 36 min and 2.5 min
    13110.0
    """
    limit = threshold(row, objective, period)
    if error_ratio <= limit:
        return None
    ideal = row.long * (limit / error_ratio)
    if ideal <= RATE_WINDOW / 2:
        return RATE_WINDOW * math.sqrt(2 * (ideal / RATE_WINDOW))
    return ideal + RATE_WINDOW / 2
