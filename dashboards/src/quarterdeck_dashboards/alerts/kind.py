"""An alert as data: what it is called, when it fires and why then, whom it reaches, what to do about it."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from quarterdeck_contract import labels as l_
from quarterdeck_dashboards.duration import format_duration
from quarterdeck_dashboards.rulefile import AlertingRule
from quarterdeck_dashboards.series import SLO
from quarterdeck_dashboards.slo.windows import Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import timedelta

    from quarterdeck_dashboards.catalogue import Service, Slo
    from quarterdeck_dashboards.promql import Matcher, Vector

SEVERITY = "severity"
"""Alert label: a `Severity`."""
AREA = "area"
"""Alert label: an `Area`. Only on alerts that may be about nothing in the catalogue."""
RUNBOOK_URL = "runbook_url"
"""Alert annotation: where the page on this alert is."""
DASHBOARD = "dashboard"
"""Alert annotation: where the dashboard is that shows what the alert is about."""

LOWEST_TIER = 3
"""The tier that never pages: its pages are tickets."""
MIN_SCRAPES = 4
"""Scrapes that a rate, or a condition that must last, spans at least: one may fail and two must remain."""

LASTING = "{lasting}"
"""Stands, in a description, for how long the condition has held."""


class Area(enum.StrEnum):
    """What an alert is about that is about no service's promise; whoever runs the platform gets those nobody owns."""

    MONITORING = "monitoring"
    """What watches."""
    KUBERNETES = "kubernetes"
    """Pods, deployments, volumes, nodes."""
    BACKING = "backing"
    """What services lean on: queues, certificates."""


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """What alerts depend on beside the catalogue's services."""

    runbook_base_url: str
    """Where runbook pages are published, with a trailing slash."""
    scrape_interval: timedelta
    """Between two scrapes of a pod, and between two evaluations of the rules."""
    dashboard_base_url: str | None = None
    """Where dashboards are, with a trailing slash; None leaves their annotation out."""

    def runbook_url(self, page: str) -> str:
        """Return where *page* is."""
        return f"{self.runbook_base_url}{page}/"

    def lasting(self, at_least: timedelta) -> timedelta:
        """Return how long a condition must hold: *at_least*, and no less than MIN_SCRAPES scrapes."""
        return max(at_least, MIN_SCRAPES * self.scrape_interval)

    def links(self, page: str, dashboard: str) -> dict[str, str]:
        """Return the annotations that lead to a runbook *page* and to the dashboard with the uid *dashboard*."""
        shown = {DASHBOARD: f"{self.dashboard_base_url}d/{dashboard}"} if self.dashboard_base_url else {}
        return {RUNBOOK_URL: self.runbook_url(page), **shown}


@dataclass(frozen=True, slots=True)
class AlertKind:
    """One alert: of every service that can have it, or of the one cluster."""

    name: str
    page: str
    """Id of its runbook page."""
    severity: Severity
    condition: Callable[[tuple[Matcher, ...]], Vector]
    """From what picks out a service's own series to what fires; nothing picks out the cluster's."""
    lasting: timedelta
    """How long the condition must hold at least."""
    reason: str
    """Why this threshold, and why so long: a sentence for the runbook page."""
    summary: str
    """What is wrong; `{{ $labels.… }}` for what it is wrong with."""
    description: str
    """More of it, with LASTING."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """What it is routed and inhibited by, beside its severity and what the condition yields."""
    without: frozenset[str] = frozenset()
    """Frameworks whose services cannot have it."""

    def rule(self, settings: AlertSettings, dashboard: str) -> AlertingRule:
        """Return the cluster's rule."""
        return self._rule(
            settings, (), {SEVERITY: self.severity.value, **self.labels}, self._links(settings, dashboard)
        )

    def rule_of(
        self, settings: AlertSettings, service: Service, own: tuple[Matcher, ...], dashboard: str
    ) -> AlertingRule:
        """Return *service*'s rule, whose series *own* picks out."""
        links = self._links(settings, dashboard) | own_page(service, self.name)
        labels = {**labels_of(severity_for(service, self.severity), service), **self.labels}
        return self._rule(settings, own, labels, links)

    def _links(self, settings: AlertSettings, dashboard: str) -> dict[str, str]:
        return settings.links(self.page, dashboard)

    def _rule(
        self, settings: AlertSettings, own: tuple[Matcher, ...], labels: Mapping[str, str], links: Mapping[str, str]
    ) -> AlertingRule:
        lasting = settings.lasting(self.lasting)
        description = self.description.replace(LASTING, format_duration(lasting))
        annotations = {"summary": self.summary, "description": description, **links}
        return AlertingRule(self.name, str(self.condition(own)), labels, annotations, lasting)


def severity_for(service: Service, severity: Severity) -> Severity:
    """Return *severity* as it applies to *service*'s tier."""
    return Severity.TICKET if service.tier == LOWEST_TIER else severity


def own_page(service: Service, alert: str) -> dict[str, str]:
    """Return the annotation that leads to *service*'s own page on *alert*; empty when it has none."""
    return {RUNBOOK_URL: service.runbooks[alert]} if alert in service.runbooks else {}


def labels_of(severity: Severity, service: Service, slo: Slo | None = None) -> dict[str, str]:
    """Return what an alert of *service*, or of its objective, is routed and inhibited by."""
    labels = {
        SEVERITY: severity.value,
        l_.NAMESPACE.prometheus: service.namespace,
        l_.SERVICE.prometheus: service.name,
    }
    return labels | ({SLO.prometheus: slo.name} if slo else {})
