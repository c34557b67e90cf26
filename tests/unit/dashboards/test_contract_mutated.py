"""Every metric and label of the contract renamed, one at a time: each query that used it is found, and no other."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from quarterdeck_contract import metrics
from quarterdeck_contract.labels import TARGET_LABELS, Label
from quarterdeck_contract.naming import series_names
from quarterdeck_dashboards.catalogue import parse
from quarterdeck_dashboards.check import run
from quarterdeck_dashboards.check.diff import compare
from quarterdeck_dashboards.check.known import Environment
from quarterdeck_dashboards.check.question import Language
from quarterdeck_dashboards.check.rules import Rule

if TYPE_CHECKING:
    from quarterdeck_contract.metrics import Metric
    from quarterdeck_dashboards.check.run import Sources

CATALOGUE = """\
version: 1
runbook_base_url: https://quarterdeck.dev/runbooks/
services:
  - name: checkout
    owner: payments
    image: a/checkout:v1
    slos:
      - {name: availability, kind: availability, objective: 99.5}
      - {name: fast, kind: latency, objective: 99, threshold: 1s, route: /a, method: GET, module: cart}
  - {name: calls, owner: payments, image: "a/calls:v1", framework: grpc}
"""
ALL = {metric.name: metric for metric in metrics.ALL}
LABELS = sorted({label.name for metric in metrics.ALL for label in metric.labels})


@pytest.fixture(scope="module")
def sources() -> Sources:
    """Return everything that asks for the contract's metrics: rules, panels, gates and runbooks, and one query each.

    So that what nothing asks for yet is tried as well.
    """
    found = run.sources(parse(CATALOGUE, "services.yaml"), Environment(timedelta(seconds=15)))
    own = tuple(
        Rule(
            f"own.yaml:{number}",
            "own",
            f"own:{metric.name}:{label.name}",
            is_alert=False,
            expr=f"sum by ({label.prometheus}) ({name})",
        )
        for number, (metric, label, name) in enumerate(
            (metric, label, name)
            for metric in metrics.ALL
            for label in (*metric.labels, TARGET_LABELS[0])
            for name in series_names(metric)
        )
    )
    return replace(found, rules=(*found.rules, *own))


def _asked(sources: Sources) -> list[tuple[str, str, Language]]:
    """Return every query with where it stands."""
    asked = [(rule.where, rule.expr, Language.PROMQL) for rule in sources.rules]
    asked += [(name, query, Language.PROMQL) for name, query in sources.queries.items()]
    return asked + [(each.where, each.text, each.language) for each in sources.questions]


def _uses(text: str, language: Language, metric: Metric) -> bool:
    names = series_names(metric) if language is Language.PROMQL else (metric.name,)
    return any(re.search(rf"(?<![\w.]){re.escape(name)}(?![\w.:])", text) for name in names)


def _speaks_of(text: str, language: Language, label: Label) -> bool:
    name = label.prometheus if language is Language.PROMQL else label.name
    return bool(re.search(rf"(?<![\w.]){re.escape(name)}(?![\w.])", re.sub(r'"[^"]*"', '""', text)))


@pytest.mark.parametrize("name", list(ALL))
def test_a_renamed_metric_is_found_wherever_it_is_used(sources: Sources, name: str) -> None:
    """In each query that has its name, in either language, and in no other."""
    renamed = {
        each.name: each for each in (replace(ALL[name], name=f"zz.{name}"), *(ALL[key] for key in ALL if key != name))
    }
    users = {where for where, text, language in _asked(sources) if _uses(text, language, ALL[name])}

    found = compare(parse(CATALOGUE, "services.yaml"), sources, ALL, renamed)

    assert users
    assert {finding.where for finding in found.breaks} == users


@pytest.mark.parametrize("name", LABELS)
def test_a_renamed_label_is_found_wherever_it_is_used(sources: Sources, name: str) -> None:
    """In each query that has it and a metric that had it, and in no other."""
    other = f"zz.{name}"
    renamed = {
        metric.name: replace(
            metric, labels=tuple(replace(each, name=other) if each.name == name else each for each in metric.labels)
        )
        for metric in metrics.ALL
    }
    owners = [metric for metric in metrics.ALL if any(label.name == name for label in metric.labels)]
    users = {
        where
        for where, text, language in _asked(sources)
        if _speaks_of(text, language, Label(name, "")) and any(_uses(text, language, metric) for metric in owners)
    }

    found = compare(parse(CATALOGUE, "services.yaml"), sources, ALL, renamed)

    assert users
    assert {finding.where for finding in found.breaks} == users
