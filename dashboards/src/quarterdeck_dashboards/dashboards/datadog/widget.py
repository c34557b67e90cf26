"""Each kind of panel as Datadog draws it; None where Datadog has nothing to draw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datadog_api_client.v1.model.formula_and_function_metric_aggregation import FormulaAndFunctionMetricAggregation
from datadog_api_client.v1.model.formula_and_function_metric_data_source import FormulaAndFunctionMetricDataSource
from datadog_api_client.v1.model.formula_and_function_metric_query_definition import (
    FormulaAndFunctionMetricQueryDefinition,
)
from datadog_api_client.v1.model.formula_and_function_response_format import FormulaAndFunctionResponseFormat
from datadog_api_client.v1.model.heat_map_widget_definition import HeatMapWidgetDefinition
from datadog_api_client.v1.model.heat_map_widget_definition_type import HeatMapWidgetDefinitionType
from datadog_api_client.v1.model.heat_map_widget_request import HeatMapWidgetRequest
from datadog_api_client.v1.model.monitor_summary_widget_definition import MonitorSummaryWidgetDefinition
from datadog_api_client.v1.model.monitor_summary_widget_definition_type import MonitorSummaryWidgetDefinitionType
from datadog_api_client.v1.model.note_widget_definition import NoteWidgetDefinition
from datadog_api_client.v1.model.note_widget_definition_type import NoteWidgetDefinitionType
from datadog_api_client.v1.model.query_value_widget_definition import QueryValueWidgetDefinition
from datadog_api_client.v1.model.query_value_widget_definition_type import QueryValueWidgetDefinitionType
from datadog_api_client.v1.model.query_value_widget_request import QueryValueWidgetRequest
from datadog_api_client.v1.model.slo_list_widget_definition import SLOListWidgetDefinition
from datadog_api_client.v1.model.slo_list_widget_definition_type import SLOListWidgetDefinitionType
from datadog_api_client.v1.model.slo_list_widget_query import SLOListWidgetQuery
from datadog_api_client.v1.model.slo_list_widget_request import SLOListWidgetRequest
from datadog_api_client.v1.model.slo_list_widget_request_type import SLOListWidgetRequestType
from datadog_api_client.v1.model.table_widget_definition import TableWidgetDefinition
from datadog_api_client.v1.model.table_widget_definition_type import TableWidgetDefinitionType
from datadog_api_client.v1.model.table_widget_request import TableWidgetRequest
from datadog_api_client.v1.model.timeseries_widget_definition import TimeseriesWidgetDefinition
from datadog_api_client.v1.model.timeseries_widget_definition_type import TimeseriesWidgetDefinitionType
from datadog_api_client.v1.model.timeseries_widget_request import TimeseriesWidgetRequest
from datadog_api_client.v1.model.widget_comparator import WidgetComparator
from datadog_api_client.v1.model.widget_conditional_format import WidgetConditionalFormat
from datadog_api_client.v1.model.widget_display_type import WidgetDisplayType
from datadog_api_client.v1.model.widget_formula import WidgetFormula
from datadog_api_client.v1.model.widget_histogram_request_type import WidgetHistogramRequestType
from datadog_api_client.v1.model.widget_marker import WidgetMarker
from datadog_api_client.v1.model.widget_palette import WidgetPalette

from quarterdeck_dashboards.dashboards.description import Draw, Level, Panel, Unit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from quarterdeck_dashboards.dashboards.datadog_query import Formula
    from quarterdeck_dashboards.dashboards.description import Query

OWNED = "managed-by:quarterdeck"
"""Tag of every monitor and SLO that we keep in Datadog."""

HEIGHTS = dict.fromkeys(Draw, 3) | {Draw.STAT: 2}
"""Of widgets, in Datadog's own units."""

_PALETTES = {
    Level.GOOD: WidgetPalette.WHITE_ON_GREEN,
    Level.WARNING: WidgetPalette.WHITE_ON_YELLOW,
    Level.BAD: WidgetPalette.WHITE_ON_RED,
}
_MARKERS = {Level.GOOD: "ok dashed", Level.WARNING: "warning dashed", Level.BAD: "error dashed"}
_SCALED = {Unit.SHARE: 100}
"""Datadog shows shares as percent only when they are: factor by unit."""
_AFTER = {Unit.SHARE: "%", Unit.FACTOR: "x", Unit.CORES: "cores", Unit.PER_SECOND: "/s", Unit.SECONDS: "s"}


def build(panel: Panel) -> Any:
    """Return the definition of a widget, or None where there is nothing to draw."""
    if panel.is_of_objectives:
        return _objectives(panel)
    kind = _KINDS.get(panel.draw)
    if kind is not None and all(query.datadog is not None for query in panel.queries):
        return kind(panel)
    return _alerts(panel) if panel.draw is Draw.ALERTS else None


def _found_by(panel: Panel) -> str:
    return f"service:{panel.service}" if panel.service else OWNED


def _objectives(panel: Panel) -> SLOListWidgetDefinition:
    request = SLOListWidgetRequest(
        request_type=SLOListWidgetRequestType.SLO_LIST,
        query=SLOListWidgetQuery(query_string=_found_by(panel), limit=50),
    )
    return SLOListWidgetDefinition(type=SLOListWidgetDefinitionType.SLO_LIST, title=panel.title, requests=[request])


