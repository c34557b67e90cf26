"""Datadog's metric queries as a syntax tree: formulas, functions, filters, and a monitor's comparison.

Source of the grammar: https://docs.datadoghq.com/dashboards/querying/, /metrics/advanced-filtering/,
/monitors/types/metric/ and /dashboards/functions/.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

_COMPARISON = ("<=", ">=", "<", ">")


class DatadogSyntaxError(ValueError):
    """What was expected, and what stands there instead."""

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(f"expected {expected}, found {found}")
        self.expected = expected
        self.found = found


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition of a filter."""

    tag: str
    """Its key; empty when a template variable stands for the whole condition, or a tag has no value."""
    values: tuple[str, ...]
    """One of them, or none of them, `*` standing for any characters."""


@dataclass(frozen=True, slots=True)
class Query:
    """`aggregation:metric{filter} by {tags}.method()`."""

    text: str
    aggregation: str
    metric: str
    conditions: tuple[Condition, ...]
    by: tuple[str, ...]
    methods: tuple[str, ...]
    """Names of the functions after a dot: `as_rate`, `rollup`."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number, or a text or keyword among a function's arguments, which has none."""

    value: float | None


@dataclass(frozen=True, slots=True)
class Name:
    """Another query, by the name that a formula calls it."""

    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """A function of expressions."""

    text: str
    name: str
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """Arithmetic, or a comparison with a threshold."""

    text: str
    symbol: str
    left: Expression
    right: Expression


Expression: TypeAlias = Query | Number | Name | Call | Operation


def parse(text: str) -> Expression:
    """Return the tree of a query, a formula or a monitor's query.

    >>> parse("sum:jobs.done{env:prod} by {queue}.as_rate()").methods
    ('as_rate',)

    Raises:
        DatadogSyntaxError: it is none.
    """
    return _Parser(text).whole()


_EVALUATION = re.compile(r"\s*[a-z_]+\((?:[^()]|\([^()]*\))*\blast_[^()]*\)\s*:")
"""What a monitor's query begins with: how the values of its window become one."""
_AGGREGATION = re.compile(r"([a-z]+[0-9]*(?:\.[0-9]+)?)\s*(?:\(\s*v\s*:[^)]*\))?\s*:\s*(?=[A-Za-z])")
_METRIC = re.compile(r"[A-Za-z][\w./-]*(?=\s*\{)")
_WORD = re.compile(r"[A-Za-z_$][\w.$]*")
_NUMBER = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_TEXT = re.compile(r"'[^']*'|\"[^\"]*\"")
_BY = re.compile(r"\s*by\s*\{([^{}]*)\}")
_METHOD = re.compile(r"\s*\.\s*([a-z_]+)\(([^()]*)\)")


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def whole(self) -> Expression:
        if match := _EVALUATION.match(self._text):
            self._at = match.end()
        tree = self._sum()
        if symbol := self._taken(*_COMPARISON):
            tree = Operation(self._text.strip(), symbol, tree, self._sum())
        self._end()
        return tree

    def _sum(self) -> Expression:
        return self._chain(("+", "-"), self._product)

    def _product(self) -> Expression:
        return self._chain(("*", "/"), self._operand)

    def _chain(self, symbols: tuple[str, ...], part: Callable[[], Expression]) -> Expression:
        start = self._skipped()
        tree = part()
        while symbol := self._taken(*symbols):
            right = part()
            tree = Operation(self._text[start : self._at].strip(), symbol, tree, right)
        return tree

    def _operand(self) -> Expression:
        start = self._skipped()
        if self._taken("-"):
            return Operation(self._text[start : self._at], "-", Number(0.0), self._operand())
        if self._taken("("):
            tree = self._sum()
            self._expect(")")
            self._methods()
            return tree
        if match := _NUMBER.match(self._text, self._at):
            self._at = match.end()
            return Number(float(match[0]))
        if match := _TEXT.match(self._text, self._at):
            self._at = match.end()
            return Number(None)
        if _AGGREGATION.match(self._text, self._at) or _METRIC.match(self._text, self._at):
            return self._query(start)
        return self._named(start)

    def _named(self, start: int) -> Expression:
        match = _WORD.match(self._text, self._at)
        if match is None:
            raise DatadogSyntaxError("a query, a number or a function", self._here())
        self._at = match.end()
        if not self._taken("("):
            return Name(match[0])
        arguments = []
        while not self._taken(")"):
            arguments.append(self._argument())
            if not self._taken(","):
                self._expect(")")
                break
        self._methods()
        return Call(self._text[start : self._at], match[0], tuple(arguments))

    def _argument(self) -> Expression:
        """Read an argument, by position or by name."""
        if match := re.compile(r"\s*[a-z_]+\s*=\s*").match(self._text, self._at):
            self._at = match.end()
        return self._sum()

    def _query(self, start: int) -> Query:
        aggregation = ""
        if match := _AGGREGATION.match(self._text, self._at):
            aggregation = match[1]
            self._at = match.end()
        match = _METRIC.match(self._text, self._at)
        if match is None:
            raise DatadogSyntaxError("a metric and its filter in braces", self._here())
        self._at = match.end()
        self._expect("{")
        conditions = filter_of(self._until("}"))
        by: tuple[str, ...] = ()
        if grouped := _BY.match(self._text, self._at):
            self._at = grouped.end()
            by = tuple(tag.strip() for tag in grouped[1].split(",") if tag.strip())
        methods = self._methods()
        return Query(self._text[start : self._at], aggregation, match[0], conditions, by, methods)

    def _methods(self) -> tuple[str, ...]:
        names = []
        while match := _METHOD.match(self._text, self._at):
            self._at = match.end()
            names.append(match[1])
        return tuple(names)

    def _until(self, end: str) -> str:
        close = self._text.find(end, self._at)
        if close < 0:
            raise DatadogSyntaxError(end, "the end")
        inside, self._at = self._text[self._at : close], close + len(end)
        return inside

    def _skipped(self) -> int:
        while self._at < len(self._text) and self._text[self._at].isspace():
            self._at += 1
        return self._at

    def _taken(self, *tokens: str) -> str:
        self._skipped()
        for token in tokens:
            if self._text.startswith(token, self._at):
                self._at += len(token)
                return token
        return ""

    def _expect(self, token: str) -> None:
        if not self._taken(token):
            raise DatadogSyntaxError(token, self._here())

    def _end(self) -> None:
        if self._skipped() < len(self._text):
            raise DatadogSyntaxError("the end of the query", self._here())

    def _here(self) -> str:
        return repr(self._text[self._at : self._at + 30]) if self._at < len(self._text) else "the end"


