"""One PromQL query against the series that exist, by its syntax tree.

Each node yields what its samples can look like, so that aggregating, joining or taking a quantile by a label
that was lost on the way is found as well as a misspelt one. What cannot be known is not reported.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import promql_parser as ast

from quarterdeck_dashboards.check import arithmetic, selector
from quarterdeck_dashboards.check.selector import NAME
from quarterdeck_dashboards.check.shape import HERE, PLACEHOLDER, SCALAR, Fault, Setting, Shape, like
from quarterdeck_dashboards.check.tree import label_set, parsed, short, text_of
from quarterdeck_dashboards.duration import format_duration
from quarterdeck_dashboards.series import LE, Series, SeriesKind
from quarterdeck_dashboards.units import SECONDS, UNKNOWN, Values

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Fault", "Setting", "Shape", "examine"]

OF_COUNTERS = frozenset({"rate", "irate", "increase", "resets"})
"""Functions that mean something for counters only."""
OF_GAUGES = frozenset({"delta", "idelta", "deriv", "predict_linear", "double_exponential_smoothing", "holt_winters"})
"""Functions that mean something for gauges only: a counter begins anew with each process."""
OF_RATES = frozenset({"rate", "increase", "deriv", "delta"})
"""Functions of a window that must span several scrapes, or they yield nothing whenever one is late."""
OF_BUCKETS = frozenset({"histogram_quantile", "histogram_fraction"})
"""Functions that need a histogram's `le`."""
OF_NATIVE = frozenset({"histogram_avg", "histogram_count", "histogram_sum", "histogram_stddev", "histogram_stdvar"})
"""Functions of native histograms, which nothing here emits."""
KEEPING = frozenset({"topk", "bottomk", "limitk", "limit_ratio"})
"""Aggregations that choose among the samples and keep their labels."""
SETS = frozenset({"and", "or", "unless"})
"""Binary operators on sets of samples."""
SCALARS = frozenset({"pi", "scalar", "step"})
"""Functions without labels, because they yield a number."""


def examine(query: str, known: Mapping[str, Series], setting: Setting = HERE) -> tuple[Shape, list[Fault]]:
    """Return what *query*'s samples look like and everything wrong with it, given the *known* series by name."""
    try:
        tree = parsed(query)
        walk = _Walk(known, setting)
        return walk.shape(tree), walk.faults
    except ValueError as error:
        return Shape(), [Fault(short(query), "PromQL", str(error))]
    except RecursionError:  # a row of some hundred operators
        return Shape(), [Fault(short(query), "PromQL", "too many operators in one expression")]


