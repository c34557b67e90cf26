"""The monitoring of dev, staging and prod: which of its components there are, by their settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_contract.kubernetes import NODE_NAMESPACE, SYSTEM_NAMESPACE
from quarterdeck_dashboards.build import alertmanager_config, rule_files
from quarterdeck_dashboards.dashboards.files import of_grafana
from quarterdeck_dashboards.dashboards.grafana import datasources
from quarterdeck_stacks import images
from quarterdeck_stacks.components.alertmanager import Alertmanager
from quarterdeck_stacks.components.datadog import Datadog
from quarterdeck_stacks.components.exporters import BlackboxExporter, KubeStateMetrics
from quarterdeck_stacks.components.grafana import Grafana
from quarterdeck_stacks.components.letting_through import LettingThrough
from quarterdeck_stacks.components.metrics_server import MetricsServer
from quarterdeck_stacks.components.node_exporter import NodeExporter
from quarterdeck_stacks.components.operated import OperatedPrometheus
from quarterdeck_stacks.components.prometheus import GRACE_SECONDS, Prometheus
from quarterdeck_stacks.components.server import Standing
from quarterdeck_stacks.components.thanos import Rules, Thanos, beside_prometheus
from quarterdeck_stacks.environments.telemetry import telemetry
from quarterdeck_stacks.settings import Scale
from quarterdeck_stacks.telemetry.topology import is_distributed
from quarterdeck_stacks.watch import (
    addresses_of,
    flows_of,
    has_secret_webhooks,
    operated_of,
    scraping_of,
    targets_of,
    verifies_kubelets,
)

if TYPE_CHECKING:
    import pulumi

    from quarterdeck_stacks.components.namespaces import Namespaces
    from quarterdeck_stacks.environments.shape import Environment
    from quarterdeck_stacks.settings import MonitoringSettings, Settings

_WATCHING = frozenset({"monitoring.yaml", "kubernetes.yaml"})
"""Rule files about the monitoring itself, and about pods, of which it consists."""


def monitoring(environment: Environment, namespaces: Namespaces, opts: pulumi.ResourceOptions) -> None:
    """Register Prometheus, Alertmanager, what they scrape, and who may connect to whom."""
    settings, catalogue = environment.settings, environment.catalogue
    LettingThrough(flows_of(settings, catalogue), [NODE_NAMESPACE, SYSTEM_NAMESPACE], namespaces=namespaces, opts=opts)
    if settings.monitoring.operator:
        _for_an_operator(environment, namespaces, opts)
        return
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
    interval = settings.prometheus.scrape_interval
    files = rule_files(catalogue, scrape_interval=interval, exporters=targets_of(settings, catalogue).exporters)
    distributed = is_distributed(settings)
    Prometheus(
        scraping_of(settings, catalogue),
        # What says that Thanos or Alertmanager is ill is evaluated by each Prometheus, which needs neither for it.
        rules={name: text for name, text in files.items() if name in _WATCHING} if distributed else files,
        image=images.PROMETHEUS,
        url=settings.prometheus_url,
        address=None,
        standing=_servers(settings.monitoring),
        memory=(settings.monitoring.prometheus_memory, settings.monitoring.prometheus_memory),
        beside=beside_prometheus(settings.monitoring) if distributed else None,
        namespaces=namespaces,
        opts=opts,
    )
    if distributed:
        others = {name: text for name, text in files.items() if name not in _WATCHING}
        Thanos(Rules(others, interval, settings.environment), settings.monitoring, namespaces=namespaces, opts=opts)
    telemetry(settings, namespaces, opts)
    _grafana(environment, namespaces, opts)
    _exporters(settings, namespaces, opts)


def _for_an_operator(environment: Environment, namespaces: Namespaces, opts: pulumi.ResourceOptions) -> None:
    """Register rules and targets for a Prometheus that is there: exporters and routes are of whoever runs it."""
    settings, catalogue = environment.settings, environment.catalogue
    OperatedPrometheus(
        operated_of(settings, catalogue),
        rules=rule_files(catalogue, scrape_interval=settings.prometheus.scrape_interval, exporters=()),
        namespaces=namespaces,
        opts=opts,
    )
    telemetry(settings, namespaces, opts)
    _grafana(environment, namespaces, opts)
    _agents(settings, namespaces, opts)


def _grafana(environment: Environment, namespaces: Namespaces, opts: pulumi.ResourceOptions) -> None:
    settings = environment.settings
    if settings.monitoring.grafana:
        Grafana(
            of_grafana(environment.catalogue),
            datasources=datasources(traces=settings.monitoring.traces.enabled, logs=settings.monitoring.logs.enabled),
            addresses=addresses_of(settings),
            root_url=settings.monitoring.grafana_url,
            password=settings.monitoring.grafana_password,
            namespaces=namespaces,
            opts=opts,
        )


def _exporters(settings: Settings, namespaces: Namespaces, opts: pulumi.ResourceOptions) -> None:
    chosen = settings.monitoring
    if chosen.kube_state_metrics:
        KubeStateMetrics(namespaces=namespaces, opts=opts)
    if chosen.node_exporter:
        NodeExporter(namespaces=namespaces, opts=opts)
    if chosen.probes:
        BlackboxExporter(namespaces=namespaces, opts=opts)
    _agents(settings, namespaces, opts)


def _agents(settings: Settings, namespaces: Namespaces, opts: pulumi.ResourceOptions) -> None:
    chosen = settings.monitoring
    if chosen.datadog.enabled:
        Datadog(chosen.datadog, cluster=settings.environment, namespaces=namespaces, opts=opts)
    if chosen.metrics_server:
        replicas = 1 if chosen.scale is Scale.SINGLE else 2
        MetricsServer(replicas, verify_kubelets=verifies_kubelets(settings), namespaces=namespaces, opts=opts)


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
