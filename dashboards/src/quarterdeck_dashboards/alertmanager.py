"""Whom each alert reaches: Alertmanager's routes, inhibitions and receivers, and the same routing as a function.

An alert that reaches only the root of the tree reaches nobody: `receiver_of` lets the contract check find it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from quarterdeck_contract import labels as l_
from quarterdeck_dashboards.alerts import AREA, SEVERITY, WATCHDOG, Area
from quarterdeck_dashboards.catalogue.model import HEARTBEAT, PLATFORM
from quarterdeck_dashboards.inhibition import inhibitions
from quarterdeck_dashboards.rulefile import render
from quarterdeck_dashboards.series import ALERTNAME
from quarterdeck_dashboards.slo.windows import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from quarterdeck_dashboards.catalogue import Catalogue, Service

UNROUTED = "unrouted"
"""Receiver of alerts that no route claims. It tells nobody."""

NIGHT = "night"
"""Time interval in which tier 2 is not paged; what still fires in the morning is."""
NIGHT_TIMES = ({"start_time": "22:00", "end_time": "24:00"}, {"start_time": "00:00", "end_time": "06:00"})
"""Of each day, in UTC."""

DAY_TIER = 2
"""The tier that pages by day only."""

TIMING: Mapping[Severity, Mapping[str, str]] = {
    Severity.PAGE: {"group_wait": "10s", "group_interval": "1m", "repeat_interval": "1h"},
    Severity.TICKET: {"group_wait": "5m", "group_interval": "15m", "repeat_interval": "1d"},
}
"""How soon and how often a receiver is told. `group_wait` collects what belongs together: for a page no longer
than it takes the alerts of one fault to arrive, for a ticket as long as it may."""


ALWAYS: Mapping[str, str] = {"group_wait": "0s", "group_interval": "1m", "repeat_interval": "5m"}
"""How often the watchdog's receiver is called: it may wait for ten minutes before it raises the alarm."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A matcher of an alert's label; `is_pattern` makes the value a regular expression of the whole label."""

    label: str
    value: str
    is_pattern: bool = False

    def __str__(self) -> str:
        return f"{self.label}{'=~' if self.is_pattern else '='}{json.dumps(self.value)}"

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Say whether an alert with *labels* fulfils this."""
        actual = labels.get(self.label, "")
        return bool(re.fullmatch(self.value, actual)) if self.is_pattern else actual == self.value


@dataclass(frozen=True, slots=True)
class Route:
    """A branch of the routing tree: the first child that matches takes the alert, else the branch itself."""

    receiver: str
    conditions: tuple[Condition, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    children: tuple[Route, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return this branch as Alertmanager writes it."""
        entry: dict[str, Any] = {"receiver": self.receiver}
        if self.conditions:
            entry["matchers"] = [str(condition) for condition in self.conditions]
        entry |= self.options
        return entry | ({"routes": [child.to_dict() for child in self.children]} if self.children else {})

    def receiver_of(self, labels: Mapping[str, str]) -> str | None:
        """Return who gets an alert with *labels*, or None when this branch does not match."""
        if not all(condition.holds(labels) for condition in self.conditions):
            return None
        return next((found for child in self.children if (found := child.receiver_of(labels))), self.receiver)


def routes(catalogue: Catalogue) -> Route:
    """Return the routing tree: per owner, by service; then who owns all services of a namespace; then the platform."""
    owners = sorted({service.owner for service in catalogue.services})
    return Route(
        UNROUTED,
        options={"group_by": [l_.CLUSTER.prometheus, l_.NAMESPACE.prometheus, l_.SERVICE.prometheus]},
        children=(
            Route(HEARTBEAT, (Condition(ALERTNAME.name, WATCHDOG),), ALWAYS),
            *(_of_owner(owner, catalogue) for owner in owners),
            _of_platform(Condition(AREA, Area.MONITORING.value)),
            *_of_namespaces(catalogue),
            _of_platform(Condition(AREA, ".+", is_pattern=True)),
        ),
    )


def _by_severity(receiver: str, condition: Condition, options: Mapping[str, Any] | None = None) -> Route:
    children = tuple(
        Route(receiver, (Condition(SEVERITY, severity.value),), TIMING[severity])
        for severity in (Severity.PAGE, Severity.TICKET)
    )
    return Route(receiver, (condition,), options or {}, children)


def _of_platform(condition: Condition) -> Route:
    """Thirty pods that find no node are one message, not thirty."""
    return _by_severity(PLATFORM, condition, {"group_by": [l_.CLUSTER.prometheus, ALERTNAME.name]})


def _of_namespaces(catalogue: Catalogue) -> list[Route]:
    """Return routes for what is in a namespace and of no service, such as a volume, where only one team can own it."""
    owners: dict[str, set[str]] = {}
    for service in catalogue.services:
        owners.setdefault(service.namespace, set()).add(service.owner)
    alone: dict[str, list[str]] = {}
    for namespace, found in sorted(owners.items()):
        if len(found) == 1:
            alone.setdefault(found.pop(), []).append(namespace)
    return [
        _by_severity(receiver_name(owner), Condition(l_.NAMESPACE.prometheus, "|".join(namespaces), is_pattern=True))
        for owner, namespaces in sorted(alone.items())
    ]


def _of_owner(owner: str, catalogue: Catalogue) -> Route:
    services = [service for service in catalogue.services if service.owner == owner]
    by_day = [service for service in services if service.tier == DAY_TIER]
    page = Condition(SEVERITY, Severity.PAGE.value)
    receiver = receiver_name(owner)
    children = [
        Route(receiver, (page,), TIMING[Severity.PAGE]),
        Route(receiver, (Condition(SEVERITY, Severity.TICKET.value),), TIMING[Severity.TICKET]),
    ]
    if by_day:
        options = {**TIMING[Severity.PAGE], "mute_time_intervals": [NIGHT]}
        children.insert(0, Route(receiver, (page, _any_of(by_day)), options))
    return Route(receiver, (_any_of(services),), children=tuple(children))


def _any_of(services: Iterable[Service]) -> Condition:
    return Condition(l_.SERVICE.prometheus, "|".join(service.name for service in services), is_pattern=True)


def receiver_name(owner: str) -> str:
    """Return the receiver of *owner*'s alerts; the prefix keeps owners apart from our own receivers."""
    return f"owner-{owner}"


def _receiver(name: str, webhook: str | None) -> dict[str, Any]:
    if webhook is None:
        return {"name": name}
    key = "url_file" if webhook.startswith("/") else "url"
    return {"name": name, "webhook_configs": [{key: webhook}]}


def config(catalogue: Catalogue) -> str:
    """Return alertmanager.yml."""
    owners = sorted({service.owner for service in catalogue.services})
    return render(
        {
            "route": routes(catalogue).to_dict(),
            "inhibit_rules": inhibitions(),
            "time_intervals": [{"name": NIGHT, "time_intervals": [{"times": list(NIGHT_TIMES)}]}],
            "receivers": [
                _receiver(UNROUTED, None),
                *(_receiver(name, catalogue.webhooks.get(name)) for name in (PLATFORM, HEARTBEAT)),
                *(_receiver(receiver_name(owner), catalogue.webhooks.get(owner)) for owner in owners),
            ],
        }
    )
