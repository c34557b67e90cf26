"""PromQL as Datadog's metrics can be asked it: the few shapes that a rollout needs. Pure.

Datadog keeps how much a counter grew in each interval, not what it stood at, and of a distribution how many values
were up to a bound. So a counter's samples, and a histogram's buckets, can be had from it; of PromQL's functions there
are only those that add such growth up: over a window, or for a second of it.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import promql_parser as ast

from quarterdeck_contract import metrics
from quarterdeck_contract.labels import POD, TARGET_LABELS, TRACK, VERSION, Label
from quarterdeck_contract.metrics import Kind, Metric
from quarterdeck_contract.naming import prometheus_name, series_names
from quarterdeck_dashboards.check.tree import parsed
from quarterdeck_dashboards.dashboards.datadog_query import MetricQuery, Untranslatable, condition, tag
from quarterdeck_dashboards.promql import Matcher
from quarterdeck_dashboards.series import LE

if TYPE_CHECKING:
    from collections.abc import Iterator

STEP = 20
"""Seconds of an interval: a third of the SDK's export, one a minute; an hour is 180 points, and Datadog sends 1,500."""
_MOST_POINTS = 1200
"""Intervals that are asked for at most: Datadog sends 1,500 points of a series, and makes longer intervals of more."""
LOOKBACK = 300.0
"""Seconds after which a gauge's last value is no present one: Prometheus' own."""


@dataclass(frozen=True, slots=True)
class Clock:
    """What time is it there?"""


@dataclass(frozen=True, slots=True)
class Question:
    """One metric, asked for each pod."""

    metric: Metric
    conditions: tuple[str, ...]
    """In Datadog's language; all must hold."""
    track: str
    """Regular expression of the tracks that are meant, of which Datadog does not know."""
    bounds: tuple[float, ...]
    """Of a histogram: the buckets that are meant, in its unit, ascending; the last is infinite, and is all."""
    labels: tuple[Label, ...]
    """What the answer is told apart by, beside the pod."""
    known: dict[str, str]
    """Labels that all of the answer has, as Prometheus calls them: those that the question demands."""
    window: float
    """Seconds that are asked for."""
    summed: tuple[str, ...] | None = None
    """Labels, as Prometheus calls them, by which growth over the window is added up; None where samples are wanted."""
    latest: bool = False
    """Whether the last sample alone is wanted."""
    per_second: bool = False
    """Whether what is added up is divided by the seconds of the window."""
    step: int = STEP
    """Seconds of an interval."""
    whole: bool = False
    """Whether no pod is told from another: the most that all of them counted a second is wanted, in any interval."""

    @property
    def counts(self) -> bool:
        """Whether it is of what is counted, not of a present value."""
        return self.metric.kind in {Kind.COUNTER, Kind.HISTOGRAM}

    def queries(self) -> Iterator[MetricQuery]:
        """Yield what Datadog is asked: one for each bound; of what is counted, then the sum over all for each.

        The sums are not needed for an answer, but show whether everything was sent that the others asked for.
        """
        by = tuple(tag(label) for label in (POD, VERSION, *self.labels))
        if self.whole:
            yield self._counted((), math.inf)
            return
        if not self.counts:
            yield MetricQuery("max", self.metric.name, self.conditions, by, f".rollup(max, {STEP})")
            return
        for tags in (by, ()):
            for bound in self.bounds or (math.inf,):
                yield self._counted(tags, bound)

    def _counted(self, tags: tuple[str, ...], bound: float) -> MetricQuery:
        """Return the query for how many values up to *bound* were counted in each interval, told apart by *tags*."""
        aggregation = "count" if self.metric.kind is Kind.HISTOGRAM else "sum"
        suffix = f".as_count().rollup(sum, {self.step})"
        above = "" if math.isinf(bound) else f"v: v<={bound:g}"
        return MetricQuery(aggregation, self.metric.name, self.conditions, tags, suffix, above)


def question(promql: str, scope: tuple[str, ...]) -> Clock | Question:
    """Return what *promql* asks; *scope* are conditions in Datadog's language that hold beside its own.

    Raises:
        Untranslatable: Datadog cannot be asked that.
    """
    try:
        tree = parsed(promql)
    except ValueError as error:
        raise Untranslatable(f"it is no PromQL: {error}") from error
    match tree:
        case ast.Call() if tree.func.name == "time":
            return Clock()
        case ast.MatrixSelector():
            return _asked(tree.vector_selector, tree.range.total_seconds(), scope)
        case ast.VectorSelector():
            return _asked(tree, LOOKBACK, scope, latest=True)
        case ast.AggregateExpr() if _is_by(tree) and (grown := _grown(tree)) is not None:
            (matrix,), by = grown.args, tree.modifier
            summed, per_second = tuple(by.labels) if by else (), grown.func.name == "rate"
            found = _asked(matrix.vector_selector, matrix.range.total_seconds(), scope, summed=summed)
            return replace(found, per_second=per_second)
        case ast.Call() if tree.func.name == "max_over_time" and (grown := _of_subquery(tree)) is not None:
            subquery: Any = tree.args[0]
            asked = _asked(grown.args[0].vector_selector, subquery.range.total_seconds(), scope, summed=())
            step = max(STEP, math.ceil(asked.window / _MOST_POINTS / 300) * 300)
            return replace(asked, bounds=(), whole=True, step=step)
    raise Untranslatable("it is neither a selector, nor a sum of increases or rates, nor the most of one, nor the time")


