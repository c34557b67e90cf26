"""The series that recording rules make, each named once: dashboards, reports and alerts read these."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_contract import labels as l_
from quarterdeck_dashboards.duration import format_duration
from quarterdeck_dashboards.series import SLO, Series, SeriesKind
from quarterdeck_dashboards.slo.windows import RATE_WINDOW

if TYPE_CHECKING:
    from datetime import timedelta

SERVICE_LABELS = (l_.CLUSTER, l_.NAMESPACE, l_.SERVICE)
"""What a service's series are aggregated by: over pods, versions and tracks, because users see them all."""

SLO_LABELS = (*SERVICE_LABELS, SLO)
"""Labels of every recorded series of an objective."""

_RATE = f"rate{format_duration(RATE_WINDOW)}"

ERRORS = Series(f"slo:errors:{_RATE}", SeriesKind.GAUGE, SLO_LABELS)
"""Bad events per second. 0, not absent, when there are events and none is bad."""

EVENTS = Series(f"slo:events:{_RATE}", SeriesKind.GAUGE, SLO_LABELS)
"""All events per second, good and bad. Absent when nothing measured them."""


def errors_in(window: timedelta) -> Series:
    """Return the number of bad events in *window*.

    >>> from datetime import timedelta
    >>> errors_in(timedelta(hours=6)).name
    'slo:errors:sum6h'
    """
    return Series(f"slo:errors:sum{format_duration(window)}", SeriesKind.GAUGE, SLO_LABELS)


def events_in(window: timedelta) -> Series:
    """Return the number of all events in *window*."""
    return Series(f"slo:events:sum{format_duration(window)}", SeriesKind.GAUGE, SLO_LABELS)


BUDGET_REMAINING = Series("slo:error_budget_remaining:ratio", SeriesKind.GAUGE, SLO_LABELS)
"""Share of the error budget of the objective's window that is left: 1 untouched, 0 spent, below 0 overspent."""

BURN_RATE = Series("slo:burn_rate:1h", SeriesKind.GAUGE, SLO_LABELS)
"""How many times faster than allowed the budget was spent in the last hour: 1 spends it evenly over the window."""

EXHAUSTION = Series("slo:error_budget_exhaustion:seconds", SeriesKind.GAUGE, SLO_LABELS)
"""Time until the budget is spent if the last hour goes on. Absent while nothing is spent."""


def error_ratio(window: timedelta) -> Series:
    """Return the share of bad events among all events of *window*; absent when there were none.

    >>> from datetime import timedelta
    >>> error_ratio(timedelta(hours=6)).name
    'slo:error_ratio:6h'
    """
    return Series(f"slo:error_ratio:{format_duration(window)}", SeriesKind.GAUGE, SLO_LABELS)
