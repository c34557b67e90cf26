"""Objectives on pictures: what is left of each budget, how fast it goes, and when it is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_contract import labels as l_
from quarterdeck_dashboards.dashboards import common, measures
from quarterdeck_dashboards.dashboards.description import Draw, Level, Panel, Row, Threshold, Unit
from quarterdeck_dashboards.promql import bottom, top
from quarterdeck_dashboards.series import SLO
from quarterdeck_dashboards.slo import recorded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quarterdeck_dashboards.catalogue import Catalogue, Service
    from quarterdeck_dashboards.promql import Matcher

_NAME = f"{{{SLO.name}}}"
WHOSE = f"{{{l_.SERVICE.name}}} {{{SLO.name}}}"
"""An objective's name where there are several services'."""
_WORST = 8
"""Objectives in a list of the worst: more are not read."""


def are_made(catalogue: Catalogue) -> bool:
    """Say whether anything is promised at all: if not, nothing is recorded of objectives."""
    return any(service.slos for service in catalogue.services)


def rows(service: Service) -> Iterator[Row]:
    """Yield what *service* promises, if it promises anything, and what is firing."""
    own, name = common.of_service(service), service.name
    if service.slos:
        panels = (common.firing(*own, service=name), left(*own, service=name), burning(service))
        yield Row("What it promises", panels)
    else:
        yield Row("What is firing", (common.firing(*own, service=name, width=24),))


def left(*own: Matcher, name: str = _NAME, service: str = "", width: int = 8) -> Panel:
    """Return the burn-down of error budgets."""
    return Panel(
        "Error budget left",
        "Share of each objective's budget that is left in its window. At 0 % the promise is broken: no more risk "
        "until it recovers.",
        Draw.LINES,
        Unit.SHARE,
        (measures.by_objective(recorded.BUDGET_REMAINING, *own).query(name),),
        common.BUDGET_LEFT,
        base=Level.BAD,
        minimum=None,
        maximum=1,
        width=width,
        service=service,
        is_of_objectives=True,
    )


def burning(service: Service) -> Panel:
    """Return how fast *service*'s budgets are spent."""
    fastest = min((common.burn_rates(slo) for slo in service.slos), key=lambda steps: steps[-1].above)
    own = common.of_service(service)
    return Panel(
        "Burn rate, last hour",
        f"Times as fast as allowed. 1 spends the budget just within its window; above {fastest[-1].above:g} for an "
        "hour somebody is woken.",
        Draw.LINES,
        Unit.FACTOR,
        (measures.by_objective(recorded.BURN_RATE, *own).query(_NAME),),
        fastest,
        service=service.name,
        is_of_objectives=True,
    )


def worst(*own: Matcher) -> Panel:
    """Return the objectives that have least left."""
    lowest = bottom(_WORST, measures.by_objective(recorded.BUDGET_REMAINING, *own).promql)
    return Panel(
        "Least budget left",
        "The objectives that are nearest to being broken, or are. Below 0 % the promise is broken.",
        Draw.GAUGE,
        Unit.SHARE,
        (measures.Measure(lowest).query(WHOSE),),
        common.BUDGET_LEFT,
        base=Level.BAD,
        maximum=1,
        width=12,
        is_of_objectives=True,
    )


def fastest(*own: Matcher, width: int = 8) -> Panel:
    """Return the objectives whose budgets go fastest."""
    highest = top(_WORST, measures.by_objective(recorded.BURN_RATE, *own).promql)
    return Panel(
        "Fastest burn, last hour",
        "Times as fast as allowed. Above 1 the budget does not last its window.",
        Draw.LINES,
        Unit.FACTOR,
        (measures.Measure(highest).query(WHOSE),),
        (Threshold(1, Level.WARNING),),
        width=width,
        is_of_objectives=True,
    )
