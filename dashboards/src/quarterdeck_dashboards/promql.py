"""PromQL built from known series: a label or metric that does not exist is an error where the query is written.

Expressions are immutable values with Python's operators; `str()` renders them, always alike. The labels an
expression can have are carried along, so that aggregating by a label it lost is refused too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quarterdeck_contract.labels import Label
from quarterdeck_dashboards.duration import format_duration
from quarterdeck_dashboards.series import LE, Series, SeriesKind

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta


class QueryError(ValueError):
    """A query that could never have data: a mistake in the code that builds it, not in a user's input."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """A condition on one label."""

    label: Label
    operator: str
    """`=`, `!=`, `=~` or `!~`."""
    value: str

    def __str__(self) -> str:
        escaped = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'{self.label.prometheus}{self.operator}"{escaped}"'


def equals(label: Label, value: str) -> Matcher:
    """Match series whose *label* is *value*."""
    if label.values and value not in label.values:
        raise QueryError(f"expected one of {', '.join(label.values)} for the label {label.name}, found {value!r}")
    return Matcher(label, "=", value)


def matches(label: Label, pattern: str) -> Matcher:
    """Match series whose *label* is matched, as a whole, by the regular expression *pattern*."""
    return Matcher(label, "=~", pattern)


def lacks(label: Label, pattern: str) -> Matcher:
    """Match series whose *label* is not matched by the regular expression *pattern*."""
    return Matcher(label, "!~", pattern)


def has(label: Label) -> Matcher:
    """Match series whose *label* is there and not empty."""
    return Matcher(label, "!=", "")


@dataclass(frozen=True, slots=True)
class Vector:
    """An expression that yields an instant vector."""

    text: str
    labels: frozenset[str] | None
    """The labels its samples can have, in Prometheus' spelling; None when unknown."""
    is_compound: bool = False
    """A binary operation: in parentheses when it becomes an operand."""

    def __str__(self) -> str:
        return self.text

    @property
    def operand(self) -> str:
        """The text as it stands inside another expression."""
        return f"({self.text})" if self.is_compound else self.text

    def __truediv__(self, other: Vector | float) -> Vector:
        if isinstance(other, Vector):
            return _binary(self, "/", other)
        return Vector(f"{self.operand} / {_number(other)}", self.labels, is_compound=True)

    def __sub__(self, other: Vector) -> Vector:
        return _binary(self, "-", other)

    def __add__(self, other: Vector | float) -> Vector:
        if isinstance(other, Vector):
            return _binary(self, "+", other)
        return Vector(f"{self.operand} + {_number(other)}", self.labels, is_compound=True)

    def __and__(self, other: Vector) -> Vector:
        return _binary(self, "and", other)

    def __or__(self, other: Vector) -> Vector:
        return _binary(self, "\nor\n", other)

    def unless(self, other: Vector) -> Vector:
        """Return the samples for which *other* has none."""
        return _binary(self, "unless", other)

    def __mul__(self, number: float) -> Vector:
        return Vector(f"{self.operand} * {_number(number)}", self.labels, is_compound=True)

    def __gt__(self, number: float) -> Vector:
        return Vector(f"{self.operand} > {_number(number)}", self.labels, is_compound=True)

    def __ge__(self, number: float) -> Vector:
        return Vector(f"{self.operand} >= {_number(number)}", self.labels, is_compound=True)

    def __lt__(self, number: float) -> Vector:
        return Vector(f"{self.operand} < {_number(number)}", self.labels, is_compound=True)

    def __rsub__(self, number: float) -> Vector:
        return Vector(f"{_number(number)} - {self.operand}", self.labels, is_compound=True)

    def sum_each(self, step: timedelta, window: timedelta) -> Vector:
        """Return the sum of this expression's values at every multiple of *step* within *window*.

        Prometheus aligns the steps of a subquery to whole multiples since 1970, in UTC, whenever it is asked.
        """
        return Vector(f"sum_over_time({self.operand}[{format_duration(window)}:{format_duration(step)}])", self.labels)

    def is_equal_to(self, number: float) -> Vector:
        """Keep the samples whose value is *number*."""
        return Vector(f"{self.operand} == {_number(number)}", self.labels, is_compound=True)


@dataclass(frozen=True, slots=True)
class Selector:
    """The time series of one name that fulfil every matcher."""

    series: Series
    matchers: tuple[Matcher, ...] = ()

    def where(self, *matchers: Matcher) -> Selector:
        """Return this selector with more conditions.

        Raises:
            QueryError: the series has no such label, or no such bucket.
        """
        for matcher in matchers:
            _check_matcher(self.series, matcher)
        return Selector(self.series, (*self.matchers, *matchers))

    def __str__(self) -> str:
        inside = ",".join(map(str, self.matchers))
        return f"{self.series.name}{{{inside}}}" if inside else self.series.name

    @property
    def now(self) -> Vector:
        """The current value of each series."""
        return Vector(str(self), self._labels)

    def ago(self, offset: timedelta) -> Vector:
        """Return the value that each series had *offset* ago."""
        return Vector(f"{self} offset {format_duration(offset)}", self._labels)

    def rate(self, window: timedelta) -> Vector:
        """Return the growth per second, over *window*, of counters."""
        return self._of_counter("rate", window)

    def increase(self, window: timedelta) -> Vector:
        """Return the growth, over *window*, of counters."""
        return self._of_counter("increase", window)

    def sum_over(self, window: timedelta) -> Vector:
        """Return the sum of the samples within *window* of gauges, such as recorded rates."""
        if self.series.kind is not SeriesKind.GAUGE:
            raise QueryError(f"expected a gauge to sum over time, found the {self.series.kind.value} {self}")
        return Vector(f"sum_over_time({self}[{format_duration(window)}])", self._labels)

    def absent(self) -> Vector:
        """Return 1, with the labels that are matched by equality, when no such series exists."""
        labels = frozenset(matcher.label.prometheus for matcher in self.matchers if matcher.operator == "=")
        return Vector(f"absent({self})", labels)

    def _of_counter(self, function: str, window: timedelta) -> Vector:
        if self.series.kind is SeriesKind.GAUGE:
            raise QueryError(f"expected a counter for {function}(), found the gauge {self}")
        return Vector(f"{function}({self}[{format_duration(window)}])", self._labels)

    @property
    def _labels(self) -> frozenset[str] | None:
        labels = self.series.labels
        return None if labels is None else frozenset(label.prometheus for label in labels)


