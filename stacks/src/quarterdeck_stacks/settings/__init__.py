"""A stack's settings: frozen, read once, before any resource is registered.

Belongs here: what each key of Pulumi.yaml's `config` means, its type, and which combinations cannot be. One module for
each group of keys; `keys` reads text, `combinations` refuses what is right by itself and wrong together.

Does not belong here: defaults (Pulumi.yaml, where `pulumi config` sees them), numbers of one environment
(stacks/Pulumi.<env>.yaml), which components an environment has (`environments`), any I/O.
"""

from quarterdeck_stacks.settings.cluster import ClusterKind, ClusterSettings
from quarterdeck_stacks.settings.combinations import check_against
from quarterdeck_stacks.settings.monitoring import MonitoringSettings, PrometheusSettings, Scale
from quarterdeck_stacks.settings.services import ServiceSettings
from quarterdeck_stacks.settings.stack import (
    ALERTMANAGER_PORT,
    ENVIRONMENTS,
    GRAFANA_PORT,
    PREVIEWED,
    PROMETHEUS_PORT,
    Loopback,
    Settings,
    parse,
)

__all__ = [
    "ALERTMANAGER_PORT",
    "ENVIRONMENTS",
    "GRAFANA_PORT",
    "PREVIEWED",
    "PROMETHEUS_PORT",
    "ClusterKind",
    "ClusterSettings",
    "Loopback",
    "MonitoringSettings",
    "PrometheusSettings",
    "Scale",
    "ServiceSettings",
    "Settings",
    "check_against",
    "parse",
]
