"""Everything that asks a question, against everything that can answer: the whole contract check.

Queries and runbook pages of packages above this one arrive by entry points, so nothing is imported upward.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import UsageError
from quarterdeck_contract.labels import Label
from quarterdeck_dashboards import build
from quarterdeck_dashboards.alertmanager import routes
from quarterdeck_dashboards.check import alerts, expression, rules
from quarterdeck_dashboards.series import (
    SYNTHETIC,
    Series,
    SeriesKind,
    by_name,
    contract,
    external,
    of_exposition,
    of_metric,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import timedelta
    from pathlib import Path

    from quarterdeck_dashboards.catalogue import Catalogue
    from quarterdeck_dashboards.check.rules import Rule

QUERIES = "quarterdeck.queries"
"""Entry-point group: callables without arguments that return a mapping from a query's name to its PromQL."""
RUNBOOKS = "quarterdeck.runbooks"
"""Entry-point group: its names are the ids of runbook pages."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What is checked, and what it may refer to."""

    rules: tuple[Rule, ...]
    queries: Mapping[str, str] = field(default_factory=dict)
    """Name, with where it comes from, to PromQL."""
    pages: frozenset[str] = frozenset()
    """Ids of runbook pages."""
    known: Mapping[str, Series] = field(default_factory=dict)
    """Series by name, without those that the rules record."""


@dataclass(frozen=True, slots=True)
class Result:
    """What was found, and among how much."""

    findings: tuple[str, ...]
    """One line each; empty when every query asks for something that exists."""
    queries: int
    alerts: int


def check(
    catalogue: Catalogue, *, scrape_interval: timedelta, files: Iterable[Path] = (), expositions: Iterable[Path] = ()
) -> Result:
    """Check the generated rules of *catalogue*, the registered queries, and a user's rule *files*.

    Args:
        catalogue: the services.
        scrape_interval: as the rules are generated for.
        files: rule files.
        expositions: recorded `/metrics` pages of programs outside the contract.

    Raises:
        UsageError: a file cannot be read, or is not what it should be.
    """
    generated = build.rule_files(catalogue, scrape_interval=scrape_interval)
    found = [rule for name, text in generated.items() for rule in rules.parse(text, f"{build.RULES}/{name}")]
    found += [rule for path in files for rule in rules.parse(_text(path), str(path))]
    known = {**contract(), **by_name(SYNTHETIC), **external(), **by_name(_own(catalogue))}
    for path in expositions:
        known |= by_name(of_exposition(_text(path)))
    return examine(catalogue, Sources(tuple(found), registered_queries(), registered_pages(), known))


def _own(catalogue: Catalogue) -> Iterator[Series]:
    """Yield the series of the metrics that services declare beside the contract's."""
    for service in catalogue.services:
        for metric in service.metrics:
            yield from of_metric(metric.stated())


def examine(catalogue: Catalogue, sources: Sources) -> Result:
    """Check *sources*; pure."""
    tree = routes(catalogue)
    known, shapes = _with_recorded(sources)
    findings: list[str] = []
    for rule, (shape, faults) in zip(sources.rules, shapes, strict=True):
        every = list(faults)
        if rule.is_alert:
            every += alerts.examine(rule, shape, tree, catalogue.runbook_base_url, sources.pages)
        findings += [f"{rule.where}: {fault}" for fault in every]
    for name, query in sources.queries.items():
        findings += [f"{name}: {fault}" for fault in expression.examine(query, known)[1]]
    count = sum(rule.is_alert for rule in sources.rules)
    return Result(tuple(findings), len(sources.rules) + len(sources.queries), count)


_LABELS = {label.prometheus: label for series in contract().values() for label in series.labels or ()}
"""The contract's labels by their name in Prometheus."""


def _with_recorded(
    sources: Sources,
) -> tuple[Mapping[str, Series], list[tuple[expression.Shape, list[expression.Fault]]]]:
    """Return the known series with the recorded ones, and each rule's shape and faults.

    A recorded series has the labels that its queries yield. Two passes, because a rule may read one that is
    recorded further down, or in another file.
    """
    recorded: dict[str, list[Rule]] = {}
    for rule in sources.rules:
        if not rule.is_alert:
            recorded.setdefault(rule.name, []).append(rule)
    known = {**sources.known, **{name: Series(name, SeriesKind.GAUGE, None) for name in recorded}}
    for name, makers in recorded.items():
        known[name] = Series(name, SeriesKind.GAUGE, _labels_of(makers, known))
    return known, [expression.examine(rule.expr, known) for rule in sources.rules]


def _labels_of(makers: Iterable[Rule], known: Mapping[str, Series]) -> tuple[Label, ...] | None:
    """Return the labels of the series that *makers* record under one name, or None when one of them is unknown."""
    names: set[str] = set()
    for rule in makers:
        shape, _ = expression.examine(rule.expr, known)
        if shape.labels is None:
            return None
        names |= shape.labels | rule.labels.keys()
    return tuple(_LABELS.get(name) or Label(name, "") for name in sorted(names))


def registered_queries() -> dict[str, str]:
    """Return every query that an installed package registers, named by its entry point.

    Raises:
        TypeError: an entry point does not keep to the group's agreement.
    """
    queries: dict[str, str] = {}
    for entry in entry_points(group=QUERIES):
        found = entry.load()()
        if not all(isinstance(each, str) for pair in found.items() for each in pair):
            raise TypeError(f"entry point {entry.value} in {QUERIES} does not map names to PromQL")
        queries |= {f"{entry.name}/{name}": query for name, query in found.items()}
    return queries


def registered_pages() -> frozenset[str]:
    """Return the ids of all runbook pages."""
    return frozenset(entry.name for entry in entry_points(group=RUNBOOKS))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"a readable file {path}", error.strerror or str(error), "name a Prometheus rule file or a recorded page"
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path} to be UTF-8 text", f"the byte {error.object[error.start]:#04x}", "save it as UTF-8"
        ) from error
