"""One PromQL query against the series that exist, by its syntax tree.

Each node yields the labels its samples can have, so that aggregating, joining or taking a quantile by a label
that was lost on the way is found as well as a misspelt one. What cannot be known is not reported.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import promql_parser as ast

from quarterdeck_dashboards.catalogue.problem import nearest, one_of
from quarterdeck_dashboards.check.tree import (
    either,
    label_set,
    matching,
    nearest_number,
    short,
    text_of,
)
from quarterdeck_dashboards.series import LE, Series, SeriesKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NAME = "__name__"
"""The label that holds a series' name."""

OF_COUNTERS = frozenset({"rate", "irate", "increase"})
"""Functions that mean something for counters only."""
OF_BUCKETS = frozenset({"histogram_quantile", "histogram_fraction"})
"""Functions that need a histogram's `le`."""
KEEPING = frozenset({"topk", "bottomk", "limitk", "limit_ratio"})
"""Aggregations that choose among the samples and keep their labels."""
SETS = frozenset({"and", "or", "unless"})
"""Binary operators on sets of samples."""
SCALARS = frozenset({"time", "pi", "scalar"})
"""Functions without labels, because they yield a number."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something in a query that cannot be as meant."""

    where: str
    """The selector or expression at fault."""
    expected: str
    found: str
    nearest: str | None = None

    def __str__(self) -> str:
        hint = f"; did you mean {self.nearest}?" if self.nearest else ""
        return f"{self.where}: expected {self.expected}, found {self.found}{hint}"


@dataclass(frozen=True, slots=True)
class Shape:
    """What is known of an expression's labels."""

    labels: frozenset[str] | None = None
    """Labels its samples can have; None when unknown."""
    is_exact: bool = False
    """Every sample has all of them: so after an aggregation."""
    is_scalar: bool = False
    """A number or text, which has no labels and goes with anything."""

    def lacks(self, label: str) -> bool:
        """Say whether no sample can have *label*."""
        return self.labels is not None and label not in self.labels


_SCALAR = Shape(frozenset(), is_exact=True, is_scalar=True)


def examine(query: str, known: Mapping[str, Series]) -> tuple[Shape, list[Fault]]:
    """Return what *query*'s samples look like and everything wrong with it, given the *known* series by name."""
    try:
        tree = ast.parse(query)
    except ValueError as error:
        return Shape(), [Fault(short(query), "PromQL", str(error))]
    walk = _Walk(known)
    return walk.shape(tree), walk.faults


