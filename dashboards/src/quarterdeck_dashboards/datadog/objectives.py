"""Objectives as Datadog's SLOs, from the same counters that the recording rules ask.

Requests and waits are distributions there: a threshold is counted by "count values", which needs percentiles enabled
on the metric (https://docs.datadoghq.com/metrics/distributions/#threshold-queries).
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from datadog_api_client.v1.model.formula_and_function_metric_data_source import FormulaAndFunctionMetricDataSource
from datadog_api_client.v1.model.formula_and_function_metric_query_definition import (
    FormulaAndFunctionMetricQueryDefinition,
)
from datadog_api_client.v1.model.service_level_objective_request import ServiceLevelObjectiveRequest
from datadog_api_client.v1.model.slo_count_definition_with_total_events_formula import (
    SLOCountDefinitionWithTotalEventsFormula,
)
from datadog_api_client.v1.model.slo_count_spec import SLOCountSpec
from datadog_api_client.v1.model.slo_formula import SLOFormula
from datadog_api_client.v1.model.slo_threshold import SLOThreshold
from datadog_api_client.v1.model.slo_time_slice_comparator import SLOTimeSliceComparator
from datadog_api_client.v1.model.slo_time_slice_condition import SLOTimeSliceCondition
from datadog_api_client.v1.model.slo_time_slice_interval import SLOTimeSliceInterval
from datadog_api_client.v1.model.slo_time_slice_query import SLOTimeSliceQuery
from datadog_api_client.v1.model.slo_time_slice_spec import SLOTimeSliceSpec
from datadog_api_client.v1.model.slo_timeframe import SLOTimeframe
from datadog_api_client.v1.model.slo_type import SLOType

from quarterdeck_contract.metrics import Kind
from quarterdeck_dashboards.alerts import BURN
from quarterdeck_dashboards.catalogue.objective import SloKind
from quarterdeck_dashboards.catalogue.own import known_metrics
from quarterdeck_dashboards.dashboards.datadog_query import MetricQuery, Untranslatable, condition
from quarterdeck_dashboards.datadog.common import json_of, page_url, scoped, tags_of
from quarterdeck_dashboards.duration import format_duration
from quarterdeck_dashboards.resource import Resource
from quarterdeck_dashboards.series import LE, of_metric
from quarterdeck_dashboards.slo import sli

if TYPE_CHECKING:
    from quarterdeck_contract.metrics import Metric
    from quarterdeck_dashboards.catalogue import Catalogue, Service, Slo
    from quarterdeck_dashboards.promql import Selector

KIND = "slo"
_TIMEFRAMES = {
    timedelta(days=7): SLOTimeframe.SEVEN_DAYS,
    timedelta(days=30): SLOTimeframe.THIRTY_DAYS,
    timedelta(days=90): SLOTimeframe.NINETY_DAYS,
}
"""What an objective can hold over."""
DECIMALS = 3
"""Of a target: as many as Datadog takes."""


def key_of(service: Service, slo: Slo) -> str:
    """Return the key of *slo*'s resource. It has Datadog's type in it, because that cannot be changed."""
    return f"{KIND}/{service.name}/{slo.name}/{'time_slice' if _is_of_time(slo) else 'metric'}"


def objective(catalogue: Catalogue, service: Service, slo: Slo, environment: str) -> Resource:
    """Return *slo* as Datadog keeps it.

    Raises:
        Untranslatable: Datadog cannot state it.
    """
    if slo.window not in _TIMEFRAMES:
        has = ", ".join(map(format_duration, _TIMEFRAMES))
        raise Untranslatable(f"its window is {format_duration(slo.window)}, and Datadog's objectives have {has}")
    if round(slo.objective, DECIMALS) != slo.objective:
        raise Untranslatable(f"its objective {slo.objective:g} has more than {DECIMALS} decimals")
    name = f"{service.name}: {slo.name} ({environment})"
    body = ServiceLevelObjectiveRequest(
        name=name,
        type=SLOType.TIME_SLICE if _is_of_time(slo) else SLOType.METRIC,
        description=f"{slo.objective:g} % good over {slo.over}. When it burns: {page_url(catalogue, service, BURN)}",
        sli_specification=_time_slices(service, slo, environment)
        if _is_of_time(slo)
        else _counts(service, slo, environment),
        tags=tags_of(service, environment, f"slo:{slo.name}"),
        thresholds=[SLOThreshold(target=float(slo.objective), timeframe=_TIMEFRAMES[slo.window])],
    )
    return Resource(KIND, key_of(service, slo), name, json_of(body))


def _is_of_time(slo: Slo) -> bool:
    return slo.kind is SloKind.THROUGHPUT


def _counts(service: Service, slo: Slo, environment: str) -> SLOCountSpec:
    counted = sli.counted(service, slo)
    if counted is None:
        reasons = {
            SloKind.FRESHNESS: "how old a time is cannot be asked there, for want of the present one",
            SloKind.CUSTOM: "its counters are named as Prometheus has them, and so without OpenTelemetry's name",
        }
        raise Untranslatable(reasons[slo.kind])
    events, good = (_query(service, selector, environment) for selector in counted)
    return SLOCountSpec(
        count=SLOCountDefinitionWithTotalEventsFormula(
            good_events_formula=SLOFormula(formula="good"),
            total_events_formula=SLOFormula(formula="events"),
            queries=[_named("good", good), _named("events", events)],
        )
    )


def _time_slices(service: Service, slo: Slo, environment: str) -> SLOTimeSliceSpec:
    query = MetricQuery("sum", slo.metric or "", scoped(service, environment), suffix=".as_rate()")
    return SLOTimeSliceSpec(
        time_slice=SLOTimeSliceCondition(
            comparator=SLOTimeSliceComparator.GREATER_EQUAL,
            threshold=float(slo.minimum or 0),
            query_interval_seconds=SLOTimeSliceInterval.FIVE_MINUTES,
            query=SLOTimeSliceQuery(formulas=[SLOFormula(formula="growth")], queries=[_named("growth", query)]),
        )
    )


def _named(name: str, query: MetricQuery) -> FormulaAndFunctionMetricQueryDefinition:
    return FormulaAndFunctionMetricQueryDefinition(
        name=name, query=str(query), data_source=FormulaAndFunctionMetricDataSource.METRICS
    )


def _query(service: Service, selector: Selector, environment: str) -> MetricQuery:
    """Return the count of a histogram's values; of those up to a bound, where *selector* names one."""
    bounds = [matcher.value for matcher in selector.matchers if matcher.label is LE]
    narrowed = [condition(matcher) for matcher in selector.matchers if matcher.label is not LE]
    own = scoped(service, environment)
    conditions = (*own, *(each for each in narrowed if each not in own))
    above = f"v: v<={float(bounds[0]):g}" if bounds else ""
    return MetricQuery("count", _metric_of(service, selector).name, conditions, suffix=".as_count()", above=above)


def _metric_of(service: Service, selector: Selector) -> Metric:
    histograms = [metric for metric in known_metrics(service.metrics).values() if metric.kind is Kind.HISTOGRAM]
    return next(each for each in histograms if selector.series in of_metric(each))