def _check_matcher(series: Series, matcher: Matcher) -> None:
    name = matcher.label.prometheus
    if series.labels is not None and series.label(name) is None:
        known = ", ".join(sorted(label.prometheus for label in series.labels))
        raise QueryError(f"expected a label of {series.name} ({known}), found {name}")
    if name == LE.prometheus and matcher.operator == "=" and series.bounds and matcher.value not in series.bounds:
        raise QueryError(f"expected a bucket of {series.name} ({', '.join(series.bounds)}), found {matcher.value}")


def sum_by(labels: Sequence[Label], vector: Vector) -> Vector:
    """Return the sum of *vector* for each combination of *labels*."""
    return _aggregate("sum", labels, vector)


def max_by(labels: Sequence[Label], vector: Vector) -> Vector:
    """Return the largest value of *vector* for each combination of *labels*."""
    return _aggregate("max", labels, vector)


def min_by(labels: Sequence[Label], vector: Vector) -> Vector:
    """Return the smallest value of *vector* for each combination of *labels*."""
    return _aggregate("min", labels, vector)


def count_by(labels: Sequence[Label], vector: Vector) -> Vector:
    """Return how many samples *vector* has for each combination of *labels*."""
    return _aggregate("count", labels, vector)


def bottom(number: int, vector: Vector) -> Vector:
    """Return the *number* smallest samples of *vector*."""
    return Vector(f"bottomk({number}, {vector})", vector.labels)


def top(number: int, vector: Vector) -> Vector:
    """Return the *number* largest samples of *vector*."""
    return Vector(f"topk({number}, {vector})", vector.labels)


def quantile(share: float, vector: Vector) -> Vector:
    """Return the quantile *share* (0 to 1) of a classic histogram: rates of its buckets, with `le` kept.

    Raises:
        QueryError: `le` was lost on the way.
    """
    if vector.labels is not None and LE.prometheus not in vector.labels:
        raise QueryError(f"expected the label le for histogram_quantile, found none in {vector}")
    labels = None if vector.labels is None else vector.labels - {LE.prometheus}
    return Vector(f"histogram_quantile({_number(share)}, {vector})", labels)


def older_than(vector: Vector, seconds: float) -> Vector:
    """Return 1 where *vector*, a Unix time, is more than *seconds* ago, and 0 where it is not."""
    return Vector(f"time() - {vector.operand} > bool {_number(seconds)}", vector.labels, is_compound=True)


def is_below(vector: Vector, number: float) -> Vector:
    """Return 1 where *vector* is below *number*, and 0 where it is not."""
    return Vector(f"{vector.operand} < bool {_number(number)}", vector.labels, is_compound=True)


SELECTOR = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})?", re.DOTALL)
"""A selector as somebody writes it: the metric, and what is inside the braces."""


def selecting(text: str) -> Selector:
    """Return a selector that somebody wrote, of counters that need not be known; conditions can be added.

    >>> from quarterdeck_contract.labels import SERVICE
    >>> str(selecting('paid_total{card="visa"}').where(equals(SERVICE, "shop")))
    'paid_total{card="visa",service="shop"}'

    Raises:
        QueryError: it is not one metric with conditions.
    """
    match = SELECTOR.fullmatch(text.strip())
    if match is None:
        raise QueryError(f"expected a selector of one metric, found {text!r}")
    written = (_Written(match[2].strip().removesuffix(",")),) if match[2] and match[2].strip() else ()
    return Selector(Series(match[1], SeriesKind.COUNTER, None), written)


class _Written(Matcher):
    """Conditions as somebody wrote them."""

    def __init__(self, text: str) -> None:
        super().__init__(Label("", ""), "", text)

    def __str__(self) -> str:
        return self.value


def at_least(vector: Vector, number: float) -> Vector:
    """Return *vector* with values below *number* raised to it."""
    return Vector(f"clamp_min({vector}, {_number(number)})", vector.labels)


def _aggregate(function: str, labels: Sequence[Label], vector: Vector) -> Vector:
    names = [label.prometheus for label in labels]
    lost = [name for name in names if vector.labels is not None and name not in vector.labels]
    if lost:
        known = ", ".join(sorted(vector.labels or ()))
        raise QueryError(f"expected labels of {vector} ({known}) to aggregate by, found {', '.join(lost)}")
    grouping = f" by ({', '.join(names)}) " if names else ""
    return Vector(f"{function}{grouping}({vector})", frozenset(names))


def _binary(left: Vector, operator: str, right: Vector) -> Vector:
    if left.labels is not None and right.labels is not None and left.labels != right.labels:
        raise QueryError(
            f"expected the same labels on both sides of {operator.strip()}, "
            f"found {', '.join(sorted(left.labels))} and {', '.join(sorted(right.labels))}: no sample would match"
        )
    separator = operator if operator.startswith("\n") else f" {operator} "
    return Vector(f"{left.operand}{separator}{right.operand}", left.labels, is_compound=True)


def _number(value: float) -> str:
    return f"{value:.10g}"