_TOKEN = re.compile(r"\s*([(),]|!|[^\s(),!][^\s(),]*)")
_JOINING = {"AND", "OR", "NOT", "!", ",", "*"}
"""Words of a filter that name no tag. Which conditions exclude is of no interest to who asks what they speak of."""


def filter_of(text: str) -> tuple[Condition, ...]:
    """Return the conditions in a filter, however they are joined.

    >>> [condition.tag for condition in filter_of("env:prod AND (NOT queue:a* OR pod_name IN (b,c)),$cluster")]
    ['env', 'queue', 'pod_name', '']

    Raises:
        DatadogSyntaxError: it is none.
    """
    words = [word for word in _TOKEN.findall(text) if word]
    found: list[Condition] = []
    depth = 0
    while words:
        word = words.pop(0)
        if word in _DEPTHS:
            depth += _DEPTHS[word]
            if depth < 0:
                break
        elif _is_list(words):
            found.append(_among(word, words, text))
        elif word.upper() not in _JOINING:
            found.append(_condition(word))
    if depth:
        raise DatadogSyntaxError("parentheses in pairs", text)
    return tuple(found)


_DEPTHS = {"(": 1, ")": -1}


def _is_list(words: list[str]) -> bool:
    return [word.upper() for word in words[:2] if word.upper() != "NOT"][:1] == ["IN"]


def _among(tag: str, words: list[str], text: str) -> Condition:
    while words.pop(0).upper() != "IN":
        pass
    if ")" not in words or words.pop(0) != "(":
        raise DatadogSyntaxError("a list in parentheses after IN", text)
    end = words.index(")")
    values = tuple(word for word in words[:end] if word != ",")
    del words[: end + 1]
    return Condition(tag, values)


def _condition(word: str) -> Condition:
    """Read `key:value`, a template variable, which stands for all of that, or a tag without a value."""
    tag, colon, value = word.partition(":")
    return Condition(tag, (value,)) if colon and not word.startswith("$") else Condition("", ())
