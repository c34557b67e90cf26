"""Recording rules of an objective.

Long windows are event-weighted: the sum of recorded error rates over the sum of recorded event rates. The
usual mean of 5-minute ratios gives a quiet night the weight of a busy day (a one-hour outage at 1 % of the
day's traffic counts 89 times too much) and turns NaN after idle minutes. A ratio over a window without
events is absent, never NaN.

The objective's whole window is added up from the sums of its hours, so it follows events by up to an hour; the
budget is for planning, and alerts read the shorter windows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_dashboards.promql import Selector, at_least, equals
from quarterdeck_dashboards.rulefile import RecordingRule
from quarterdeck_dashboards.series import SLO
from quarterdeck_dashboards.slo import calendar, recorded, sli
from quarterdeck_dashboards.slo.objective import error_budget
from quarterdeck_dashboards.slo.windows import HOUR, RATE_WINDOW, rows_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta

    from quarterdeck_dashboards.catalogue import Service, Slo
    from quarterdeck_dashboards.promql import Vector
    from quarterdeck_dashboards.series import Series


def recording_rules(service: Service, slo: Slo, interval: timedelta) -> tuple[RecordingRule, ...]:
    """Return the rules that record *slo*'s rates, its error ratios, and what is left of its budget.

    In an order in which each rule finds what the ones before it recorded at the same moment.

    Args:
        service: whose objective it is.
        slo: the objective.
        interval: between two evaluations of these rules, which turns summed rates into numbers of events.
    """
    own = _Objective(service, slo, interval)
    return (
        own.record(recorded.EVENTS, sli.events(service, slo)),
        own.record(recorded.ERRORS, sli.errors(service, slo)),
        *own.sums(),
        *(own.record(recorded.error_ratio(window), own.ratio(window)) for window in windows(slo)),
        *own.budget(),
    )


def windows(slo: Slo) -> tuple[timedelta, ...]:
    """Return every window whose error ratio alerts ask for, shortest first."""
    rows = rows_for(slo.window)
    return tuple(sorted({window for row in rows for window in (row.long, row.short)}))


def select(series: Series, service: Service, slo: Slo) -> Selector:
    """Return *slo*'s own samples of a recorded series."""
    return Selector(series).where(*sli.of_service(service), equals(SLO, slo.name))


class _Objective:
    """The rules of one objective."""

    def __init__(self, service: Service, slo: Slo, interval: timedelta) -> None:
        self._service = service
        self._slo = slo
        self._seconds = interval.total_seconds()
        self._counted = {row.long for row in rows_for(slo.window)} | {HOUR}
        """Windows whose bad events are counted: alerts ask how many there were."""

    def record(self, series: Series, value: Vector) -> RecordingRule:
        """Return the rule that stores *value*; the label is in it already, but promtool cannot know."""
        return RecordingRule(series.name, str(value), {SLO.prometheus: self._slo.name})

    def sums(self) -> Iterator[RecordingRule]:
        """Yield the numbers of events: a rate is per second, and stands for one interval."""
        for window in sorted(self._counted):
            errors = self._of(recorded.ERRORS).sum_over(window) * self._seconds
            yield self.record(recorded.errors_in(window), errors)
        yield self.record(recorded.events_in(HOUR), self._of(recorded.EVENTS).sum_over(HOUR) * self._seconds)

    def ratio(self, window: timedelta) -> Vector:
        """Return the share of bad events in *window*, from what is counted already where it is."""
        if window == RATE_WINDOW:
            return self._of(recorded.ERRORS).now / (self._of(recorded.EVENTS).now > 0)
        if window == HOUR:
            return self._of(recorded.errors_in(HOUR)).now / (self._of(recorded.events_in(HOUR)).now > 0)
        events = self._of(recorded.EVENTS).sum_over(window)
        if window in self._counted:
            return self._of(recorded.errors_in(window)).now / (events * self._seconds > 0)
        return self._of(recorded.ERRORS).sum_over(window) / (events > 0)

    def budget(self) -> Iterator[RecordingRule]:
        """Yield what the objective's own window says."""
        budget = error_budget(self._slo.objective)
        last_hour = self._of(recorded.error_ratio(HOUR)).now if HOUR in windows(self._slo) else self.ratio(HOUR)
        hourly = self._hourly(recorded.errors_in(HOUR)) / (self._hourly(recorded.events_in(HOUR)) > 0)
        # Until the first full hour there is nothing to add up: then the hour that has begun speaks for the window.
        whole = recorded.error_ratio(self._slo.window)
        yield self.record(whole, hourly | last_hour)
        yield self.record(recorded.BUDGET_REMAINING, 1 - self._of(whole).now / budget)
        yield self.record(recorded.BURN_RATE, last_hour / budget)
        left = at_least(self._of(recorded.BUDGET_REMAINING).now, 0) * self._slo.window.total_seconds()
        yield self.record(recorded.EXHAUSTION, left / (self._of(recorded.BURN_RATE).now > 0))

    def _hourly(self, sums: Series) -> Vector:
        if self._slo.calendar is None:
            return self._of(sums).now.sum_each(HOUR, self._slo.window)
        return calendar.since_start(self._of(sums).now, self._slo.calendar)

    def _of(self, series: Series) -> Selector:
        return select(series, self._service, self._slo)
