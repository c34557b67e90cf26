"""What an environment's monitoring is, from settings and catalogue: what is scraped, kept, and let through. Pure.

Which objects that makes is in `components`; the values of Pulumi.yaml are in `settings`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from quarterdeck_contract.errors import UsageError
from quarterdeck_contract.kubernetes import METRICS_PORT, NODE_NAMESPACE, SYSTEM_NAMESPACE
from quarterdeck_stacks import datadog
from quarterdeck_stacks import targets as t
from quarterdeck_stacks.flows import Flow, to_api_server
from quarterdeck_stacks.operator_objects import Operated
from quarterdeck_stacks.reach import PREVIEW, Peer
from quarterdeck_stacks.scraping import Scraping
from quarterdeck_stacks.settings import ALERTMANAGER_PORT, GRAFANA_PORT, PREVIEWED, PROMETHEUS_PORT, ClusterKind, Scale
from quarterdeck_stacks.targets import Probe, Targets
from quarterdeck_stacks.telemetry import places
from quarterdeck_stacks.telemetry.topology import telemetry_flows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quarterdeck_dashboards.catalogue import Catalogue
    from quarterdeck_stacks.settings import Settings

GOSSIP_PORT = 9094
"""Where Alertmanagers tell each other, over TCP and UDP."""
WEBHOOKS_SECRET = "alertmanager-webhooks"  # noqa: S105 -- a Secret's name
"""A Secret that somebody makes: a webhook that is secret is a file of it, and the catalogue names its path."""
WEBHOOKS_DIRECTORY = f"/etc/{WEBHOOKS_SECRET}"
"""Where Alertmanager has it."""
METRICS_SERVER_PORT = 10250

PROMETHEUS, ALERTMANAGER, GRAFANA = (Peer(SYSTEM_NAMESPACE, name) for name in ("prometheus", "alertmanager", "grafana"))
_STATE = Peer(SYSTEM_NAMESPACE, t.KUBE_STATE_METRICS)
_BLACKBOX = Peer(SYSTEM_NAMESPACE, t.BLACKBOX_EXPORTER)
_METRICS_SERVER = Peer(SYSTEM_NAMESPACE, "metrics-server")
_NODES = Peer(NODE_NAMESPACE, t.NODE_EXPORTER)

_KUBELETS_SIGNED_BY_CLUSTER = frozenset({ClusterKind.EKS})
"""Clusters whose authority signs the kubelets' certificates with the nodes' addresses in them: there, metrics-server
runs without `--kubelet-insecure-tls`. Elsewhere it depends on how the cluster was made."""


def targets_of(settings: Settings, catalogue: Catalogue) -> Targets:
    """Return what is scraped beside the services."""
    monitoring = settings.monitoring
    return Targets(
        kubelets=True,
        verify_kubelets=verifies_kubelets(settings),
        kube_state_metrics=monitoring.kube_state_metrics,
        node_exporter=monitoring.node_exporter,
        probes=tuple(_probes(settings, catalogue)) if monitoring.probes else (),
        collector=monitoring.collector.enabled,
        remote_write=bool(monitoring.remote_write),
    )


def verifies_kubelets(settings: Settings) -> bool:
    """Return whether the kubelets' certificates can be checked against the cluster's authority."""
    return settings.cluster.kind in _KUBELETS_SIGNED_BY_CLUSTER


def scraping_of(settings: Settings, catalogue: Catalogue) -> Scraping:
    """Return what Prometheus is configured with."""
    monitoring = settings.monitoring
    return Scraping(
        cluster=settings.environment,
        interval=settings.prometheus.scrape_interval,
        retention=settings.prometheus.retention,
        namespaces=[*service_namespaces(catalogue), NODE_NAMESPACE],
        targets=targets_of(settings, catalogue),
        is_one_of_many=monitoring.prometheus_replicas > 1 or monitoring.scale is Scale.DISTRIBUTED,
        storage=monitoring.prometheus_storage,
        remote_write=monitoring.remote_write,
        receives=monitoring.collector.enabled,
        changes=settings.shape == PREVIEWED,
    )


def service_namespaces(catalogue: Catalogue) -> list[str]:
    """Return the namespaces of the catalogue's services."""
    return sorted({service.namespace for service in catalogue.services})


def addresses_of(settings: Settings) -> dict[str, str]:
    """Return the variables that Grafana's data sources are provisioned with."""
    monitoring = settings.monitoring
    addresses = {"PROMETHEUS_URL": settings.prometheus_url}
    if monitoring.traces.enabled:
        addresses["TRACES_URL"] = places.url(places.TEMPO, places.TEMPO_PORT)
    if monitoring.logs.enabled:
        addresses["LOGS_URL"] = places.url(places.LOKI, places.LOKI_PORT)
    return addresses


def operated_of(settings: Settings, catalogue: Catalogue) -> Operated:
    """Return what the Prometheus of an operator that is there is told."""
    return Operated(
        cluster=settings.environment,
        interval=settings.prometheus.scrape_interval,
        namespaces=service_namespaces(catalogue),
        labels=settings.monitoring.operator_labels,
    )


def has_secret_webhooks(catalogue: Catalogue) -> bool:
    """Return whether a webhook is a file of the Secret that Alertmanager mounts.

    Raises:
        UsageError: it is a file anywhere else, which no pod of the stack has.
    """
    files = {owner: webhook for owner, webhook in catalogue.webhooks.items() if webhook.startswith("/")}
    for owner, path in sorted(files.items()):
        if not path.startswith(f"{WEBHOOKS_DIRECTORY}/"):
            raise UsageError(
                f"the webhook of {owner} to be a URL, or a file in {WEBHOOKS_DIRECTORY}",
                path,
                f"put it into the Secret {WEBHOOKS_SECRET} of the namespace {SYSTEM_NAMESPACE}, and name it there",
            )
    return bool(files)


