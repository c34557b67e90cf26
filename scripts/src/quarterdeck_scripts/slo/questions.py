"""What a report asks Prometheus of one objective, built from the contract and from what its rules record."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from quarterdeck_contract import labels as l_
from quarterdeck_dashboards.catalogue.objective import SloKind
from quarterdeck_dashboards.duration import format_duration
from quarterdeck_dashboards.promql import sum_by
from quarterdeck_dashboards.slo import recorded, sli
from quarterdeck_dashboards.slo.rules import select
from quarterdeck_dashboards.slo.windows import HOUR

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from quarterdeck_contract.labels import Label
    from quarterdeck_dashboards.catalogue import Catalogue, Service, Slo
    from quarterdeck_dashboards.promql import Selector, Vector
    from quarterdeck_dashboards.series import Series

WEEK = timedelta(days=7)
POINTS = 60
"""Points of a burn-down picture."""
_BY_SECONDS = (SloKind.FRESHNESS, SloKind.THROUGHPUT)
"""Kinds whose bad seconds are no release's and no route's."""


@dataclass(frozen=True, slots=True)
class Questions:
    """PromQL by what it answers."""

    numbers: Mapping[str, str]
    """Each yields one value or none."""
    spenders: Mapping[str, str]
    """What spent the budget, by which label: each yields bad events by it."""
    burn_down: str
    """Yields the share of the budget that was left, over the objective's window."""


def of(service: Service, slo: Slo) -> Questions:
    """Return the questions on *slo*."""
    errors = select(recorded.errors_in(HOUR), service, slo).now
    events = select(recorded.events_in(HOUR), service, slo).now

    def now(series: Series) -> str:
        return str(select(series, service, slo).now)

    remaining = select(recorded.BUDGET_REMAINING, service, slo)
    step = max(slo.window / POINTS, timedelta(minutes=5))
    return Questions(
        numbers={
            "error_ratio": now(recorded.error_ratio(slo.window)),
            "remaining": now(recorded.BUDGET_REMAINING),
            "burn_rate": now(recorded.BURN_RATE),
            "exhaustion_seconds": now(recorded.EXHAUSTION),
            "bad": str(errors.sum_each(HOUR, slo.window)),
            "events": str(events.sum_each(HOUR, slo.window)),
            "bad_this_week": str(errors.sum_each(HOUR, WEEK)),
            "events_this_week": str(events.sum_each(HOUR, WEEK)),
            "bad_last_week": _week_before(errors),
            "events_last_week": _week_before(events),
        },
        spenders=_spenders(service, slo),
        burn_down=f"{remaining}[{format_duration(slo.window)}:{format_duration(_minutes(step))}]",
    )


def _week_before(hourly: Vector) -> str:
    week = format_duration(WEEK)
    return f"sum_over_time({hourly.operand}[{week}:{format_duration(HOUR)}] offset {week})"


def _minutes(step: timedelta) -> timedelta:
    return timedelta(minutes=round(step / timedelta(minutes=1)))


def _spenders(service: Service, slo: Slo) -> dict[str, str]:
    if slo.kind in _BY_SECONDS:
        return {}
    by: dict[str, tuple[Label, ...]] = {"release": (l_.VERSION,)}
    if slo.kind in (SloKind.AVAILABILITY, SloKind.LATENCY):
        how = sli.served(service)
        by["route"] = (how.route,) if how is sli.RPC else (l_.HTTP_METHOD, how.route)
    return {
        name: str(sli.errors(service, slo, partial(_grown, by=found, over=slo.window))) for name, found in by.items()
    }


def _grown(counters: Selector, *, by: tuple[Label, ...], over: timedelta) -> Vector:
    return sum_by(by, counters.increase(over))


def examples(catalogue: Catalogue) -> Mapping[str, str]:
    """Return every question on one objective of *catalogue* of each sort that is asked in another way.

    Registered as an entry point in the group `quarterdeck.queries`, for `quarterdeck contract check`.
    """
    sorts: dict[Hashable, tuple[Service, Slo]] = {}
    for service in catalogue.services:
        for slo in service.slos:
            sorts.setdefault((sli.served(service), slo.kind, slo.window, slo.calendar), (service, slo))
    return {
        f"slo-report-{service.name}-{slo.name}-{name}": question
        for service, slo in sorts.values()
        for found in (of(service, slo),)
        for name, question in {**found.numbers, **found.spenders, "burn-down": found.burn_down}.items()
    }
