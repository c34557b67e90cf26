"""Dashboards as Datadog's JSON, by the models of its API client: no network.

A row is a group of widgets. What recording rules make has no counterpart in Datadog: its own list of SLOs stands for
panels of objectives, its own list of monitors for firing alerts, and any other such panel is left out. `widget` draws
each kind of panel.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from datadog_api_client.model_utils import model_to_dict
from datadog_api_client.v1.model.dashboard import Dashboard as DashboardModel
from datadog_api_client.v1.model.dashboard_layout_type import DashboardLayoutType
from datadog_api_client.v1.model.dashboard_reflow_type import DashboardReflowType
from datadog_api_client.v1.model.dashboard_template_variable import DashboardTemplateVariable
from datadog_api_client.v1.model.group_widget_definition import GroupWidgetDefinition
from datadog_api_client.v1.model.group_widget_definition_type import GroupWidgetDefinitionType
from datadog_api_client.v1.model.widget import Widget
from datadog_api_client.v1.model.widget_layout import WidgetLayout
from datadog_api_client.v1.model.widget_layout_type import WidgetLayoutType

from quarterdeck_dashboards.dashboards.datadog.widget import HEIGHTS, build
from quarterdeck_dashboards.dashboards.datadog_query import tag

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quarterdeck_dashboards.dashboards.description import Dashboard, Panel, Row

Json = dict[str, Any]
"""A document as the API takes it."""

_COLUMNS = 12
"""Of Datadog's dashboards: half of ours."""


def render(dashboard: Dashboard) -> Json:
    """Return *dashboard* as Datadog's JSON. Its description ends with its uid, by which it is found again."""
    variables = [
        DashboardTemplateVariable(name=each.name, prefix=tag(each.label), defaults=["*"])
        for each in dashboard.variables
    ]
    model = DashboardModel(
        title=dashboard.title,
        description=f"{dashboard.description}\n\n{dashboard.uid}",
        layout_type=DashboardLayoutType.ORDERED,
        reflow_type=DashboardReflowType.FIXED,
        template_variables=variables,
        widgets=list(_groups(dashboard)),
    )
    document: Json = model_to_dict(model)  # type: ignore[no-untyped-call]  # the client's own way to JSON
    return document


def text(dashboard: Dashboard) -> str:
    """Return *dashboard* as the text of a file: keys in order, so that a difference is one."""
    return json.dumps(render(dashboard), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _groups(dashboard: Dashboard) -> Iterator[Widget]:
    top = 0
    for row in dashboard.rows:
        panels = list(_drawn(row))
        if not panels:
            continue
        tall = max(HEIGHTS[panel.draw] for panel in panels)
        group = GroupWidgetDefinition(
            type=GroupWidgetDefinitionType.GROUP,
            layout_type=WidgetLayoutType.ORDERED,
            title=row.title,
            show_title=True,
            widgets=list(_placed(panels, tall)),
        )
        yield Widget(definition=group, layout=WidgetLayout(x=0, y=top, width=_COLUMNS, height=tall + 1))
        top += tall + 1


def _drawn(row: Row) -> Iterator[Panel]:
    """Yield the panels that Datadog has anything for; of those of objectives, one list."""
    is_listed = False
    for panel in row.panels:
        if panel.is_of_objectives and is_listed:
            continue
        is_listed |= panel.is_of_objectives
        if build(panel) is not None:
            yield panel


def _placed(panels: list[Panel], tall: int) -> Iterator[Widget]:
    """Yield widgets side by side, over the whole width even where some were left out."""
    whole = sum(panel.width for panel in panels)
    left = 0
    for number, panel in enumerate(panels):
        is_last = number == len(panels) - 1
        width = _COLUMNS - left if is_last else max(1, round(panel.width * _COLUMNS / whole))
        yield Widget(definition=build(panel), layout=WidgetLayout(x=left, y=0, width=width, height=tall))
        left += width
