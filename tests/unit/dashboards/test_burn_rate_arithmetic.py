"""Error budgets, burn rates and the table of windows."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quarterdeck_dashboards.slo.objective import (
    burn_rate,
    detection_time,
    error_budget,
    factor,
    lowest_objective,
    threshold,
    unfireable,
)
from quarterdeck_dashboards.slo.windows import MAX_PERIOD, MIN_PERIOD, RATE_WINDOW, TABLE, Severity, rows_for

HOUR = timedelta(hours=1)
PERIODS = st.timedeltas(min_value=MIN_PERIOD, max_value=MAX_PERIOD)

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A machine with other work to do is no failure."""


def test_the_table_is_the_workbooks() -> None:
    """The Site Reliability Workbook, Table 5-8: severity, long window, short window, burn rate."""
    assert [(row.severity, row.long / HOUR, row.short / HOUR, factor(row)) for row in TABLE] == [
        (Severity.PAGE, 1, 1 / 12, 14.4),
        (Severity.PAGE, 6, 0.5, 6),
        (Severity.TICKET, 72, 6, 1),
    ]


def test_thirty_days_use_the_table_as_it_is() -> None:
    """It is written for them."""
    assert rows_for(timedelta(days=30)) == TABLE


def test_a_week_spends_the_same_shares_in_shorter_windows() -> None:
    """A quarter of the period, a quarter of the window, in whole multiples of the rate window."""
    assert [(row.budget, str(row.long), str(row.short)) for row in rows_for(timedelta(days=7))] == [
        (0.02, "0:15:00", "0:05:00"),
        (0.05, "1:25:00", "0:05:00"),
        (0.10, "16:50:00", "1:25:00"),
    ]


@UNHURRIED
@given(PERIODS)
def test_every_allowed_period_has_sound_windows(period: timedelta) -> None:
    """Windows are sums of whole rates, the long one longer than the short, the fast row faster than the slow."""
    rows = rows_for(period)

    assert all(not row.long % RATE_WINDOW and not row.short % RATE_WINDOW for row in rows)
    assert all(row.short < row.long for row in rows)
    assert [factor(row, period) for row in rows] == sorted((factor(row, period) for row in rows), reverse=True)


@pytest.mark.parametrize(("objective", "budget"), [(99.9, 0.001), (99.99, 0.0001), (99.5, 0.005), (95, 0.05)])
def test_the_budget_is_exactly_what_was_promised(objective: float, budget: float) -> None:
    """Not 0.0009999999999999432."""
    assert error_budget(objective) == budget


def test_burning_at_rate_one_spends_the_budget_in_the_period() -> None:
    """The definition of burn rate."""
    assert burn_rate(0.005, 99.5) == 1
    assert burn_rate(0, 99.5) == 0


@pytest.mark.parametrize(
    ("objective", "fires"), [(93.0, False), (93.05, False), (93.06, True), (99.999, True), (50, False)]
)
def test_a_row_that_no_outage_could_trigger_is_found(objective: float, fires: bool) -> None:  # noqa: FBT001 -- a table
    """14.4 times a budget of 7 % is more than everything."""
    assert (unfireable(objective) is None) is fires


@UNHURRIED
@given(PERIODS)
def test_above_the_lowest_objective_every_row_can_fire(period: timedelta) -> None:
    """And at it, the fastest cannot."""
    lowest = lowest_objective(period)

    assert unfireable(lowest + 0.001, period) is None
    assert unfireable(lowest - 0.001, period) is not None


@pytest.mark.parametrize(
    ("row", "minutes"),
    [(0, 0.864), (1, 2.16), (2, 4.32)],
)
def test_detection_of_a_total_outage_follows_the_closed_formula(row: int, minutes: float) -> None:
    """At 99.9 %: 52 s, 130 s and 4.3 min without delay, then made up for the ramp of a five-minute rate."""
    ideal = timedelta(minutes=minutes)
    takes = detection_time(TABLE[row], 99.9, 1.0)

    assert takes is not None
    if ideal <= RATE_WINDOW / 2:  # the area under the ramp so far is what the formula asks for
        assert (takes / timedelta(minutes=1)) ** 2 / 10 == pytest.approx(minutes, abs=1e-6)
    else:
        assert takes == ideal + RATE_WINDOW / 2


def test_at_the_threshold_nothing_fires() -> None:
    """An alert asks for more than its threshold."""
    limit = threshold(TABLE[0], 99.5)

    assert limit == 0.072
    assert detection_time(TABLE[0], 99.5, limit) is None
    assert detection_time(TABLE[0], 99.5, 0.05) is None
    assert detection_time(TABLE[0], 99.5, limit * 1.001) is not None


@UNHURRIED
@given(st.floats(min_value=0.0721, max_value=1))
def test_more_errors_are_never_found_later(ratio: float) -> None:
    """Monotonic over the whole range, across the seam of the two formulas."""
    slower = detection_time(TABLE[0], 99.5, ratio)
    faster = detection_time(TABLE[0], 99.5, min(1.0, ratio * 1.01))

    assert slower is not None
    assert faster is not None
    assert faster <= slower <= HOUR + RATE_WINDOW
