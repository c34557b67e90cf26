"""The monitoring of dev, staging and prod: which of its components there are, by their settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_contract.kubernetes import NODE_NAMESPACE, SYSTEM_NAMESPACE
from quarterdeck_dashboards.build import alertmanager_config, rule_files
from quarterdeck_stacks import images
from quarterdeck_stacks.components.alertmanager import Alertmanager
from quarterdeck_stacks.components.exporters import BlackboxExporter, KubeStateMetrics
from quarterdeck_stacks.components.letting_through import LettingThrough
from quarterdeck_stacks.components.node_exporter import NodeExporter
from quarterdeck_stacks.components.prometheus import GRACE_SECONDS, Prometheus
from quarterdeck_stacks.components.server import Standing
from quarterdeck_stacks.watch import flows_of, has_secret_webhooks, scraping_of, targets_of

if TYPE_CHECKING:
    import pulumi

    from quarterdeck_stacks.components.namespaces import Namespaces
    from quarterdeck_stacks.environments.shape import Environment
    from quarterdeck_stacks.settings import MonitoringSettings


def monitoring(environment: Environment, namespaces: Namespaces, opts: pulumi.ResourceOptions) -> None:
    """Register Prometheus, Alertmanager, what they scrape, and who may connect to whom."""
    settings, catalogue = environment.settings, environment.catalogue
    LettingThrough(flows_of(settings, catalogue), [NODE_NAMESPACE, SYSTEM_NAMESPACE], namespaces=namespaces, opts=opts)
    Alertmanager(
        alertmanager_config(catalogue),
        image=images.ALERTMANAGER,
        url=settings.alertmanager_url,
        address=None,
        standing=_alertmanagers(settings.monitoring),
        has_secret_webhooks=has_secret_webhooks(catalogue),
        namespaces=namespaces,
        opts=opts,
    )
    Prometheus(
        scraping_of(settings, catalogue),
        rules=rule_files(
            catalogue,
            scrape_interval=settings.prometheus.scrape_interval,
            exporters=targets_of(settings, catalogue).exporters,
        ),
        image=images.PROMETHEUS,
        url=settings.prometheus_url,
        address=None,
        standing=_servers(settings.monitoring),
        memory=(settings.monitoring.prometheus_memory, settings.monitoring.prometheus_memory),
        namespaces=namespaces,
        opts=opts,
    )
    _exporters(settings.monitoring, namespaces, opts)


def _exporters(settings: MonitoringSettings, namespaces: Namespaces, opts: pulumi.ResourceOptions) -> None:
    if settings.kube_state_metrics:
        KubeStateMetrics(namespaces=namespaces, opts=opts)
    if settings.node_exporter:
        NodeExporter(namespaces=namespaces, opts=opts)
    if settings.probes:
        BlackboxExporter(namespaces=namespaces, opts=opts)


def _servers(settings: MonitoringSettings) -> Standing:
    return Standing(
        replicas=settings.prometheus_replicas,
        named=True,
        storage=settings.prometheus_storage,
        storage_class=settings.storage_class,
        protect=settings.protect,
        grace_seconds=GRACE_SECONDS,
    )


def _alertmanagers(settings: MonitoringSettings) -> Standing:
    return Standing(
        replicas=settings.alertmanager_replicas,
        named=True,
        storage=settings.alertmanager_storage,
        storage_class=settings.storage_class,
        protect=settings.protect,
    )
