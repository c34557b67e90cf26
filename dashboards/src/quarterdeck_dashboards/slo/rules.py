"""Recording rules of an objective.

Long windows are event-weighted: the sum of recorded error rates over the sum of recorded event rates. The
usual mean of 5-minute ratios gives a quiet night the weight of a busy day (a one-hour outage at 1 % of the
day's traffic counts 89 times too much) and turns NaN after idle minutes. A ratio over a window without
events is absent, never NaN.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_dashboards.promql import Selector, equals
from quarterdeck_dashboards.rulefile import RecordingRule
from quarterdeck_dashboards.series import SLO
from quarterdeck_dashboards.slo import recorded, sli
from quarterdeck_dashboards.slo.windows import RATE_WINDOW, rows_for

if TYPE_CHECKING:
    from datetime import timedelta

    from quarterdeck_dashboards.catalogue import Service, Slo
    from quarterdeck_dashboards.series import Series


def recording_rules(service: Service, slo: Slo) -> tuple[RecordingRule, ...]:
    """Return the rules that record *slo*'s rates and the error ratio over every window its alerts ask for.

    In an order in which each rule finds what the ones before it recorded at the same moment.
    """
    labels = _labels(slo)
    rates = (
        RecordingRule(recorded.EVENTS.name, str(sli.events(service, slo)), labels),
        RecordingRule(recorded.ERRORS.name, str(sli.errors(service, slo)), labels),
    )
    return rates + tuple(_ratio(service, slo, window) for window in windows(slo))


def windows(slo: Slo) -> tuple[timedelta, ...]:
    """Return every window whose error ratio is recorded, shortest first."""
    rows = rows_for(slo.window)
    return tuple(sorted({window for row in rows for window in (row.long, row.short)}))


def select(series: Series, service: Service, slo: Slo) -> Selector:
    """Return *slo*'s own samples of a recorded series."""
    return Selector(series).where(*sli.of_service(service), equals(SLO, slo.name))


def _ratio(service: Service, slo: Slo, window: timedelta) -> RecordingRule:
    errors = select(recorded.ERRORS, service, slo)
    events = select(recorded.EVENTS, service, slo)
    if window == RATE_WINDOW:
        ratio = errors.now / (events.now > 0)
    else:
        ratio = errors.sum_over(window) / (events.sum_over(window) > 0)
    return RecordingRule(recorded.error_ratio(window).name, str(ratio), _labels(slo))


def _labels(slo: Slo) -> dict[str, str]:
    """Return what tells rules of the same name apart; the ratios carry it already, but promtool cannot know."""
    return {SLO.prometheus: slo.name}
