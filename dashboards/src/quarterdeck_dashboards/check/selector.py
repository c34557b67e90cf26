"""A selector against the series that exist: its name, its labels, and the values of closed sets."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import promql_parser as ast

from quarterdeck_dashboards.catalogue.problem import one_of
from quarterdeck_dashboards.check.shape import PLACEHOLDER, Fault, Setting, Shape, like
from quarterdeck_dashboards.check.tree import either, matching, nearest_number, short, text_of
from quarterdeck_dashboards.series import LE
from quarterdeck_dashboards.units import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from quarterdeck_contract.labels import Label
    from quarterdeck_dashboards.series import Series

NAME = "__name__"
"""The label that holds a series' name."""


def shape_of(node: Any, known: Mapping[str, Series], setting: Setting, report: Callable[[Fault], None]) -> Shape:
    """Return what the samples of the selector *node* look like, and *report* everything wrong with it."""
    return _Selector(node, known, setting, report).shape()


class _Selector:
    def __init__(
        self, node: Any, known: Mapping[str, Series], setting: Setting, report: Callable[[Fault], None]
    ) -> None:
        self._node = node
        self._known = known
        self._setting = setting
        self._report = report

    def shape(self) -> Shape:
        if self._node.matchers.or_matchers:  # VictoriaMetrics' dialect, which the parser reads as well
            self._fault("matchers joined by commas", "or")
            return Shape()
        series = self._series()
        if not series:
            return Shape()
        labels = [_labels(each) for each in series]
        for matcher in self._node.matchers.matchers:
            self._matcher(matcher, series, labels)
        of_all = series[0].values if all(each.values == series[0].values for each in series[1:]) else UNKNOWN
        if any(each.labels is None for each in series):
            return Shape(values=of_all)
        return Shape(frozenset(name for each in labels for name in each), values=of_all)

    def _fault(self, expected: str, found: str, near: str | None = None) -> None:
        self._report(Fault(short(text_of(self._node)), expected, found, near))

    def _series(self) -> list[Series]:
        """Return the known series that it can mean: one by name, or those its pattern matches."""
        if self._node.name:
            names = [self._node.name]
        else:
            naming = [matcher for matcher in self._node.matchers.matchers if matcher.name == NAME]
            if not naming:
                self._fault("the name of a series", "none")
                return []
            if any(PLACEHOLDER in matcher.value for matcher in naming):
                return []
            names = [matcher.value for matcher in naming if matcher.op == ast.MatchOp.Equal]
            patterns = [matcher.value for matcher in naming if matcher.op == ast.MatchOp.Re]
            names += [name for pattern in patterns for name in matching(pattern, self._known)]
            if not names:
                self._fault("a pattern that matches a known series", one_of(patterns or ["none"]))
        for name in names:
            if name not in self._known and PLACEHOLDER not in name:
                self._unknown(name)
        return [self._known[name] for name in names if name in self._known]

    def _unknown(self, name: str) -> None:
        if right := self._setting.elsewhere.get(name):
            self._fault(f"the name that it has {self._setting.path}", name, right)
            return
        self._fault("a series of the contract, a recorded rule or an external list", name, like(name, self._known))

    def _matcher(self, matcher: Any, series: list[Series], by_name: list[dict[str, Label]]) -> None:
        name = matcher.name
        if name == NAME or PLACEHOLDER in name or any(each.labels is None for each in series):
            return
        labels = [label for each in by_name if (label := each.get(name))]
        if not labels:
            every = dict.fromkeys(name for each in by_name for name in each)
            which = either([each.name for each in series])
            self._fault(f"a label of {which}", name, self._setting.elsewhere.get(name) or like(name, every))
            return
        values = {value for label in labels for value in label.values}
        if name == LE.prometheus:
            values = {bound for each in series for bound in each.bounds}
        self._value(matcher, values)

    def _value(self, matcher: Any, values: set[str]) -> None:
        """Check a matched value against the closed set of *values*, when there is one."""
        if not values or PLACEHOLDER in matcher.value:
            return
        if matcher.op == ast.MatchOp.Equal and matcher.value and matcher.value not in values:
            near = nearest_number(matcher.value, values) or like(matcher.value, sorted(values))
            self._fault(f"a value that {matcher.name} can have", repr(matcher.value), near)
        elif matcher.op == ast.MatchOp.Re and not matching(matcher.value, {*values, ""}):
            self._fault(f"a pattern that a value of {matcher.name} matches", repr(matcher.value))


@lru_cache(maxsize=8192)
def _labels(series: Series) -> dict[str, Label]:
    """Return the labels of *series* by their name in Prometheus: asked for by every selector."""
    return {label.prometheus: label for label in series.labels or ()}
