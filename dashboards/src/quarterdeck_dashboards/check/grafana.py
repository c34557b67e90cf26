"""The queries of a Grafana dashboard: panels, also those within rows, variables and annotations.

Any object with `expr` is a query, in the classic model and in the newer one with `spec.elements`, if its data source,
or the nearest one around it, is a Prometheus. Panels of a library are elsewhere, so they are not read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from quarterdeck_dashboards.catalogue.document import Path, dotted
from quarterdeck_dashboards.check.loose import entries, mapping, text
from quarterdeck_dashboards.check.question import Question
from quarterdeck_dashboards.check.template import substituted
from quarterdeck_dashboards.units import Unit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import timedelta

UNITS = {
    name: Unit.parse(code)
    for code, names in {
        "s": ("s", "dtdurations", "clocks"),
        "ms": ("ms", "dtdurationms", "clockms"),
        "us": ("µs",),
        "ns": ("ns",),
        "min": ("m",),
        "h": ("h",),
        "d": ("d",),
        "By": ("bytes", "decbytes"),
        "KiBy": ("kbytes",),
        "MiBy": ("mbytes",),
        "By/s": ("Bps", "binBps"),
        "%": ("percent",),
        "1": ("percentunit",),
    }.items()
    for name in names
}
"""What Grafana's ids of units mean
(https://github.com/grafana/grafana/blob/main/packages/grafana-data/src/valueFormats/categories.ts)."""

_VALUES = re.compile(r"\s*label_values\(\s*(.+?)\s*,\s*(\w+)\s*\)\s*", re.DOTALL)
_RESULT = re.compile(r"\s*query_result\(\s*(.+)\s*\)\s*", re.DOTALL)
_NAMES = re.compile(r"\s*metrics\(\s*(.+?)\s*\)\s*", re.DOTALL)
PROMETHEUS = "prometheus"


def is_dashboard(document: Any) -> bool:
    """Say whether a JSON document is a Grafana dashboard, by itself or as its API answers."""
    inner = _inner(document)
    return isinstance(inner, dict) and any(key in inner for key in ("panels", "rows", "elements", "templating"))


def _inner(document: Any) -> Any:
    for key in ("dashboard", "spec"):
        if isinstance(document, dict) and isinstance(document.get(key), dict):
            return document[key]
    return document


def questions(document: Any, origin: str, rate_window: timedelta | None) -> Iterator[Question]:
    """Yield every query of a dashboard that a Prometheus is asked.

    Args:
        document: the dashboard.
        origin: its file.
        rate_window: four scrapes.
    """
    yield from _Reader(origin, _variables(document), rate_window).walk(document, (), _Around())


def _variables(document: Any) -> dict[str, str]:
    """Return the dashboard's variables with the present value of each."""
    inner = mapping(_inner(document))
    found = {}
    for each in entries(inner.get("variables") or mapping(inner.get("templating")).get("list")):
        entry = mapping(each.get("spec", each))
        kept = text(mapping(entry.get("current")).get("value")) if each.get("type") != "query" else ""
        found[text(entry.get("name"))] = kept or text(entry.get("query"))
    return found


@dataclass(frozen=True, slots=True)
class _Around:
    """What the objects around a query say of it."""

    title: str = ""
    source: str = PROMETHEUS
    """Type of the data source; the default one, when none is named, is taken for a Prometheus."""
    unit: Unit | None = None
    thresholds: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class _Reader:
    origin: str
    variables: Mapping[str, str]
    rate_window: timedelta | None

    def walk(self, node: Any, path: Path, around: _Around) -> Iterator[Question]:
        if isinstance(node, list):
            for index, each in enumerate(node):
                yield from self.walk(each, (*path, index), around)
        elif isinstance(node, dict):
            around = _within(node, around)
            if around.source == PROMETHEUS:
                yield from self._asked(node, path, around)
            for key, each in node.items():
                yield from self.walk(each, (*path, key), around)

    def _asked(self, node: dict[str, Any], path: Path, around: _Around) -> Iterator[Question]:
        expr = node.get("expr")
        if isinstance(expr, str) and expr.strip():
            yield self._question((*path, "expr"), expr, around)
        if node.get("type") == "query" or node.get("kind") == "QueryVariable":
            query = node.get("query")
            if promql := _of_variable(text(mapping(query).get("query", query))):
                yield self._question((*path, "query"), promql, _Around(f"${text(node.get('name'))}"))

    def _question(self, path: Path, query: str, around: _Around) -> Question:
        title = f" ({around.title})" if around.title else ""
        return Question(
            f"{self.origin}: {dotted(path)}{title}",
            substituted(query, self.variables, self.rate_window),
            unit=around.unit,
            thresholds=around.thresholds,
        )


def _of_variable(query: str) -> str | None:
    """Return PromQL that fails where a variable's query would find nothing.

    >>> _of_variable('label_values(up{job="a"}, pod)')
    'group by (pod) (up{job="a"})'
    """
    if match := _VALUES.fullmatch(query):
        return f"group by ({match[2]}) ({match[1]})"
    if match := _RESULT.fullmatch(query):
        return match[1]
    if match := _NAMES.fullmatch(query):
        return f'{{__name__=~".*(?:{match[1]}).*"}}'
    return None


def _within(node: dict[str, Any], around: _Around) -> _Around:
    """Return what is around the objects within *node*."""
    title = node.get("title")
    config = mapping(node.get("fieldConfig") or mapping(node.get("spec")).get("fieldConfig"))
    defaults = mapping(config.get("defaults"))
    unit, thresholds = around.unit, around.thresholds
    if defaults and not _overrides_unit(config):
        is_axis = node.get("type") == "heatmap"
        unit = None if is_axis else UNITS.get(str(defaults.get("unit")))
        thresholds = _steps(defaults.get("thresholds"))
    return _Around(title if isinstance(title, str) else around.title, _source(node) or around.source, unit, thresholds)


def _source(node: dict[str, Any]) -> str | None:
    source = node.get("datasource")
    if isinstance(source, dict):
        kind = source.get("type")
        return str(kind) if kind and kind != "datasource" else None
    if node.get("kind") == "DataQuery" and isinstance(node.get("group"), str):
        return str(node["group"])
    return None


def _overrides_unit(config: dict[str, Any]) -> bool:
    """Say whether some of a panel's queries are shown in a unit of their own: which ones is Grafana's to say."""
    properties = [each for entry in entries(config.get("overrides")) for each in entries(entry.get("properties"))]
    return any(each.get("id") in ("unit", "thresholds") for each in properties)


def _steps(thresholds: Any) -> tuple[float, ...]:
    if mapping(thresholds).get("mode") == "percentage":
        return ()
    values = [step.get("value") for step in entries(mapping(thresholds).get("steps"))]
    return tuple(float(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool))