def _alerts(panel: Panel) -> MonitorSummaryWidgetDefinition:
    return MonitorSummaryWidgetDefinition(
        type=MonitorSummaryWidgetDefinitionType.MANAGE_STATUS,
        title=panel.title,
        query=f"tag:({_found_by(panel)}) status:(alert OR warn OR no data)",
        hide_zero_counts=True,
        show_last_triggered=True,
    )


def _note(panel: Panel) -> NoteWidgetDefinition:
    links = "".join(f"\n- [{link.title}]({link.url})" for link in panel.links)
    content = f"**{panel.title}**\n\n{panel.says}\n{links}"
    return NoteWidgetDefinition(type=NoteWidgetDefinitionType.NOTE, content=content, font_size="14")


def _over_time(panel: Panel) -> TimeseriesWidgetDefinition:
    display = WidgetDisplayType.BARS if panel.draw is Draw.BARS else WidgetDisplayType.LINE
    requests = [
        TimeseriesWidgetRequest(
            formulas=[_formula(panel, query, formula)],
            queries=_queries(formula),
            response_format=FormulaAndFunctionResponseFormat.TIMESERIES,
            display_type=display,
        )
        for query, formula in _asked(panel)
    ]
    markers = [
        WidgetMarker(value=f"y = {_scaled(panel, step.above):g}", display_type=_MARKERS[step.level])
        for step in panel.thresholds
    ]
    return TimeseriesWidgetDefinition(
        type=TimeseriesWidgetDefinitionType.TIMESERIES,
        title=_title(panel),
        show_legend=True,
        requests=requests,
        markers=markers,
    )


def _value(panel: Panel) -> QueryValueWidgetDefinition:
    ((query, formula),) = _asked(panel)
    request = QueryValueWidgetRequest(
        formulas=[_formula(panel, query, formula)],
        queries=_queries(formula, FormulaAndFunctionMetricAggregation.LAST),
        response_format=FormulaAndFunctionResponseFormat.SCALAR,
        conditional_formats=_formats(panel),
    )
    definition = QueryValueWidgetDefinition(
        type=QueryValueWidgetDefinitionType.QUERY_VALUE,
        title=panel.title,
        requests=[request],
        autoscale=True,
        precision=2,
    )
    if panel.unit in _AFTER:
        definition.custom_unit = _AFTER[panel.unit]
    return definition


def _table(panel: Panel) -> TableWidgetDefinition:
    requests = [
        TableWidgetRequest(
            formulas=[_formula(panel, query, formula)],
            queries=_queries(formula, FormulaAndFunctionMetricAggregation.LAST),
            response_format=FormulaAndFunctionResponseFormat.SCALAR,
        )
        for query, formula in _asked(panel)
    ]
    return TableWidgetDefinition(type=TableWidgetDefinitionType.QUERY_TABLE, title=_title(panel), requests=requests)


def _heatmap(panel: Panel) -> HeatMapWidgetDefinition:
    ((_, formula),) = _asked(panel)
    (query,) = _queries(formula)
    request = HeatMapWidgetRequest(query=query, request_type=WidgetHistogramRequestType.HISTOGRAM)
    return HeatMapWidgetDefinition(type=HeatMapWidgetDefinitionType.HEATMAP, title=_title(panel), requests=[request])


def _title(panel: Panel) -> str:
    after = _AFTER.get(panel.unit)
    return f"{panel.title} ({after})" if after else panel.title


def _asked(panel: Panel) -> Iterator[tuple[Query, Formula]]:
    return ((query, query.datadog) for query in panel.queries if query.datadog is not None)


def _formula(panel: Panel, query: Query, formula: Formula) -> WidgetFormula:
    scale = _SCALED.get(panel.unit)
    text = f"{scale} * ({formula.text})" if scale else formula.text
    # A name with labels in it is Datadog's own business: it names each group by its tags.
    return WidgetFormula(formula=text) if "{" in query.legend else WidgetFormula(formula=text, alias=query.legend)


def _queries(
    formula: Formula, aggregator: FormulaAndFunctionMetricAggregation | None = None
) -> list[Any]:  # the models want lists of every kind of query there is
    reduced: dict[str, Any] = {} if aggregator is None else {"aggregator": aggregator}
    return [
        FormulaAndFunctionMetricQueryDefinition(
            data_source=FormulaAndFunctionMetricDataSource.METRICS, name=name, query=str(query), **reduced
        )
        for name, query in formula.queries.items()
    ]


def _formats(panel: Panel) -> list[WidgetConditionalFormat]:
    """Return colours by number: the first that holds is taken, so the highest comes first."""
    if not panel.thresholds:
        return []
    steps = [
        WidgetConditionalFormat(
            comparator=WidgetComparator.GREATER_THAN_OR_EQUAL_TO,
            value=float(_scaled(panel, step.above)),
            palette=_PALETTES[step.level],
        )
        for step in reversed(panel.thresholds)
    ]
    lowest = WidgetConditionalFormat(
        comparator=WidgetComparator.LESS_THAN,
        value=float(_scaled(panel, panel.thresholds[0].above)),
        palette=_PALETTES[panel.base],
    )
    return [*steps, lowest]


def _scaled(panel: Panel, value: float) -> float:
    return value * _SCALED.get(panel.unit, 1)


_KINDS: dict[Draw, Callable[[Panel], Any]] = {
    Draw.LINES: _over_time,
    Draw.BARS: _over_time,
    Draw.STAT: _value,
    Draw.GAUGE: _table,
    Draw.TABLE: _table,
    Draw.HEATMAP: _heatmap,
    Draw.TEXT: _note,
}
