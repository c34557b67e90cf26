"""Dashboards as Grafana's JSON: its classic model, which the HTTP API and provisioned folders both take.

Built with `grafana-foundation-sdk`, and checked in tests against the types of `@grafana/schema`. The data source is a
variable, so that one file serves every Grafana. `panel` draws each kind of panel.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from grafana_foundation_sdk.builders import dashboard as sdk
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model

from quarterdeck_dashboards.dashboards.description import Level
from quarterdeck_dashboards.dashboards.grafana.panel import COLOURS, DATASOURCE, PROMETHEUS, build, template

if TYPE_CHECKING:
    from quarterdeck_dashboards.dashboards.description import Annotation, Dashboard, Link, Variable

Json = dict[str, Any]
"""A document as the API takes it."""

_MARK_COLOURS = COLOURS | {Level.GOOD: "blue"}
"""A new version is neither good nor bad."""
_MARK_STEP = "60s"
"""Between two looks for marks: less than what is marked lasts."""
_REFRESH = "1m"
"""How often an open page asks again: every fourth scrape."""


def render(dashboard: Dashboard) -> Json:
    """Return *dashboard* as Grafana's JSON."""
    built = (
        sdk.Dashboard(dashboard.title)
        .uid(dashboard.uid)
        .description(dashboard.description)
        .tags(list(dashboard.tags))
        .time(f"now-{dashboard.span}", "now")
        .timezone("browser")
        .refresh(_REFRESH)
        .readonly()
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .variables([_datasource(), *map(_variable, dashboard.variables)])
        .annotations(list(map(_annotation, dashboard.annotations)))
        .links(list(map(_link, dashboard.links)))
    )
    number = 0
    for row in dashboard.rows:
        number += 1
        built.with_row(sdk.Row(row.title).id(number))
        for panel in row.panels:
            number += 1
            built.with_panel(build(panel).id(number))
    document: Json = json.loads(JSONEncoder().encode(built.build()))
    return _without_defaults(document)


def _without_defaults(document: Json) -> Json:
    """Take out what the SDK says unasked: hidden places, and keys that Grafana's types no longer have."""
    for entry in (*document["annotations"]["list"], *document["links"]):
        del entry["placement"]  # "in a menu"; where there is none they are in sight
    for variable in document["templating"]["list"]:
        for key in ("auto", "auto_count", "auto_min"):
            variable.pop(key)
    for panel in document["panels"]:
        if panel["type"] == "table":
            del panel["options"]["footer"]
    return document


def text(dashboard: Dashboard) -> str:
    """Return *dashboard* as the text of a file: keys in order, so that a difference is one."""
    return json.dumps(render(dashboard), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _datasource() -> sdk.DatasourceVariable:
    return sdk.DatasourceVariable(DATASOURCE).label("Prometheus").type("prometheus")


def _variable(variable: Variable) -> sdk.QueryVariable:
    query = f"label_values({variable.of}, {variable.name})"
    every = model.VariableOption(text="All", value="$__all", selected=True)
    return (
        sdk.QueryVariable(variable.name)
        .label(variable.title)
        .datasource(PROMETHEUS)
        .query({"query": query, "refId": f"{variable.name}-values"})
        .refresh(model.VariableRefresh.ON_DASHBOARD_LOAD)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
        .include_all(True)
        .all_value(".*")
        .current(every)
    )


def _annotation(annotation: Annotation) -> sdk.AnnotationQuery:
    return (
        sdk.AnnotationQuery()
        .name(annotation.title)
        .datasource(PROMETHEUS)
        .enable(True)
        .icon_color(_MARK_COLOURS[annotation.level])
        .expr(str(annotation.promql))
        .step(_MARK_STEP)
        .title_format(annotation.title)
        .text_format(template(annotation.text))
    )


def _link(link: Link) -> sdk.DashboardLink:
    if not link.dashboard:
        return sdk.DashboardLink(link.title).type(model.DashboardLinkType.LINK).url(link.url).target_blank(True)
    return (
        sdk.DashboardLink(link.title)
        .type(model.DashboardLinkType.LINK)
        .url(f"/d/{link.dashboard}")
        .keep_time(True)
        .include_vars(True)
    )
