"""The queries of the generated dashboards, from their description, and of Datadog's monitors and objectives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_dashboards import dashboards
from quarterdeck_dashboards.check import datadog_dashboard
from quarterdeck_dashboards.check.question import Language, Question
from quarterdeck_dashboards.check.template import substituted
from quarterdeck_dashboards.dashboards.datadog_query import Untranslatable
from quarterdeck_dashboards.dashboards.description import Draw
from quarterdeck_dashboards.dashboards.description import Unit as Shown
from quarterdeck_dashboards.datadog import monitors
from quarterdeck_dashboards.datadog.objectives import objective
from quarterdeck_dashboards.units import NONE, SECONDS, Unit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta

    from quarterdeck_dashboards.catalogue import Catalogue
    from quarterdeck_dashboards.dashboards.description import Dashboard, Panel

_UNITS = {Shown.SHARE: NONE, Shown.CORES: NONE, Shown.SECONDS: SECONDS, Shown.BYTES: Unit.parse("By")}
"""What a panel's numbers must be in. Numbers of things, and how often they happen, have units of their own."""


def questions(catalogue: Catalogue, rate_window: timedelta | None) -> Iterator[Question]:
    """Yield every query of every generated dashboard."""
    for dashboard in dashboards.of(catalogue):
        variables = {variable.name: "" for variable in dashboard.variables}
        for row in dashboard.rows:
            for panel in row.panels:
                yield from _of_panel(dashboard, row.title, panel, variables, rate_window)
        for variable in dashboard.variables:
            text = f"group by ({variable.name}) ({variable.of})"
            yield Question(f"{dashboard.uid}/${variable.name}", substituted(text, variables, rate_window))
        for mark in dashboard.annotations:
            yield Question(f"{dashboard.uid}/{mark.title}", substituted(str(mark.promql), variables, rate_window))


def _of_panel(
    dashboard: Dashboard, row: str, panel: Panel, variables: dict[str, str], rate_window: timedelta | None
) -> Iterator[Question]:
    thresholds = tuple(each.above for each in panel.thresholds)
    unit = None if panel.draw is Draw.HEATMAP else _UNITS.get(panel.unit)  # that of a heat map's axis, not its colours
    for query in panel.queries:
        where = f"{dashboard.uid}/{row}/{panel.title}/{query.legend}"
        text = substituted(str(query.promql), variables, rate_window)
        yield Question(where, text, Language.PROMQL, unit, thresholds)
        if query.datadog is not None:
            yield Question(f"{where} in Datadog", str(query.datadog), Language.DATADOG)


_ENVIRONMENT = "any"
"""Stands for the environment's name, which is a tag's value."""


def of_datadog(catalogue: Catalogue) -> Iterator[Question]:
    """Yield every query of the monitors and objectives that Datadog is given."""
    for service in catalogue.services:
        kept = list(monitors.of_service(catalogue, service, _ENVIRONMENT))
        for slo in service.slos:
            try:
                kept.append(objective(catalogue, service, slo, _ENVIRONMENT))
            except Untranslatable:
                continue
        for resource in kept:
            yield from datadog_dashboard.questions(resource.body, resource.key)