def flows_of(settings: Settings, catalogue: Catalogue) -> list[Flow]:
    """Return every connection that the monitoring needs; those of one service and its callers are that service's."""
    found = [
        *_scrapes(settings, catalogue),
        *_alerts(catalogue),
        *_asked(settings),
        *_exporters(settings, catalogue),
        *telemetry_flows(settings, service_namespaces(catalogue)),
        *(datadog.flows() if settings.monitoring.datadog.enabled else ()),
    ]
    return _with_an_operators(found, settings) if settings.monitoring.operator else found


def _with_an_operators(flows: list[Flow], settings: Settings) -> list[Flow]:
    """Return *flows* with the Prometheus of an operator, in a namespace that the stack does not know, for its own."""
    named = [
        replace(
            flow,
            source=None if flow.source == PROMETHEUS else flow.source,
            target=None if flow.target == PROMETHEUS else flow.target,
            port=_port_of(settings.prometheus_url) if flow.target == PROMETHEUS else flow.port,
        )
        for flow in flows
    ]
    gone = {ALERTMANAGER, _STATE, _NODES, _BLACKBOX}
    return [
        flow for flow in named if not gone & {flow.source, flow.target} and (flow.source, flow.target) != (None, None)
    ]


def _probes(settings: Settings, catalogue: Catalogue) -> Iterator[Probe]:
    yield from (Probe(url) for url in settings.monitoring.probes)
    for service in catalogue.services:
        if service.serves:
            url = f"http://{service.name}.{service.namespace}.svc:{service.port}{service.health}"
            yield Probe(url, service.namespace, service.name)


def _scrapes(settings: Settings, catalogue: Catalogue) -> Iterator[Flow]:
    monitoring = settings.monitoring
    yield from to_api_server(PROMETHEUS)
    yield Flow(PROMETHEUS, PROMETHEUS, PROMETHEUS_PORT)
    yield Flow(PROMETHEUS, ALERTMANAGER, ALERTMANAGER_PORT)
    # A kubelet is a process of its node.
    yield Flow(PROMETHEUS, None, t.KUBELET_PORT)
    for namespace in service_namespaces(catalogue):
        yield Flow(PROMETHEUS, Peer(namespace), METRICS_PORT)
    if settings.shape == PREVIEWED:
        yield Flow(PROMETHEUS, Peer("", label=PREVIEW), METRICS_PORT)
    if monitoring.grafana:
        yield Flow(PROMETHEUS, GRAFANA, GRAFANA_PORT)
    if monitoring.kube_state_metrics:
        yield Flow(PROMETHEUS, _STATE, t.KUBE_STATE_METRICS_PORT)
        yield Flow(PROMETHEUS, _STATE, t.KUBE_STATE_METRICS_OWN_PORT)
    if monitoring.node_exporter:
        yield Flow(PROMETHEUS, _NODES, t.NODE_EXPORTER_PORT)
    if monitoring.probes:
        yield Flow(PROMETHEUS, _BLACKBOX, t.BLACKBOX_EXPORTER_PORT)
    yield from (Flow(PROMETHEUS, None, _port_of(url)) for url in monitoring.remote_write.values())


def _alerts(catalogue: Catalogue) -> Iterator[Flow]:
    for protocol in ("TCP", "UDP"):
        yield Flow(ALERTMANAGER, ALERTMANAGER, GOSSIP_PORT, protocol)
    # What a file says is a secret, its port too; webhooks are spoken to over TLS.
    ports = {443 if webhook.startswith("/") else _port_of(webhook) for webhook in catalogue.webhooks.values()}
    yield from (Flow(ALERTMANAGER, None, port) for port in sorted(ports))


def _asked(settings: Settings) -> Iterator[Flow]:
    if settings.monitoring.grafana:
        yield Flow(GRAFANA, PROMETHEUS, PROMETHEUS_PORT)
        if settings.monitoring.traces.enabled:
            yield Flow(GRAFANA, Peer(SYSTEM_NAMESPACE, places.TEMPO), places.TEMPO_PORT)
        if settings.monitoring.logs.enabled:
            yield Flow(GRAFANA, Peer(SYSTEM_NAMESPACE, places.LOKI), places.LOKI_PORT)
        if settings.monitoring.grafana_url:
            # From an ingress controller or a gateway, in a namespace that the stack does not know.
            yield Flow(None, GRAFANA, GRAFANA_PORT)


def _exporters(settings: Settings, catalogue: Catalogue) -> Iterator[Flow]:
    monitoring = settings.monitoring
    if monitoring.kube_state_metrics:
        yield from to_api_server(_STATE)
    if monitoring.probes:
        for probe in _probes(settings, catalogue):
            yield Flow(_BLACKBOX, Peer(probe.namespace, probe.service) if probe.service else None, _port_of(probe.url))
    if monitoring.metrics_server:
        yield from to_api_server(_METRICS_SERVER)
        yield Flow(_METRICS_SERVER, None, t.KUBELET_PORT)
        # The API server asks it, from outside of any pod.
        yield Flow(None, _METRICS_SERVER, METRICS_SERVER_PORT)


def _port_of(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or (443 if parts.scheme == "https" else 80)