def _asked(
    selector: Any,
    window: float,
    scope: tuple[str, ...],
    *,
    summed: tuple[str, ...] | None = None,
    latest: bool = False,
) -> Question:
    metric, is_bucket = _metric(selector.name or "")
    known = {label.prometheus: label for label in (*TARGET_LABELS, *metric.labels, *([LE] if is_bucket else ()))}
    conditions, exact, track, bounds = list(scope), {}, ".*", _bounds(metric, None) if is_bucket else ()
    for matcher in selector.matchers.matchers:
        label = known.get(matcher.name)
        if label is None:
            raise Untranslatable(f"{metric.name} has no label {matcher.name}")
        said = Matcher(label, _OPERATORS[str(matcher.op)], matcher.value)
        if label is LE:
            bounds = _bounds(metric, said)
        elif label is TRACK:
            track = _track(said)
        else:
            conditions.append(condition(said))
            if said.operator == "=":
                exact[label.prometheus] = said.value
    wanted = metric.labels if summed is None else [each for each in metric.labels if each.prometheus in summed]
    own = tuple(dict.fromkeys(conditions))
    return Question(metric, own, track, bounds, tuple(wanted), exact, window, summed, latest)


_OPERATORS = {"MatchOp.Equal": "=", "MatchOp.NotEqual": "!=", "MatchOp.Re": "=~", "MatchOp.NotRe": "!~"}


def _metric(name: str) -> tuple[Metric, bool]:
    """Return the contract's metric that has the series *name*, and whether they are its buckets."""
    for metric in metrics.ALL:
        if metric.kind is Kind.HISTOGRAM:
            buckets, _, count = series_names(metric)
            if name in {buckets, count}:
                return metric, name == buckets
        elif name == prometheus_name(metric):
            return metric, False
    raise Untranslatable(f"no metric of the contract has the series {name!r} there")


def _bounds(metric: Metric, matcher: Matcher | None) -> tuple[float, ...]:
    """Return the buckets that *matcher* means; all of them without one. What counts all is always asked for."""
    every = (*metric.buckets, math.inf)
    if matcher is None:
        return every
    if matcher.operator not in {"=", "=~"}:
        raise Untranslatable(f"the buckets are not named one by one: {matcher}")
    pattern = re.escape(matcher.value) if matcher.operator == "=" else matcher.value
    return tuple(bound for bound in every if math.isinf(bound) or any(re.fullmatch(pattern, s) for s in spelt(bound)))


def spelt(bound: float) -> tuple[str, ...]:
    """Return how a bucket's bound may be written, as Prometheus 3 does first.

    >>> spelt(1), spelt(0.25), spelt(math.inf)
    (('1.0', '1'), ('0.25', '0.25'), ('+Inf',))
    """
    return ("+Inf",) if math.isinf(bound) else (str(float(bound)), f"{bound:g}")


def _track(matcher: Matcher) -> str:
    if matcher.operator not in {"=", "=~"}:
        raise Untranslatable(f"the tracks are not named: {matcher}")
    return re.escape(matcher.value) if matcher.operator == "=" else matcher.value


def _is_by(tree: Any) -> bool:
    return tree.modifier is not None and str(tree.modifier.type) == "AggModifierType.By"


def _grown(tree: Any) -> Any:
    """Return the increase or the rate that *tree* is the sum of; None when it is no such sum."""
    if not isinstance(tree, ast.AggregateExpr) or str(tree.op) != "sum" or not isinstance(tree.expr, ast.Call):
        return None
    call: Any = tree.expr
    is_growth = call.func.name in {"increase", "rate"} and isinstance(call.args[0], ast.MatrixSelector)
    return call if is_growth else None


def _of_subquery(tree: Any) -> Any:
    """Return the rate whose sum over everything *tree* takes the most of; None when it is something else."""
    subquery = tree.args[0]
    if not isinstance(subquery, ast.SubqueryExpr) or getattr(subquery.expr, "modifier", None) is not None:
        return None
    grown = _grown(subquery.expr)
    return grown if grown is not None and grown.func.name == "rate" else None
