"""Each kind of panel as Grafana draws it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from grafana_foundation_sdk.builders import bargauge, common, heatmap, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as sdk
from grafana_foundation_sdk.builders import text as text_panel
from grafana_foundation_sdk.models import common as common_model
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import heatmap as heatmap_model
from grafana_foundation_sdk.models import prometheus as prometheus_model
from grafana_foundation_sdk.models import text as text_model

from quarterdeck_contract.labels import Label
from quarterdeck_dashboards.dashboards.description import Draw, Level, Panel, Query, Unit

if TYPE_CHECKING:
    from collections.abc import Callable

DATASOURCE = "datasource"
"""The variable that says which Prometheus is asked."""
PROMETHEUS = common_model.DataSourceRef(type_val="prometheus", uid=f"${{{DATASOURCE}}}")

COLOURS = {Level.GOOD: "green", Level.WARNING: "#EAB839", Level.BAD: "red"}
"""Grafana's own names, which follow its light and dark theme, but for a yellow that can be read on both."""
_PLAIN = "text"
"""Of numbers that are neither good nor bad."""

UNITS = {
    Unit.SHARE: "percentunit",
    Unit.PER_SECOND: "reqps",
    Unit.SECONDS: "s",
    Unit.BYTES: "bytes",
    Unit.CORES: "suffix: cores",
    Unit.COUNT: "short",
    Unit.FACTOR: "suffix:x",
}

_HEIGHTS = {Draw.STAT: 4}
_HEIGHT = 8
"""Of any other panel."""
_MOST_POINTS = 300
"""Of a line: more than this many cannot be told apart in a third of a screen."""

_NOT_SHOWN = ("Time", "__name__", "alertstate", "job", "instance")
"""Columns that say nothing to a reader."""


def build(panel: Panel) -> Any:
    """Return *panel* as a builder, without a place."""
    built = _KINDS[panel.draw](panel)
    built.title(panel.title).height(_HEIGHTS.get(panel.draw, _HEIGHT)).span(panel.width)
    if panel.draw is Draw.TEXT:
        return built
    built.description(panel.says).datasource(PROMETHEUS)
    for number, query in enumerate(panel.queries):
        built.with_target(_target(panel, query, chr(ord("A") + number)))
    if panel.links:
        built.links([sdk.DashboardLink(each.title).url(each.url or f"/d/{each.dashboard}") for each in panel.links])
    return built


def template(text: str) -> str:
    """Return a text with `{label}`s as Grafana fills it in.

    >>> template("{http.route} failed")
    '{{http_route}} failed'
    """
    return re.sub(r"\{([^{}]+)\}", lambda label: f"{{{{{Label(label[1], '').prometheus}}}}}", text)


def _target(panel: Panel, query: Query, reference: str) -> prometheus.Dataquery:
    target = prometheus.Dataquery().expr(str(query.promql)).ref_id(reference).datasource(PROMETHEUS)
    target.editor_mode(prometheus_model.QueryEditorMode.CODE).legend_format(template(query.legend))
    if panel.draw is Draw.HEATMAP:
        target.format(prometheus_model.PromQueryFormat.HEATMAP)
    elif panel.draw in {Draw.TABLE, Draw.ALERTS}:
        target.format(prometheus_model.PromQueryFormat.TABLE)
    is_instant = query.instant or panel.draw in {Draw.TABLE, Draw.ALERTS, Draw.GAUGE}
    if query.exemplars:
        target.exemplar(True)
    return target.instant() if is_instant else target.range()


def _thresholds(panel: Panel) -> sdk.ThresholdsConfig:
    base = COLOURS[panel.base] if panel.thresholds else _PLAIN
    steps = [model.Threshold(None, base)]
    steps += [model.Threshold(each.above, COLOURS[each.level]) for each in panel.thresholds]
    return sdk.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)


def _numbers(built: Any, panel: Panel) -> None:
    """Say what *built*'s numbers are and how bad they can be."""
    built.unit(UNITS[panel.unit]).thresholds(_thresholds(panel))
    if panel.minimum is not None:
        built.min(panel.minimum)
    if panel.maximum is not None:
        built.max(panel.maximum)