@dataclass
class _Walk:
    known: Mapping[str, Series]
    faults: list[Fault] = field(default_factory=list)

    def shape(self, node: Any) -> Shape:
        """Check *node* and everything below it."""
        match node:
            case ast.VectorSelector():
                return self._selector(node)
            case ast.MatrixSelector():
                return self._selector(node.vector_selector)
            case ast.ParenExpr() | ast.UnaryExpr() | ast.SubqueryExpr():
                return self.shape(node.expr)
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
            case _:
                return _SCALAR

    def _fault(self, node: Any, expected: str, found: str, near: str | None = None) -> None:
        fault = Fault(short(text_of(node)), expected, found, near)
        if fault not in self.faults:
            self.faults.append(fault)

    # Selectors

    def _selector(self, node: Any) -> Shape:
        if node.matchers.or_matchers:  # VictoriaMetrics' dialect, which the parser reads as well
            self._fault(node, "matchers joined by commas", "or")
            return Shape()
        series = self._series_of(node)
        if not series:
            return Shape()
        for matcher in node.matchers.matchers:
            self._matcher(node, matcher, series)
        if any(each.labels is None for each in series):
            return Shape()
        return Shape(frozenset(label.prometheus for each in series for label in each.labels or ()))

    def _series_of(self, node: Any) -> list[Series]:
        """Return the known series that a selector can mean: one by name, or those its pattern matches."""
        if node.name:
            names = [node.name]
        else:
            naming = [matcher for matcher in node.matchers.matchers if matcher.name == NAME]
            if not naming:
                self._fault(node, "the name of a series", "none")
                return []
            names = [matcher.value for matcher in naming if matcher.op == ast.MatchOp.Equal]
            patterns = [matcher.value for matcher in naming if matcher.op == ast.MatchOp.Re]
            names += [name for pattern in patterns for name in matching(pattern, self.known)]
            if not names:
                self._fault(node, "a pattern that matches a known series", one_of(patterns or ["none"]))
        for name in names:
            if name not in self.known:
                expected = "a series of the contract, a recorded rule or an external list"
                self._fault(node, expected, name, nearest(name, self.known))
        return [self.known[name] for name in names if name in self.known]

    def _matcher(self, node: Any, matcher: Any, series: list[Series]) -> None:
        name = matcher.name
        if name == NAME or any(each.labels is None for each in series):
            return
        labels = [label for each in series if (label := each.label(name))]
        if not labels:
            every = {label.prometheus for each in series for label in each.labels or ()}
            which = either([each.name for each in series])
            self._fault(node, f"a label of {which}", name, nearest(name, every))
            return
        values = {value for label in labels for value in label.values}
        if name == LE.prometheus:
            values = {bound for each in series for bound in each.bounds}
        self._value(node, matcher, values)

    def _value(self, node: Any, matcher: Any, values: set[str]) -> None:
        """Check a matched value against the closed set of *values*, when there is one."""
        if not values:
            return
        if matcher.op == ast.MatchOp.Equal and matcher.value not in values:
            near = nearest_number(matcher.value, values) or nearest(matcher.value, values)
            self._fault(node, f"a value that {matcher.name} can have", repr(matcher.value), near)
        elif matcher.op == ast.MatchOp.Re and not matching(matcher.value, values):
            self._fault(node, f"a pattern that a value of {matcher.name} matches", repr(matcher.value))

    # Functions

    def _call(self, node: Any) -> Shape:
        name = node.func.name
        shapes = [self.shape(argument) for argument in node.args]
        if name in SCALARS or not shapes:
            return _SCALAR
        if name in OF_COUNTERS:
            self._counters_only(node)
        vectors = [shape for shape in shapes if not shape.is_scalar]
        first = vectors[0] if vectors else Shape(frozenset(), is_exact=True)
        if name in OF_BUCKETS:
            if first.lacks(LE.prometheus):
                self._fault(
                    node, f"the label le in the argument of {name}", "none: it is not selected, or aggregated away"
                )
            return Shape(None if first.labels is None else first.labels - {LE.prometheus})
        if name in {"label_replace", "label_join"} and first.labels is not None:
            return Shape(first.labels | {node.args[1].val})
        if name in {"absent", "absent_over_time"}:
            return self._absence(node.args[0])
        return first

    def _counters_only(self, node: Any) -> None:
        for argument in node.args:
            if isinstance(argument, ast.MatrixSelector):
                name = argument.vector_selector.name
                series = self.known.get(name or "")
                if series is not None and series.kind is SeriesKind.GAUGE:
                    self._fault(node, f"a counter in {node.func.name}()", f"the gauge {name}")

    def _absence(self, argument: Any) -> Shape:
        selector = argument.vector_selector if isinstance(argument, ast.MatrixSelector) else argument
        if not isinstance(selector, ast.VectorSelector):
            return Shape(frozenset(), is_exact=True)
        equal = (matcher.name for matcher in selector.matchers.matchers if matcher.op == ast.MatchOp.Equal)
        return Shape(frozenset(equal) - {NAME}, is_exact=True)

    # Aggregations and binary operations

    def _aggregate(self, node: Any) -> Shape:
        inner = self.shape(node.expr)
        operator = str(node.op)
        grouping = frozenset(node.modifier.labels) if node.modifier else frozenset()
        self._all_known(node, grouping, inner, "to aggregate by")
        if operator in KEEPING:
            return inner
        made = frozenset({node.param.val}) if operator == "count_values" else frozenset[str]()
        if node.modifier and node.modifier.type == ast.AggModifierType.Without:
            return Shape(None if inner.labels is None else (inner.labels - grouping) | made, inner.is_exact)
        return Shape(grouping | made, is_exact=True)

    def _all_known(self, node: Any, labels: Iterable[str], shape: Shape, purpose: str) -> None:
        for label in sorted(labels):
            if shape.lacks(label):
                self._fault(node, f"a label {purpose} that is there", label, nearest(label, shape.labels or ()))

    def _binary(self, node: Any) -> Shape:
        left, right = self.shape(node.lhs), self.shape(node.rhs)
        if left.is_scalar or right.is_scalar:
            return left if right.is_scalar else right
        operator = str(node.op)
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
