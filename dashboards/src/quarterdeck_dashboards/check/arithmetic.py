"""Units and meaning of numbers through functions, aggregations and operators: what may be compared and summed."""

from __future__ import annotations

import math
import operator
from dataclasses import replace
from typing import TYPE_CHECKING

from quarterdeck_dashboards.units import COUNTED, NONE, SECONDS, TRUTH, UNKNOWN, Part, Values

if TYPE_CHECKING:
    from collections.abc import Callable

    from quarterdeck_dashboards.check.shape import Shape
    from quarterdeck_dashboards.units import Unit

PER_SECOND = frozenset({"rate", "irate", "deriv"})
GROWTH = frozenset({"increase", "delta", "idelta"})
_BEYOND = GROWTH | {"predict_linear", "double_exponential_smoothing", "holt_winters"}
"""Functions whose result is in the argument's unit, and can be greater than it."""
_KEEPING = frozenset(
    {
        *("abs", "ceil", "clamp", "clamp_max", "clamp_min", "floor", "round", "sort", "sort_desc"),
        *("sort_by_label", "sort_by_label_desc", "label_replace", "label_join", "last_over_time", "first_over_time"),
        *("min_over_time", "max_over_time", "avg_over_time", "quantile_over_time", "vector", "scalar", "info"),
    }
)
"""Functions whose result is in the argument's unit, and no greater where that one is."""
_FIXED = {
    "histogram_fraction": Values(NONE, greatest=1.0, average="a share"),
    **dict.fromkeys(("changes", "resets", "count_over_time", "present_over_time"), COUNTED),
    **dict.fromkeys(("absent", "absent_over_time"), TRUTH),
    **dict.fromkeys(
        ("timestamp", *(f"ts_of_{which}_over_time" for which in ("first", "last", "max", "min"))), Values(SECONDS)
    ),
}
"""Functions whose result is the same thing, whatever they are asked of."""
SUMMING = frozenset({"sum"})
_CHOOSING = frozenset({"min", "max", "avg", "topk", "bottomk", "limitk", "limit_ratio", "quantile"})
COMPARISONS = frozenset({"==", "!=", ">", "<", ">=", "<="})
ADDING = frozenset({"+", "-"}) | COMPARISONS
"""Operators both of whose sides must be in one unit."""
_MOST_OF_BOUND = 10
"""A mean above so many times the highest bucket is taken for another unit: a histogram's bounds span what matters."""


def of_call(name: str, first: Values) -> Values:
    """Return what a function's numbers are, given those of its vector."""
    if name in PER_SECOND:
        return Values(first.unit / SECONDS if first.unit else None, None, "", first.part, first.measured, first.bound)
    if name in _BEYOND:
        return replace(first, greatest=None)
    if name == "histogram_quantile":
        return Values(first.measured, greatest=first.bound, average="a quantile" if first.measured else "")
    if name == "sum_over_time":
        return Values(first.unit, part=first.part, measured=first.measured, bound=first.bound)
    return first if name in _KEEPING else _FIXED.get(name, UNKNOWN)


def of_aggregation(name: str, inner: Values) -> Values:
    """Return what an aggregation's numbers are."""
    if name in SUMMING:
        return replace(inner, greatest=None)
    if name in _CHOOSING:
        return inner
    if name in {"count", "count_values", "group"}:
        return COUNTED
    return Values(inner.unit) if name == "stddev" else UNKNOWN


def of_operation(symbol: str, left: Shape, right: Shape, *, is_bool: bool) -> Values:
    """Return what the numbers of `left symbol right` are."""
    if symbol in COMPARISONS:
        return TRUTH if is_bool or (left.is_scalar and right.is_scalar) else _kept(left, right)
    if symbol in {"and", "unless"}:
        return left.values
    if symbol == "or":
        return left.values if left.values == right.values else _agreed(left.values, right.values)
    if symbol in {"*", "/"}:
        return _product(symbol, left, right)
    if symbol in {"+", "-"}:
        return Values(left.values.unit or right.values.unit if _are_known(left, right) else None)
    return UNKNOWN


def _are_known(left: Shape, right: Shape) -> bool:
    """Say whether each side has a unit, or is a plain number."""
    return all(side.values.unit is not None or side.number is not None for side in (left, right))


def _kept(left: Shape, right: Shape) -> Values:
    return right.values if left.is_scalar else left.values


def _agreed(left: Values, right: Values) -> Values:
    if left.unit is None or right.unit is None or not left.unit.goes_with(right.unit):
        return UNKNOWN
    both = left.greatest is not None and right.greatest is not None
    return Values(left.unit, max(left.greatest or 0, right.greatest or 0) if both else None)


def _product(symbol: str, left: Shape, right: Shape) -> Values:
    number = right.number if right.number is not None else left.number
    if number is not None and not (symbol == "/" and left.number is not None):
        vector = left.values if right.number is not None else right.values
        factor = 1 / number if symbol == "/" and number else number
        greatest = vector.greatest * factor if vector.greatest is not None and factor > 0 else None
        return replace(vector, unit=vector.unit.times(factor) if vector.unit else None, greatest=greatest)
    if left.values.unit is None or right.values.unit is None:
        return UNKNOWN
    if symbol == "*":
        return Values(left.values.unit * right.values.unit)
    unit = left.values.unit / right.values.unit
    if (left.values.part, right.values.part) == (Part.SUM, Part.COUNT) and left.values.measured:
        bound = left.values.bound
        return Values(unit, bound * _MOST_OF_BOUND if bound is not None else None, "a mean")
    return Values(unit)


_FOLDED: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "^": math.pow,
}


def folded(symbol: str, left: float | None, right: float | None) -> float | None:
    """Return the number that arithmetic on two literals makes, or None."""
    if left is None or right is None or symbol not in _FOLDED:
        return None
    try:
        return _FOLDED[symbol](left, right)
    except (ArithmeticError, ValueError):
        return None


def unreachable(symbol: str, values: Values, threshold: float) -> tuple[str, str, str | None] | None:
    """Return what was expected, found and probably meant, when no value ever comes to *threshold*.

    Args:
        symbol: the comparison, with the values on its left.
        values: what is compared.
        threshold: with what.
    """
    greatest = values.greatest
    if greatest is None or symbol not in COMPARISONS:
        return None
    if threshold < greatest or (threshold == greatest and symbol != ">"):
        return None
    bound = "less than" if symbol == ">" else "at most"
    return f"a threshold of {bound} {_shown(greatest, values.unit)}", f"{threshold:g}", _meant(values, threshold)


def _meant(values: Values, threshold: float) -> str | None:
    """Return *threshold* in the right unit, if it makes sense in one of those that are often mistaken for it."""
    for factor, name in _MISTAKEN.get(str(values.unit), ()):
        if values.greatest is not None and values.greatest >= threshold / factor:
            return f"{threshold / factor:g}, which is {threshold:g} {name}"
    return None


_MISTAKEN = {"s": ((1e3, "ms"), (1e6, "us")), "ms": ((1e3, "us"),), "1": ((1e2, "percent"),)}
"""Unit → what a threshold is often in instead, with how many of those one is."""


def _shown(number: float, unit: Unit | None) -> str:
    return f"{number:g}" if unit is None or unit == NONE else f"{number:g} {unit}"
