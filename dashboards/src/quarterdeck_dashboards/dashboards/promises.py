"""Objectives on pictures: what is left of each budget, how fast it goes, and when it is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_dashboards.dashboards import common, measures
from quarterdeck_dashboards.dashboards.description import Draw, Level, Panel, Row, Unit
from quarterdeck_dashboards.series import SLO
from quarterdeck_dashboards.slo import recorded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quarterdeck_dashboards.catalogue import Service
    from quarterdeck_dashboards.promql import Matcher

_NAME = f"{{{SLO.name}}}"


def rows(service: Service) -> Iterator[Row]:
    """Yield what *service* promises, if it promises anything, and what is firing."""
    own = common.of_service(service)
    if service.slos:
        yield Row("What it promises", (common.firing(*own), left(*own), burning(service)))
    else:
        yield Row("What is firing", (common.firing(*own, width=24),))


def left(*own: Matcher, name: str = _NAME, width: int = 8) -> Panel:
    """Return the burn-down of error budgets."""
    return Panel(
        "Error budget left",
        "Share of each objective's budget that is left in its window. At 0 % the promise is broken: no more risk "
        "until it recovers.",
        Draw.LINES,
        Unit.SHARE,
        (measures.recorded(recorded.BUDGET_REMAINING, *own).query(name),),
        common.BUDGET_LEFT,
        base=Level.BAD,
        minimum=None,
        maximum=1,
        width=width,
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
        (measures.recorded(recorded.BURN_RATE, *own).query(_NAME),),
        fastest,
    )
