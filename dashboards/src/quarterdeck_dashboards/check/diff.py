"""What a change of the contract breaks: every query that had an answer with the old one and has none with the new.

Both states are checked as `run` checks; what is found with the new one alone is broken. Thresholds on a metric whose
unit changed are broken too: such a query still has an answer, a thousand times too large.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import promql_parser as ast

from quarterdeck_contract import metrics
from quarterdeck_contract.naming import series_names
from quarterdeck_dashboards.check import changes, expression, run
from quarterdeck_dashboards.check.arithmetic import COMPARISONS
from quarterdeck_dashboards.check.changes import Change, What
from quarterdeck_dashboards.check.datadog import Knowledge
from quarterdeck_dashboards.check.question import Finding, Language, Question
from quarterdeck_dashboards.check.shape import Fault, Setting
from quarterdeck_dashboards.check.tree import parsed, selectors, short, text_of
from quarterdeck_dashboards.series import by_name, of_metric
from quarterdeck_dashboards.units import Unit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from quarterdeck_contract.metrics import Metric
    from quarterdeck_dashboards.catalogue import Catalogue
    from quarterdeck_dashboards.check.run import Sources
    from quarterdeck_dashboards.series import Series


@dataclass(frozen=True, slots=True)
class Difference:
    """What changed, and what that breaks."""

    changes: tuple[Change, ...]
    breaks: tuple[Finding, ...]


def compare(catalogue: Catalogue, sources: Sources, old: Mapping[str, Metric], new: Mapping[str, Metric]) -> Difference:
    """Return what becomes of *sources* when the contract is *new* where it was *old*; pure."""
    found = changes.between(old, new)
    before = run.examine(catalogue, _with(sources, old, Setting(sources.setting.rate_window)))
    after = run.examine(catalogue, _with(sources, new, _renamed(sources, old, new, found)))
    known = {finding.where: set[Fault]() for finding in before.findings}
    for finding in before.findings:
        known[finding.where].add(replace(finding.fault, nearest=None))
    breaks = [each for each in after.findings if replace(each.fault, nearest=None) not in known.get(each.where, ())]
    breaks += _thresholds(sources, old, found)
    return Difference(found, tuple(dict.fromkeys(breaks)))


def _series(stated: Mapping[str, Metric]) -> dict[str, Series]:
    return by_name(series for metric in stated.values() for series in of_metric(metric))


def _with(sources: Sources, stated: Mapping[str, Metric], setting: Setting) -> Sources:
    """Return *sources* as they would be checked if the contract were *stated*."""
    installed = {name for metric in metrics.ALL for name in series_names(metric)}
    others = {name: series for name, series in sources.known.items() if name not in installed}
    own = {name: each for name, each in sources.datadog.metrics.items() if each not in metrics.ALL}
    datadog = Knowledge({**own, **stated}, sources.datadog.tags)
    return replace(sources, known={**others, **_series(stated)}, datadog=datadog, setting=setting)


def _renamed(
    sources: Sources, old: Mapping[str, Metric], new: Mapping[str, Metric], found: tuple[Change, ...]
) -> Setting:
    """Return the setting in which the old names are said to be the new ones."""
    elsewhere: dict[str, str] = {}
    for was in old.values():
        renamed = next((each.new for each in found if each.metric == was.name and each.what is What.METRIC), was.name)
        now = new.get(renamed or "")
        if now is not None and now.kind is was.kind:
            elsewhere |= dict(zip(series_names(was), series_names(now), strict=True))
    for change in found:
        if change.what is What.LABEL and change.old and change.new:
            elsewhere[change.old.replace(".", "_")] = change.new.replace(".", "_")
    names = {was: now for was, now in elsewhere.items() if was != now}
    return Setting(sources.setting.rate_window, names, "in the new contract")


def _thresholds(sources: Sources, old: Mapping[str, Metric], found: tuple[Change, ...]) -> Iterator[Finding]:
    """Yield every comparison with a number in a unit that has changed."""
    scaled = [change for change in found if change.factor is not None]
    owners = {name: change for change in scaled for name in series_names(old[change.metric])}
    if not owners:
        return
    known = _series(old)
    asked = [Question(rule.where, rule.expr) for rule in sources.rules]
    asked += [Question(name, query) for name, query in sources.queries.items()]
    for question in (*asked, *sources.questions):
        if question.language is Language.PROMQL:
            yield from _scaled(question, known, owners)


def _scaled(question: Question, known: Mapping[str, Series], owners: Mapping[str, Change]) -> Iterator[Finding]:
    """Yield the comparisons in one query; *owners* are series by name, each with the change of its unit."""
    for node, side, number in _comparisons(question.text):
        shape, _ = expression.examine(str(side), known)
        for name in {selector.name for selector in selectors(str(side))} & owners.keys():
            change = owners[name]
            factor = change.factor or 1.0
            if shape.values.unit is not None and shape.values.unit.goes_with(Unit.parse(change.old or "")):
                expected = f"a threshold in {change.new}, {factor:g} times the old one"
                yield Finding(
                    question.where, Fault(short(text_of(node)), expected, f"{number:g}", f"{number * factor:g}")
                )


def _comparisons(query: str) -> Iterator[tuple[Any, Any, float]]:
    """Yield each comparison with a number in *query*: the whole, the other side, the number."""
    found: list[tuple[Any, Any, float]] = []

    def visit(node: Any) -> None:
        if isinstance(node, ast.BinaryExpr) and str(node.op) in COMPARISONS:
            for side, other in ((node.lhs, node.rhs), (node.rhs, node.lhs)):
                if isinstance(other, ast.NumberLiteral):
                    found.append((node, side, other.val))

    try:
        ast.walk(parsed(query), visit)
    except ValueError:
        return
    yield from found