def _over_time(panel: Panel) -> timeseries.Panel:
    shown = common.VizLegendOptions().show_legend(True).placement(common_model.LegendPlacement.BOTTOM)
    shown.display_mode(common_model.LegendDisplayMode.LIST).calcs([])
    tooltip = common.VizTooltipOptions().mode(common_model.TooltipDisplayMode.MULTI)
    tooltip.sort(common_model.SortOrder.DESCENDING)
    built = timeseries.Panel().legend(shown).tooltip(tooltip).max_data_points(_MOST_POINTS)
    built.show_points(common_model.VisibilityMode.AUTO).line_width(2)
    built.color_scheme(sdk.FieldColor().mode(model.FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
    # An upper limit of 100 % would press what is usually far below it onto the axis.
    built.unit(UNITS[panel.unit]).thresholds(_thresholds(panel))
    return built.axis_soft_min(panel.minimum) if panel.minimum is not None else built


def _lines(panel: Panel) -> timeseries.Panel:
    built = _over_time(panel).fill_opacity(0)
    if panel.thresholds:
        style = common.GraphThresholdsStyleConfig().mode(common_model.GraphThresholdsStyleMode.DASHED)
        built.thresholds_style(style)
    return built


def _bars(panel: Panel) -> timeseries.Panel:
    stacked = common.StackingConfig().mode(common_model.StackingMode.NORMAL).group("A")
    return _over_time(panel).fill_opacity(60).line_width(1).stacking(stacked)


def _reduced() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"]).values(False)


def _stat(panel: Panel) -> stat.Panel:
    built = stat.Panel().reduce_options(_reduced()).graph_mode(common_model.BigValueGraphMode.AREA)
    coloured = common_model.BigValueColorMode.BACKGROUND_SOLID if panel.thresholds else None
    built.color_mode(coloured or common_model.BigValueColorMode.NONE).no_value("no data")
    _numbers(built, panel)
    return built


def _gauge(panel: Panel) -> bargauge.Panel:
    built = bargauge.Panel().reduce_options(_reduced()).orientation(common_model.VizOrientation.HORIZONTAL)
    built.display_mode(common_model.BarGaugeDisplayMode.BASIC).no_value("no data")
    _numbers(built, panel)
    return built


def _heatmap(panel: Panel) -> heatmap.Panel:
    colours = heatmap.HeatmapColorOptions().mode(heatmap_model.HeatmapColorMode.SCHEME).scheme("Blues").steps(64)
    # Buckets that nothing fell into stay empty, so that a rare slow request can be seen.
    filtered = heatmap.FilterValueRange().le(1e-9)
    return (
        heatmap.Panel()
        .calculate(False)
        .color(colours)
        .filter_values(filtered)
        .y_axis(heatmap.YAxisConfig().unit(UNITS[panel.unit]))
        .hide_legend()
    )


def _table(panel: Panel) -> table.Panel:
    """One row for each combination of labels: the queries' columns are put side by side."""
    names = {f"Value #{chr(ord('A') + n)}": query.legend for n, query in enumerate(panel.queries)}
    if len(panel.queries) == 1:
        names["Value"] = panel.queries[0].legend
    excluded = dict.fromkeys(_NOT_SHOWN, True)
    organised = {"excludeByName": excluded, "indexByName": {}, "renameByName": names}
    built = table.Panel().cell_options(common_model.TableAutoCellOptions())
    _numbers(built, panel)
    for query in panel.queries:
        if query.unit is not None:
            built.override_by_name(query.legend, [model.DynamicConfigValue(id_val="unit", value=UNITS[query.unit])])
    built.no_value("-").with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
    return built.with_transformation(model.DataTransformerConfig(id_val="organize", options=organised))


def _alerts(_: Panel) -> table.Panel:
    excluded = dict.fromkeys((*_NOT_SHOWN, "Value"), True)
    names = {"alertname": "alert", "slo": "objective"}
    order = {name: place for place, name in enumerate(("severity", "alertname", "service", "slo", "namespace"))}
    organised = {"excludeByName": excluded, "indexByName": order, "renameByName": names}
    built = table.Panel().cell_options(common_model.TableAutoCellOptions()).no_value("Nothing is firing.")
    return built.with_transformation(model.DataTransformerConfig(id_val="organize", options=organised))


def _text(panel: Panel) -> text_panel.Panel:
    links = "".join(f"\n- [{link.title}]({link.url})" for link in panel.links)
    return text_panel.Panel().mode(text_model.TextMode.MARKDOWN).content(f"{panel.says}\n{links}")


_KINDS: dict[Draw, Callable[[Panel], Any]] = {
    Draw.LINES: _lines,
    Draw.BARS: _bars,
    Draw.STAT: _stat,
    Draw.GAUGE: _gauge,
    Draw.TABLE: _table,
    Draw.HEATMAP: _heatmap,
    Draw.ALERTS: _alerts,
    Draw.TEXT: _text,
}
