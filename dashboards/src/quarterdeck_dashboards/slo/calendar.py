"""Calendar windows: budgets that begin anew with each week, month or quarter, in UTC.

PromQL has no range that begins at a date. So the sums of the longest such period's hours are read, and those from
before the present period's start left out. The start is recorded as a series of its own, because inside a subquery
every function of time speaks of the step, and only a selector with `@ end()` of the present.
"""

from __future__ import annotations

import enum
from datetime import timedelta
from typing import TYPE_CHECKING

from quarterdeck_dashboards.duration import format_duration
from quarterdeck_dashboards.promql import Vector
from quarterdeck_dashboards.rulefile import RecordingRule
from quarterdeck_dashboards.series import Series, SeriesKind
from quarterdeck_dashboards.slo.windows import HOUR

if TYPE_CHECKING:
    from collections.abc import Iterable


class Calendar(enum.StrEnum):
    """A period that begins at a date, at midnight in UTC."""

    WEEK = "week"
    """From Monday."""
    MONTH = "month"
    QUARTER = "quarter"
    """From the first of January, April, July and October."""

    @property
    def period(self) -> timedelta:
        """The length that burn rates are reckoned with, whatever the length of this very period."""
        return _PERIODS[self]


_PERIODS = {
    Calendar.WEEK: timedelta(days=7),
    Calendar.MONTH: timedelta(days=30),
    Calendar.QUARTER: timedelta(days=90),
}
_LONGEST = {
    Calendar.WEEK: timedelta(days=7),
    Calendar.MONTH: timedelta(days=31),
    Calendar.QUARTER: timedelta(days=92),
}

_LEAP = "(year() % 4 == bool 0)"  # right until 2100
_DAY = {
    Calendar.WEEK: "(day_of_week() + 6) % 7",
    Calendar.MONTH: "day_of_month() - 1",
    Calendar.QUARTER: "day_of_year() - 1"
    f" - (month() >= bool 4) * (90 + {_LEAP}) - (month() >= bool 7) * 91 - (month() >= bool 10) * 92",
}
"""Days since the period began."""


def start(calendar: Calendar) -> Series:
    """Return the Unix time at which the present *calendar* period began."""
    return Series(f"slo:calendar_start:{calendar.value}", SeriesKind.GAUGE, ())


def start_rules(calendars: Iterable[Calendar]) -> tuple[RecordingRule, ...]:
    """Return the rules that record when the present periods began."""
    return tuple(
        RecordingRule(start(each).name, f"time() - time() % 86400 - ({_DAY[each]}) * 86400")
        for each in sorted(set(calendars))
    )


def since_start(sums: Vector, calendar: Calendar) -> Vector:
    """Return the total of hourly *sums* since the present period began."""
    began = f"scalar({start(calendar).name} @ end())"
    window = f"[{format_duration(_LONGEST[calendar])}:{format_duration(HOUR)}]"
    return Vector(f"sum_over_time(({sums.operand} and on () (vector(time()) > {began})){window})", sums.labels)
