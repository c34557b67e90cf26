"""What was promised and kept, over each objective's window: for whoever decides what is worked on next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_dashboards.dashboards import common, measures, promises
from quarterdeck_dashboards.dashboards.description import Dashboard, Draw, Panel, Row, Unit
from quarterdeck_dashboards.slo import recorded
from quarterdeck_dashboards.slo.windows import HOUR
from quarterdeck_dashboards.uid import TAG, uid_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quarterdeck_dashboards.catalogue import Catalogue, Service
    from quarterdeck_dashboards.dashboards.description import Query

UID = uid_of("slo-report")
_ALL = (common.IN_CLUSTER,)


def of(catalogue: Catalogue) -> tuple[Dashboard, ...]:
    """Return the one dashboard, if anything is promised."""
    if not promises.are_made(catalogue):
        return ()
    owners = sorted({service.owner for service in catalogue.services if service.slos})
    return (
        Dashboard(
            UID,
            "SLO report",
            "Every objective: how much of its budget is left, where it went, and when it is gone at this pace.",
            (
                Row("Every objective", (_table(),)),
                Row("Where it went", (promises.left(*_ALL, name=promises.WHOSE, width=12), _bad())),
                *(
                    Row(f"Promises of {owner}", (_promised(owner, services),))
                    for owner in owners
                    if (services := [each for each in catalogue.services if each.owner == owner and each.slos])
                ),
            ),
            tags=(TAG, "slo"),
            variables=(common.CLUSTER,),
            links=common.HOME,
            span="30d",
        ),
    )


def _table() -> Panel:
    return Panel(
        "Budgets now",
        "Budget left: 100 % is untouched, 0 % is spent; gone in: if the last hour goes on. Burn rate: times as fast as "
        "allowed. Burn rate and events are the last hour's.",
        Draw.TABLE,
        Unit.COUNT,
        tuple(_columns()),
        width=24,
        is_of_objectives=True,
    )


def _columns() -> Iterator[Query]:
    for series, name, unit in (
        (recorded.BUDGET_REMAINING, "budget left", Unit.SHARE),
        (recorded.EXHAUSTION, "gone in", Unit.SECONDS),
        (recorded.BURN_RATE, "burn rate", Unit.FACTOR),
        (recorded.errors_in(HOUR), "bad events", Unit.COUNT),
        (recorded.events_in(HOUR), "all events", Unit.COUNT),
    ):
        yield measures.by_objective(series, *_ALL).query(name, unit=unit)


def _bad() -> Panel:
    return Panel(
        "Bad events",
        "In the hour before each moment. A hill is an incident: its area is what it cost.",
        Draw.BARS,
        Unit.COUNT,
        (measures.by_objective(recorded.errors_in(HOUR), *_ALL).query(promises.WHOSE),),
        width=12,
        is_of_objectives=True,
    )


def _promised(owner: str, services: list[Service]) -> Panel:
    promised = ((service.name, slo) for service in services for slo in service.slos)
    said = [f"{name} {slo.name}: {slo.objective:g} % over {slo.over}" for name, slo in promised]
    return Panel(f"What {owner} promises", "; ".join(said) + ".", Draw.TEXT, width=24)