@dataclass
class _Walk:
    known: Mapping[str, Series]
    setting: Setting
    faults: list[Fault] = field(default_factory=list)

    def shape(self, node: Any) -> Shape:
        """Check *node* and everything below it."""
        match node:
            case ast.VectorSelector():
                return self._selector(node)
            case ast.MatrixSelector():
                return self._selector(node.vector_selector)
            case ast.ParenExpr() | ast.SubqueryExpr():
                return self.shape(node.expr)
            case ast.UnaryExpr():
                return self._negated(self.shape(node.expr))
            case _:
                return self._operation(node)

    def _operation(self, node: Any) -> Shape:
        match node:
            case ast.Call():
                return self._call(node)
            case ast.AggregateExpr():
                return self._aggregate(node)
            case ast.BinaryExpr():
                return self._binary(node)
            case ast.NumberLiteral():
                return replace(SCALAR, number=node.val)
            case _:
                return SCALAR

    def _negated(self, shape: Shape) -> Shape:
        number = None if shape.number is None else -shape.number
        return replace(shape, number=number, values=replace(shape.values, greatest=None))

    def _selector(self, node: Any) -> Shape:
        return selector.shape_of(node, self.known, self.setting, self._report)

    def _fault(self, node: Any, expected: str, found: str, near: str | None = None) -> None:
        self._report(Fault(short(text_of(node)), expected, found, near))

    def _report(self, fault: Fault) -> None:
        if fault not in self.faults:
            self.faults.append(fault)

    # Functions

    def _call(self, node: Any) -> Shape:
        name = node.func.name
        shapes = [self.shape(argument) for argument in node.args]
        if name == "time":
            return replace(SCALAR, values=Values(SECONDS))
        if name in SCALARS or not shapes:
            return SCALAR
        vectors = [shape for shape in shapes if not shape.is_scalar]
        first = vectors[0] if vectors else Shape(frozenset(), is_exact=True, number=shapes[0].number)
        for argument in node.args:
            if isinstance(argument, ast.MatrixSelector):
                self._ranged(node, argument)
        if name in OF_NATIVE and first.values != UNKNOWN:
            self._fault(node, f"a native histogram in {name}()", f"{text_of(node.args[0])}, which is none")
        return replace(self._labelled(node, name, first), values=arithmetic.of_call(name, first.values))

    def _labelled(self, node: Any, name: str, first: Shape) -> Shape:
        """Return the labels of a call's samples."""
        if name in OF_BUCKETS:
            if first.lacks(LE.prometheus):
                self._fault(
                    node, f"the label le in the argument of {name}", "none: it is not selected, or aggregated away"
                )
            return Shape(None if first.labels is None else first.labels - {LE.prometheus})
        if name in {"label_replace", "label_join"} and first.labels is not None:
            self._sources(node, name, first)
            return Shape(first.labels | {node.args[1].val})
        if name in {"absent", "absent_over_time"}:
            return self._absence(node.args[0])
        return Shape(None) if name == "info" else first

    def _sources(self, node: Any, name: str, shape: Shape) -> None:
        """Check the labels that a new one is made of."""
        sources = node.args[3:4] if name == "label_replace" else node.args[3:]
        self._all_known(node, [each.val for each in sources if each.val], shape, "to make another of")

    def _ranged(self, node: Any, argument: Any) -> None:
        """Check a function of a window of raw samples."""
        name = node.func.name
        series = self.known.get(argument.vector_selector.name or "")
        if series is not None:
            is_gauge = series.kind is SeriesKind.GAUGE
            if name in OF_COUNTERS and is_gauge:
                self._fault(node, f"a counter in {name}()", f"the gauge {series.name}")
            if name in OF_GAUGES and not is_gauge:
                self._fault(node, f"a gauge in {name}()", f"the counter {series.name}", "rate")
        least = self.setting.rate_window
        if name in OF_RATES and least is not None and argument.range < least:
            expected = f"a window of at least {format_duration(least)}, four scrapes, in {name}()"
            self._fault(node, expected, format_duration(argument.range))

    def _absence(self, argument: Any) -> Shape:
        selecting = argument.vector_selector if isinstance(argument, ast.MatrixSelector) else argument
        if not isinstance(selecting, ast.VectorSelector):
            return Shape(frozenset(), is_exact=True)
        equal = (matcher.name for matcher in selecting.matchers.matchers if matcher.op == ast.MatchOp.Equal)
        return Shape(frozenset(equal) - {NAME}, is_exact=True)

    # Aggregations and binary operations

    def _aggregate(self, node: Any) -> Shape:
        inner = self.shape(node.expr)
        operator = str(node.op)
        if node.param is not None and not isinstance(node.param, ast.StringLiteral):
            self.shape(node.param)
        if operator in arithmetic.SUMMING and inner.values.average:
            self._fault(node, "numbers whose sum means something", f"{inner.values.average} of each", "max or avg")
        if operator in KEEPING:
            self._grouping(node, inner)
            return inner
        return replace(self._grouped(node, operator, inner), values=arithmetic.of_aggregation(operator, inner.values))

    def _grouping(self, node: Any, inner: Shape) -> frozenset[str]:
        grouping = frozenset[str](node.modifier.labels) if node.modifier else frozenset[str]()
        self._all_known(node, grouping, inner, "to aggregate by")
        return grouping

    def _grouped(self, node: Any, operator: str, inner: Shape) -> Shape:
        grouping = self._grouping(node, inner)
        if any(PLACEHOLDER in label for label in grouping):
            return Shape()
        grouping = frozenset(label for label in grouping if not inner.lacks(label))
        made = frozenset({node.param.val}) if operator == "count_values" else frozenset[str]()
        if node.modifier and node.modifier.type == ast.AggModifierType.Without:
            return Shape(None if inner.labels is None else (inner.labels - grouping) | made, inner.is_exact)
        return Shape(grouping | made, is_exact=True)

    def _all_known(self, node: Any, labels: Iterable[str], shape: Shape, purpose: str) -> None:
        for label in sorted(labels):
            if shape.lacks(label):
                near = self.setting.elsewhere.get(label) or like(label, sorted(shape.labels or ()))
                self._fault(node, f"a label {purpose} that is there", label, near)

    def _binary(self, node: Any) -> Shape:
        left, right = self.shape(node.lhs), self.shape(node.rhs)
        symbol = str(node.op)
        is_bool = bool(node.modifier and node.modifier.return_bool)
        self._units(node, symbol, left, right)
        values = arithmetic.of_operation(symbol, left, right, is_bool=is_bool)
        number = arithmetic.folded(symbol, left.number, right.number)
        return replace(self._combined(node, symbol, left, right), values=values, number=number)

    def _units(self, node: Any, symbol: str, left: Shape, right: Shape) -> None:
        """Check that both sides can be added or compared, and that a threshold can be reached."""
        units = (left.values.unit, right.values.unit)
        if symbol in arithmetic.ADDING and units[0] and units[1] and not units[0].goes_with(units[1]):
            self._fault(node, f"one unit on both sides of {symbol}", f"{units[0]} and {units[1]}")
        mirrored = {">": "<", "<": ">", ">=": "<=", "<=": ">="}
        for side, other, compared in ((left, right, symbol), (right, left, mirrored.get(symbol, symbol))):
            if not side.is_scalar and other.number is not None:
                wrong = arithmetic.unreachable(compared, side.values, other.number)
                if wrong is not None:
                    self._fault(node, *wrong)

    def _combined(self, node: Any, operator: str, left: Shape, right: Shape) -> Shape:
        """Return the labels of a binary operation's samples."""
        if left.is_scalar or right.is_scalar:
            return left if right.is_scalar else right
        matching = node.modifier.matching if node.modifier else None
        if matching is not None:
            return self._joined(node, left, right, operator)
        if operator == "or":
            both = None if left.labels is None or right.labels is None else left.labels | right.labels
            return Shape(both, left.is_exact and left.labels == right.labels)
        if left.is_exact and right.is_exact and left.labels != right.labels:
            expected = f"the same labels on both sides of {operator}, or on(…)"
            self._fault(node, expected, f"{label_set(left.labels)} and {label_set(right.labels)}, which never match")
        if operator in SETS or left.labels is None or right.labels is None:
            return left
        return Shape(left.labels & right.labels, left.is_exact and right.is_exact)

    def _joined(self, node: Any, left: Shape, right: Shape, operator: str) -> Shape:
        """Check `on(…)` or `ignoring(…)`, with what `group_left(…)` brings along."""
        modifier = node.modifier
        names = frozenset(modifier.matching.labels)
        is_on = modifier.matching.type == ast.LabelModifierType.Include
        if is_on:
            for side in (left, right):
                self._all_known(node, names, side, "to match on")
        if operator in SETS:
            return left if operator != "or" else Shape()
        brought = frozenset(modifier.group_labels or ())
        if modifier.card == ast.VectorMatchCardinality.ManyToOne:
            self._all_known(node, brought, right, "to bring along")
            return Shape(None if left.labels is None else left.labels | brought)
        if modifier.card == ast.VectorMatchCardinality.OneToMany:
            self._all_known(node, brought, left, "to bring along")
            return Shape(None if right.labels is None else right.labels | brought)
        if is_on:
            return Shape(names, is_exact=True)
        return Shape(None if left.labels is None else left.labels - names, left.is_exact)
