"""Pieces of a query's syntax tree: its selectors, their matchers, and how a message shows them."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import promql_parser as ast

from quarterdeck_dashboards.catalogue.problem import one_of

if TYPE_CHECKING:
    from collections.abc import Iterable


MAX_DEPTH = 100
"""Deepest nesting of brackets that is read; nobody can read a tenth of it, and the parser's own stack has an end."""
MAX_OPERATORS = 1000
"""Most operators: a row of them is nested as well."""


@lru_cache(maxsize=16_384)  # what records a series is read for its labels, and again to be checked
def parsed(query: str) -> Any:
    """Return the syntax tree of *query*.

    Raises:
        ValueError: it is not PromQL, or too deep to be read.
    """
    if len(query) > _SHORT:
        bare = _TEXT.sub("", query)
        depths = accumulate(_DEPTHS.get(character, 0) for character in bare)
        if max(depths, default=0) > MAX_DEPTH or len(_OPERATOR.findall(bare)) > MAX_OPERATORS:
            raise ValueError(f"more than {MAX_DEPTH} levels of brackets, or {MAX_OPERATORS} operators")
    return ast.parse(query)


_SHORT = 2_000
"""Characters that cannot be nested too deep for the parser, so that few queries are looked at twice."""
_DEPTHS = {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}
_TEXT = re.compile(r"""\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|`[^`]*`""")
_OPERATOR = re.compile(r"[-+*/%^<>=]|\b(?:and|or|unless|atan2)\b")


def selectors(query: str) -> list[Any]:
    """Return every vector selector of *query*, or none when it is not PromQL."""
    found: list[Any] = []

    def visit(node: Any) -> None:
        match node:
            case ast.VectorSelector():
                found.append(node)
            case ast.MatrixSelector():
                found.append(node.vector_selector)
            case ast.Call():
                for argument in node.args:
                    visit(argument)
            case ast.BinaryExpr():
                visit(node.lhs)
                visit(node.rhs)
            case ast.AggregateExpr() | ast.ParenExpr() | ast.UnaryExpr() | ast.SubqueryExpr():
                visit(node.expr)

    try:
        visit(parsed(query))
    except (ValueError, RecursionError):
        return []
    return found


def matched_exactly(selector: Any, label: str) -> str | None:
    """Return the one value that *selector* demands of *label*, or None."""
    return next(
        (each.value for each in selector.matchers.matchers if each.name == label and each.op == ast.MatchOp.Equal), None
    )


def matching(pattern: str, words: Iterable[str]) -> list[str]:
    """Return the *words* that the regular expression *pattern* matches as a whole, as Prometheus anchors it."""
    try:
        compiled = re.compile(pattern)
    except re.error:
        return list(words)  # Go's syntax has classes that Python's lacks: unknown, so not reported
    return [word for word in words if compiled.fullmatch(word)]


def nearest_number(value: str, values: Iterable[str]) -> str | None:
    """Return the bucket bound that *value* means, differently spelt (`1` for `1.0`), or the one closest to it."""
    try:
        number = float(value)
        return min(sorted(values), key=lambda each: abs(float(each) - number))
    except ValueError:
        return None


def either(names: list[str]) -> str:
    """Return up to three of *names* as an enumeration."""
    shown = names[:3]
    return one_of([*shown, "…"] if len(names) > len(shown) else shown)


def label_set(labels: frozenset[str] | None) -> str:
    """Return *labels* as Prometheus writes a set."""
    return "{" + ", ".join(sorted(labels or ())) + "}"


def text_of(node: Any) -> str:
    """Return a node as PromQL."""
    return str(node).strip().replace("{}", "")


_LONGEST = 120
"""Characters of a query that a message repeats."""


def short(text: str) -> str:
    """Return *text* on one line that is not too long for a message."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
