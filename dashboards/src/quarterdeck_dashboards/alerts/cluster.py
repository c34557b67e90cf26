"""Alerts that are the cluster's and no service's, in files and groups, each for the exporters that its data is from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from quarterdeck_dashboards.alerts import backing, kubernetes, monitoring, relays
from quarterdeck_dashboards.alerts.exporters import EVERY, Exporter
from quarterdeck_dashboards.uid import uid_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from quarterdeck_dashboards.alerts.kind import AlertKind, AlertSettings
    from quarterdeck_dashboards.rulefile import AlertingRule


@dataclass(frozen=True, slots=True)
class ClusterGroup:
    """Alerts that need the same exporters."""

    file: str
    """Rule file, without its suffix."""
    name: str
    """Group in it."""
    needs: frozenset[Exporter]
    kinds: tuple[AlertKind, ...]
    dashboard: str
    """Uid of the dashboard to look at."""


def _group(file: str, name: str, kinds: tuple[AlertKind, ...], *needs: Exporter) -> ClusterGroup:
    dashboard = uid_of("kubernetes") if file == "kubernetes" else uid_of("on-call")
    return ClusterGroup(file, name, frozenset(needs), kinds, dashboard)


GROUPS = (
    _group("monitoring", "monitoring", monitoring.PROMETHEUS_KINDS, Exporter.PROMETHEUS),
    _group("monitoring", "remote-write", monitoring.REMOTE_WRITE_KINDS, Exporter.REMOTE_WRITE),
    _group("monitoring", "alertmanager", relays.ALERTMANAGER_KINDS, Exporter.ALERTMANAGER),
    _group("monitoring", "collector", relays.COLLECTOR_KINDS, Exporter.COLLECTOR),
    _group("kubernetes", "state", kubernetes.STATE_KINDS, Exporter.KUBE_STATE_METRICS),
    _group("kubernetes", "memory", kubernetes.MEMORY_KINDS, Exporter.KUBE_STATE_METRICS, Exporter.KUBELET),
    _group("kubernetes", "volumes", kubernetes.VOLUME_KINDS, Exporter.KUBELET),
    _group("kubernetes", "disks", kubernetes.DISK_KINDS, Exporter.NODE_EXPORTER),
    _group("backing", "certificates", backing.CERTIFICATE_KINDS, Exporter.BLACKBOX_EXPORTER),
    _group("backing", "rabbitmq", backing.RABBITMQ_KINDS, Exporter.RABBITMQ),
    _group("backing", "celery", backing.CELERY_KINDS, Exporter.CELERY_EXPORTER),
)
"""All of them."""


def groups(exporters: Collection[Exporter] = EVERY) -> tuple[ClusterGroup, ...]:
    """Return the groups whose data *exporters* deliver."""
    return tuple(group for group in GROUPS if group.needs <= set(exporters))


def cluster_alerts(settings: AlertSettings, group: ClusterGroup) -> tuple[AlertingRule, ...]:
    """Return the rules of *group*."""
    return tuple(kind.rule(settings, group.dashboard) for kind in group.kinds)
