"""What panels measure, each stated once and said in both languages: PromQL, and Datadog's of OTLP metrics.

Rates are over the same five minutes as recorded ones, so that a panel and an alert show one number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quarterdeck_contract.labels import SERVICE
from quarterdeck_contract.metrics import Kind
from quarterdeck_dashboards import promql
from quarterdeck_dashboards.dashboards.datadog_query import Formula, MetricQuery, Untranslatable, condition, tag
from quarterdeck_dashboards.dashboards.description import Query
from quarterdeck_dashboards.promql import Selector, sum_by
from quarterdeck_dashboards.series import LE, SLO, buckets, count, of_metric, only
from quarterdeck_dashboards.slo.windows import RATE_WINDOW

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from quarterdeck_contract.labels import Label
    from quarterdeck_contract.metrics import Metric
    from quarterdeck_dashboards.dashboards.description import Unit
    from quarterdeck_dashboards.promql import Matcher, Vector
    from quarterdeck_dashboards.series import Series


@dataclass(frozen=True, slots=True)
class Measure:
    """A number, in each language it can be asked in."""

    promql: Vector
    datadog: Formula | None = None

    def query(self, legend: str, *, exemplars: bool = False, instant: bool = False, unit: Unit | None = None) -> Query:
        """Return it as a panel's query; see `Query`."""
        return Query(legend, self.promql, self.datadog, exemplars, instant, unit)

    def __truediv__(self, other: Measure) -> Measure:
        """Return this as a share of *other*, where there is any."""
        return Measure(self.promql / (other.promql > 0), _combined("{} / {}", self.datadog, other.datadog))

    def __add__(self, other: Measure) -> Measure:
        return Measure(self.promql + other.promql, _combined("{} + {}", self.datadog, other.datadog))

    def __sub__(self, other: Measure) -> Measure:
        return Measure(self.promql - other.promql, _combined("{} - {}", self.datadog, other.datadog))


def rate(metric: Metric, *conditions: Matcher, by: Sequence[Label] = ()) -> Measure:
    """Return how much a counter grows, or how often a histogram is added to, per second."""
    series = count(metric) if metric.kind is Kind.HISTOGRAM else only(metric)
    vector = sum_by(by, Selector(series).where(*conditions).rate(RATE_WINDOW))
    aggregation = "count" if metric.kind is Kind.HISTOGRAM else "sum"
    return Measure(vector, _datadog(aggregation, metric, conditions, by, ".as_rate()"))


def quantile(share: float, metric: Metric, *conditions: Matcher, by: Sequence[Label] = ()) -> Measure:
    """Return the quantile *share* (0 to 1) of a histogram."""
    rates = sum_by((*by, LE), Selector(buckets(metric)).where(*conditions).rate(RATE_WINDOW))
    return Measure(promql.quantile(share, rates), _datadog(f"p{share * 100:g}", metric, conditions, by))


def mean(metric: Metric, *conditions: Matcher, by: Sequence[Label] = ()) -> Measure:
    """Return the mean of a histogram whose buckets say too little."""
    sums, counts = (sum_by(by, Selector(each).where(*conditions).rate(RATE_WINDOW)) for each in of_metric(metric)[1:])
    return Measure(sums / (counts > 0), _datadog("avg", metric, conditions, by))


def spent(metric: Metric, *conditions: Matcher, by: Sequence[Label] = ()) -> Measure:
    """Return how much a histogram's values add up to per second: of seconds, how much of the time."""
    sums = sum_by(by, Selector(of_metric(metric)[1]).where(*conditions).rate(RATE_WINDOW))
    return Measure(sums, _datadog("sum", metric, conditions, by, ".as_rate()"))


def distribution(metric: Metric, *conditions: Matcher) -> Measure:
    """Return how often each bucket of a histogram is added to, per second: what a heat map draws."""
    vector = sum_by([LE], Selector(buckets(metric)).where(*conditions).rate(RATE_WINDOW))
    return Measure(vector, _datadog("histogram", metric, conditions, ()))


def total(metric: Metric, *conditions: Matcher, by: Sequence[Label] = ()) -> Measure:
    """Return the sum of a gauge's present values."""
    return _present("sum", sum_by, metric, conditions, by)


def greatest(metric: Metric, *conditions: Matcher, by: Sequence[Label] = ()) -> Measure:
    """Return the largest of a gauge's present values."""
    return _present("max", promql.max_by, metric, conditions, by)


def share(part: Measure, whole: Measure) -> Measure:
    """Return *part* as a share of *whole*: 0, not nothing, where there is a whole and no part of it."""
    of_whole = _combined("default_zero({}) / {}", part.datadog, whole.datadog)
    return Measure((part.promql | whole.promql * 0) / (whole.promql > 0), of_whole)


def either(one: Measure, other: Measure) -> Measure:
    """Return both, where no series is in both: services are asked in one way or another."""
    return Measure(
        one.promql | other.promql, _combined("default_zero({}) + default_zero({})", one.datadog, other.datadog)
    )


def by_objective(series: Series, *conditions: Matcher) -> Measure:
    """Return a recorded series of objectives, by service and objective; of several clusters, the largest."""
    return Measure(promql.max_by([SERVICE, SLO], Selector(series).where(*conditions).now))


def _present(
    aggregation: str,
    aggregate: Callable[[Sequence[Label], Vector], Vector],
    metric: Metric,
    conditions: Sequence[Matcher],
    by: Sequence[Label],
) -> Measure:
    vector = aggregate(by, Selector(only(metric)).where(*conditions).now)
    return Measure(vector, _datadog(aggregation, metric, conditions, by))


def _datadog(
    aggregation: str, metric: Metric, conditions: Sequence[Matcher], by: Sequence[Label], suffix: str = ""
) -> Formula | None:
    try:
        written = tuple(condition(each) for each in conditions)
        tags = tuple(tag(label) for label in by)
    except Untranslatable:
        return None
    return Formula("query1", {"query1": MetricQuery(aggregation, metric.name, written, tags, suffix)})


def _combined(template: str, left: Formula | None, right: Formula | None) -> Formula | None:
    """Return *template* with both formulas in its places; the right one's queries are numbered on."""
    if left is None or right is None:
        return None
    queries = dict(left.queries)
    renamed = {}
    for name, query in right.queries.items():
        known = next((mine for mine, each in queries.items() if each == query), None)
        renamed[name] = known or f"query{len(queries) + 1}"
        queries[renamed[name]] = query
    text = re.sub(r"query\d+", lambda name: renamed[name[0]], right.text)
    return Formula(template.format(_operand(left.text), _operand(text)), queries)


def _operand(text: str) -> str:
    return f"({text})" if " " in text else text
