"""Everything that asks a question, against everything that can answer: the whole contract check.

Queries and runbook pages of packages above this one arrive by entry points, so nothing is imported upward.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from quarterdeck_contract.labels import Label
from quarterdeck_dashboards import build
from quarterdeck_dashboards.alertmanager import routes
from quarterdeck_dashboards.check import alerts, arithmetic, datadog, expression, files, panels, rules
from quarterdeck_dashboards.check.known import Environment, own_metrics, series_of, setting
from quarterdeck_dashboards.check.question import Finding, Language, Question
from quarterdeck_dashboards.check.shape import HERE, Fault, Setting, Shape
from quarterdeck_dashboards.check.tree import short
from quarterdeck_dashboards.dashboards import foreign
from quarterdeck_dashboards.series import Series, SeriesKind, by_name, contract, of_exposition
from quarterdeck_dashboards.units import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import timedelta
    from pathlib import Path

    from quarterdeck_dashboards.catalogue import Catalogue
    from quarterdeck_dashboards.check.rules import Rule

QUERIES = "quarterdeck.queries"
"""Entry-point group: callables that take the catalogue and return a mapping from a query's name to its PromQL."""
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
    questions: tuple[Question, ...] = ()
    """Queries of dashboards and monitors."""
    datadog: datadog.Knowledge = field(default_factory=datadog.Knowledge)
    setting: Setting = HERE


@dataclass(frozen=True, slots=True)
class Result:
    """What was found, and among how much."""

    findings: tuple[Finding, ...]
    """Empty when every query asks for something that exists."""
    queries: int
    alerts: int


def check(
    catalogue: Catalogue,
    *,
    scrape_interval: timedelta,
    files: Iterable[Path] = (),
    expositions: Iterable[Path] = (),
    environment: Environment | None = None,
    tags: Iterable[str] = (),
) -> Result:
    """Check the generated rules and dashboards of *catalogue*, the registered queries, and a user's own *files*.

    Args:
        catalogue: the services.
        scrape_interval: as the rules are generated for.
        files: rule files, and dashboards of Grafana's or Datadog's; or folders of them.
        expositions: recorded `/metrics` pages of programs outside the contract.
        environment: how metrics reach Prometheus; by default it scrapes the services.
        tags: tags that Datadog's agents add of their own.

    Raises:
        UsageError: a file cannot be read, or is not what it should be.
    """
    where = environment or Environment(scrape_interval)
    return examine(catalogue, sources(catalogue, where, files, expositions, tags))


def sources(
    catalogue: Catalogue,
    environment: Environment,
    paths: Iterable[Path] = (),
    expositions: Iterable[Path] = (),
    tags: Iterable[str] = (),
) -> Sources:
    """Return everything that asks, and everything that can answer; see `check`."""
    generated = build.rule_files(catalogue, scrape_interval=environment.scrape_interval)
    found = [rule for name, text in generated.items() for rule in rules.parse(text, f"{build.RULES}/{name}")]
    asked = files.read(paths, environment.rate_window)
    known = series_of(catalogue, environment)
    for path in expositions:
        known |= by_name(of_exposition(files.text_of(path)))
    return Sources(
        (*found, *asked.rules),
        registered_queries(catalogue),
        registered_pages(),
        known,
        (
            *panels.questions(catalogue, environment.rate_window),
            *panels.of_datadog(catalogue),
            *asked.questions,
        ),
        datadog.of_services((*own_metrics(catalogue), *foreign.ALL), tags),
        setting(catalogue, environment),
    )


def examine(catalogue: Catalogue, sources: Sources) -> Result:
    """Check *sources*; pure."""
    tree = routes(catalogue)
    pages = sources.pages | {url for service in catalogue.services for url in service.runbooks.values()}
    known, shapes = _with_recorded(sources)
    findings: list[Finding] = []
    for rule, (shape, faults) in zip(sources.rules, shapes, strict=True):
        every = list(faults)
        if rule.is_alert:
            every += alerts.examine(rule, shape, tree, catalogue.runbook_base_url, pages)
        findings += [Finding(rule.where, fault) for fault in every]
    for question in (*(Question(name, query) for name, query in sources.queries.items()), *sources.questions):
        findings += [Finding(question.where, fault) for fault in _answered(question, known, sources)]
    asked = len(sources.rules) + len(sources.queries) + len(sources.questions)
    return Result(tuple(findings), asked, sum(rule.is_alert for rule in sources.rules))


def _answered(question: Question, known: Mapping[str, Series], sources: Sources) -> list[Fault]:
    if question.language is Language.DATADOG:
        return datadog.examine(question.text, sources.datadog, question.names)
    shape, faults = expression.examine(question.text, known, sources.setting)
    return [*faults, *_shown(question, shape)]


def _shown(question: Question, shape: Shape) -> Iterator[Fault]:
    """Yield what is wrong with how a panel shows its numbers."""
    unit = shape.values.unit
    if question.unit is None or unit is None:
        return
    if not unit.goes_with(question.unit):
        yield Fault(short(question.text), f"numbers in {question.unit}, which the panel shows", f"numbers in {unit}")
        return
    for threshold in question.thresholds:
        wrong = arithmetic.unreachable(">=", shape.values, threshold)
        if wrong is not None:
            yield Fault(short(question.text), *wrong)


_LABELS = {label.prometheus: label for series in contract().values() for label in series.labels or ()}
"""The contract's labels by their name in Prometheus."""


def _with_recorded(sources: Sources) -> tuple[Mapping[str, Series], list[tuple[Shape, list[Fault]]]]:
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
        known[name] = _recorded(name, makers, known)
    return known, [expression.examine(rule.expr, known, sources.setting) for rule in sources.rules]


def _recorded(name: str, makers: Iterable[Rule], known: Mapping[str, Series]) -> Series:
    """Return the series that *makers* record under one name; without labels when those of one of them are unknown."""
    names: set[str] | None = set()
    values = set()
    for rule in makers:
        shape, _ = expression.examine(rule.expr, known)
        values.add(shape.values)
        names = None if names is None or shape.labels is None else names | shape.labels | rule.labels.keys()
    labels = None if names is None else tuple(_LABELS.get(each) or Label(each, "") for each in sorted(names))
    return Series(name, SeriesKind.GAUGE, labels, values=values.pop() if len(values) == 1 else UNKNOWN)


def registered_queries(catalogue: Catalogue) -> dict[str, str]:
    """Return every query that an installed package registers for *catalogue*, named by its entry point.

    Raises:
        TypeError: an entry point does not keep to the group's agreement.
    """
    queries: dict[str, str] = {}
    for entry in entry_points(group=QUERIES):
        found = entry.load()(catalogue)
        if not all(isinstance(each, str) for pair in found.items() for each in pair):
            raise TypeError(f"entry point {entry.value} in {QUERIES} does not map names to PromQL")
        queries |= {f"{entry.name}/{name}": query for name, query in found.items()}
    return queries


def registered_pages() -> frozenset[str]:
    """Return the ids of all runbook pages."""
    return frozenset(entry.name for entry in entry_points(group=RUNBOOKS))
