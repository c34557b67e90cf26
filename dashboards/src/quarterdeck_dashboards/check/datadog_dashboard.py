"""The queries of a Datadog dashboard, monitor or service level objective, as their API takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quarterdeck_dashboards.catalogue.document import Path, dotted
from quarterdeck_dashboards.check.loose import entries, text
from quarterdeck_dashboards.check.question import Language, Question

if TYPE_CHECKING:
    from collections.abc import Iterator

_MONITORS = frozenset({"metric alert", "query alert"})
"""Types of monitors whose query is one of metrics."""


def is_one(document: Any) -> bool:
    """Say whether a JSON document is Datadog's: a dashboard, a monitor or an SLO by metric."""
    if not isinstance(document, dict):
        return False
    return "widgets" in document or text(document.get("type")) in {*_MONITORS, "metric"}


def questions(document: Any, origin: str) -> Iterator[Question]:
    """Yield every query of metrics in *document*, and every formula over them."""
    yield from _walk(document, (), origin, "")


def _walk(node: Any, path: Path, origin: str, title: str) -> Iterator[Question]:
    if isinstance(node, list):
        for index, each in enumerate(node):
            yield from _walk(each, (*path, index), origin, title)
        return
    if not isinstance(node, dict):
        return
    if isinstance(node.get("title") or node.get("name"), str) and "data_source" not in node:
        title = node.get("title") or node["name"]
    for key, query in _texts(node):
        yield Question(_where(origin, (*path, *key), title), query, Language.DATADOG)
    yield from _formulas(node, path, origin, title)
    for key, each in node.items():
        yield from _walk(each, (*path, key), origin, title)


def _texts(node: dict[str, Any]) -> Iterator[tuple[Path, str]]:
    """Yield the queries that *node* itself has, each with its key."""
    query = node.get("query")
    if isinstance(node.get("q"), str):
        yield ("q",), node["q"]
    if isinstance(query, str) and (node.get("data_source") == "metrics" or text(node.get("type")) in _MONITORS):
        yield ("query",), query
    if node.get("type") == "metric" and isinstance(query, dict):
        yield from (
            (("query", key), query[key]) for key in ("numerator", "denominator") if isinstance(query.get(key), str)
        )


def _formulas(node: dict[str, Any], path: Path, origin: str, title: str) -> Iterator[Question]:
    names = tuple(text(each.get("name")) for each in entries(node.get("queries")))
    if not names:
        return
    for index, each in enumerate(entries(node.get("formulas"))):
        if formula := text(each.get("formula")):
            where = _where(origin, (*path, "formulas", index, "formula"), title)
            yield Question(where, formula, Language.DATADOG, names=names)


def _where(origin: str, path: Path, title: str) -> str:
    return f"{origin}: {dotted(path)} ({title})" if title else f"{origin}: {dotted(path)}"
