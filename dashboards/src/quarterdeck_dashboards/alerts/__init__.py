"""What is alerted on: error budgets, services that are down, silent or saturated, the cluster, and what watches it all.

Each alert has a name, a severity, the labels it is routed and inhibited by, and the runbook page that says what to do.
Whom it reaches is decided in `alertmanager`; what proves that it fires when it should is in `proof`. Nothing here
reads or writes a file.
"""

from __future__ import annotations

from quarterdeck_dashboards.alerts import service
from quarterdeck_dashboards.alerts.burn import BURN, burn_alerts, rows_by_severity
from quarterdeck_dashboards.alerts.burn import PAGE as BURN_PAGE
from quarterdeck_dashboards.alerts.cluster import GROUPS, ClusterGroup, cluster_alerts, groups
from quarterdeck_dashboards.alerts.exporters import BUNDLED, EVERY, Exporter
from quarterdeck_dashboards.alerts.kind import (
    AREA,
    DASHBOARD,
    LOWEST_TIER,
    MIN_SCRAPES,
    RUNBOOK_URL,
    SEVERITY,
    AlertKind,
    AlertSettings,
    Area,
    severity_for,
)
from quarterdeck_dashboards.alerts.monitoring import MONITORING, UNSEEING, WATCHDOG
from quarterdeck_dashboards.alerts.service import DOWN, GROWING, SILENT, service_alerts

__all__ = [
    "AREA",
    "BUNDLED",
    "BURN",
    "DASHBOARD",
    "DOWN",
    "EVERY",
    "GROUPS",
    "GROWING",
    "LOWEST_TIER",
    "MIN_SCRAPES",
    "MONITORING",
    "RUNBOOKS",
    "RUNBOOK_URL",
    "SEVERITY",
    "SILENT",
    "UNSEEING",
    "WATCHDOG",
    "AlertKind",
    "AlertSettings",
    "Area",
    "ClusterGroup",
    "Exporter",
    "burn_alerts",
    "cluster_alerts",
    "groups",
    "kinds",
    "rows_by_severity",
    "service_alerts",
    "severity_for",
]


def kinds() -> tuple[AlertKind, ...]:
    """Return every kind of alert but that of error budgets, whose thresholds are the objectives' own."""
    return (*service.KINDS, *(kind for group in GROUPS for kind in group.kinds))


RUNBOOKS = {BURN: BURN_PAGE, GROWING: "queue-growing"} | {kind.name: kind.page for kind in kinds()}
"""The runbook page of each alert: a file in `docs/runbooks/`, a command of `quarterdeck runbook`."""
