"""PromQL on what a gauge was and will be, and on series that belong together by some of their labels.

Beside `promql`, which has what rules and panels are made of; this has what conditions of alerts need besides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_dashboards.duration import format_duration
from quarterdeck_dashboards.promql import QueryError, Selector, Vector
from quarterdeck_dashboards.series import SeriesKind

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from quarterdeck_contract.labels import Label


def greatest(selector: Selector, window: timedelta, ago: timedelta | None = None) -> Vector:
    """Return the greatest value in *window*, or in the window that ended *ago*."""
    return _over("max_over_time", selector, window, ago)


def least(selector: Selector, window: timedelta) -> Vector:
    """Return the least value in *window*."""
    return _over("min_over_time", selector, window, None)


def predicted(selector: Selector, window: timedelta, ahead: timedelta) -> Vector:
    """Return the value that a gauge will have after *ahead*, if it goes on as it went in *window*."""
    inner = _gauge(selector)
    return Vector(
        f"predict_linear({inner}[{format_duration(window)}], {ahead.total_seconds():.0f})", selector.now.labels
    )


def until(vector: Vector) -> Vector:
    """Return how many seconds there are until *vector*, a Unix time."""
    return Vector(f"{vector.operand} - time()", vector.labels, is_compound=True)


def is_more_than(left: Vector, right: Vector) -> Vector:
    """Keep the samples of *left* that are greater than that of *right* with the same labels."""
    if left.labels != right.labels:
        raise QueryError(f"expected the same labels in {left} and {right}")
    return Vector(f"{left.operand} > {right.operand}", left.labels, is_compound=True)


def shared(left: Vector, right: Vector, on: Sequence[Label]) -> Vector:
    """Return *left* divided by the one sample of *right* that has the same labels *on*."""
    names = ", ".join(label.prometheus for label in on)
    return Vector(f"{left.operand} / on ({names}) group_left () {right.operand}", left.labels, is_compound=True)


def bringing(left: Vector, info: Vector, on: Sequence[Label], label: Label) -> Vector:
    """Return *left* with *label* of the one sample of *info*, whose value is 1, that has the same labels *on*."""
    names = ", ".join(each.prometheus for each in on)
    labels = None if left.labels is None else left.labels | {label.prometheus}
    text = f"{left.operand} * on ({names}) group_left ({label.prometheus}) {info.operand}"
    return Vector(text, labels, is_compound=True)


def always() -> Vector:
    """Return one sample without labels, whatever happens."""
    return Vector("vector(1)", frozenset())


def _gauge(selector: Selector) -> Selector:
    if selector.series.kind is not SeriesKind.GAUGE:
        raise QueryError(f"expected a gauge, found the {selector.series.kind.value} {selector}")
    return selector


def _over(function: str, selector: Selector, window: timedelta, ago: timedelta | None) -> Vector:
    offset = f" offset {format_duration(ago)}" if ago else ""
    return Vector(f"{function}({_gauge(selector)}[{format_duration(window)}]{offset})", selector.now.labels)
