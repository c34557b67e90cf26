"""`quarterdeck contract check` of alerts: whom they reach, and which page they lead to."""

from __future__ import annotations

from datetime import timedelta

import pytest

from quarterdeck_dashboards import build
from quarterdeck_dashboards.alerts import RUNBOOKS
from quarterdeck_dashboards.catalogue import parse
from quarterdeck_dashboards.check import rules
from quarterdeck_dashboards.check.run import Sources, examine
from quarterdeck_dashboards.series import SYNTHETIC, by_name, external

CATALOGUE = """\
version: 1
runbook_base_url: https://example.org/runbooks/
services:
  - name: checkout
    namespace: shop
    owner: payments
    image: a/b:v1
    runbooks: {ServiceDown: https://wiki.example/checkout}
"""
PAGES = frozenset(RUNBOOKS.values())
KNOWN = {**by_name(SYNTHETIC), **external(), **external("kube-state-metrics")}


def _findings(text: str) -> list[str]:
    sources = Sources(tuple(rules.parse(text, "own.yaml")), pages=PAGES, known=KNOWN)
    return [str(finding) for finding in examine(parse(CATALOGUE, "services.yaml"), sources).findings]


def _rule(labels: str, url: str) -> str:
    return f"""\
groups:
  - name: own
    rules:
      - alert: NodeGone
        expr: sum by (cluster, node) (kube_node_status_condition) == 0
        labels: {labels}
        annotations: {{runbook_url: "{url}"}}
"""


@pytest.mark.parametrize("area", ["monitoring", "kubernetes", "backing"])
def test_an_alert_with_an_area_is_the_platforms(area: str) -> None:
    """It is about no service, and somebody is told all the same."""
    url = "https://example.org/runbooks/node-not-ready/"

    assert _findings(_rule(f"{{severity: page, area: {area}}}", url)) == []
    assert len(_findings(_rule("{severity: page}", url))) == 1


def test_a_services_own_page_is_a_page() -> None:
    """As the catalogue names it; any other outside the runbooks is found."""
    labels = "{severity: page, area: kubernetes}"

    assert _findings(_rule(labels, "https://wiki.example/checkout")) == []
    assert _findings(_rule(labels, "https://wiki.example/orders")) == [
        (
            "own.yaml:5: own/NodeGone: annotation runbook_url: expected https://example.org/runbooks/<page>/, "
            "found https://wiki.example/orders"
        )
    ]


def test_a_catalogue_with_own_pages_has_no_finding() -> None:
    """The alert that leads there is generated so."""
    catalogue = parse(CATALOGUE, "services.yaml")
    text = build.rule_files(catalogue, scrape_interval=timedelta(seconds=15))["service-checkout.yaml"]
    found = [rule for rule in rules.parse(text, "rules/service-checkout.yaml") if rule.name == "ServiceDown"]

    assert [rule.annotations["runbook_url"] for rule in found] == ["https://wiki.example/checkout"]
    assert examine(catalogue, Sources(tuple(found), pages=PAGES, known=KNOWN)).findings == ()
