"""Does each alert have a runbook page and someone it reaches?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_contract import labels as l_
from quarterdeck_dashboards.alertmanager import UNROUTED
from quarterdeck_dashboards.alerts import RUNBOOK_URL, SEVERITY
from quarterdeck_dashboards.catalogue.problem import nearest, one_of
from quarterdeck_dashboards.check.expression import Fault
from quarterdeck_dashboards.check.tree import matched_exactly, selectors
from quarterdeck_dashboards.slo.windows import Severity

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from quarterdeck_dashboards.alertmanager import Route
    from quarterdeck_dashboards.check.expression import Shape
    from quarterdeck_dashboards.check.rules import Rule


def examine(rule: Rule, shape: Shape, routes: Route, base_url: str, pages: Collection[str]) -> Iterator[Fault]:
    """Yield what *rule* lacks.

    Args:
        rule: an alert.
        shape: of its query's samples.
        routes: Alertmanager's tree.
        base_url: where runbook pages are published.
        pages: their ids, and the URLs of services' own pages.
    """
    yield from _page(rule, base_url, pages)
    severities = [severity.value for severity in Severity]
    severity = rule.labels.get(SEVERITY)
    if severity not in severities:
        found = "none" if severity is None else repr(severity)
        yield Fault(f"label {SEVERITY}", one_of(severities), found, nearest(severity or "", severities))
        return
    service = _service(rule)
    if service is None and not shape.lacks(l_.SERVICE.prometheus):
        return  # whichever service it is that the query finds: each in the catalogue has a route
    labels = {**rule.labels, SEVERITY: severity} | ({l_.SERVICE.prometheus: service} if service else {})
    if routes.receiver_of(labels) == UNROUTED:
        found = f"the service {service}" if service else "no label service on the alert"
        yield Fault("route", "a service of the catalogue, so that its owner is told", found)


def _page(rule: Rule, base_url: str, pages: Collection[str]) -> Iterator[Fault]:
    url = rule.annotations.get(RUNBOOK_URL)
    if url in pages:
        return
    if url is None:
        yield Fault(f"annotation {RUNBOOK_URL}", f"{base_url}<page>/", "none")
    elif not url.startswith(base_url):
        yield Fault(f"annotation {RUNBOOK_URL}", f"{base_url}<page>/", url)
    elif (page := url.removeprefix(base_url).rstrip("/")) not in pages:
        yield Fault(f"annotation {RUNBOOK_URL}", "the page of a runbook that exists", page, nearest(page, pages))


def _service(rule: Rule) -> str | None:
    """Return the one service that *rule* is about, by its label or because every selector demands it."""
    name = l_.SERVICE.prometheus
    if name in rule.labels:
        return rule.labels[name]
    demanded = {matched_exactly(selector, name) for selector in selectors(rule.expr)}
    return demanded.pop() if len(demanded) == 1 else None
