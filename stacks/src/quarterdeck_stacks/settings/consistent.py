"""Which settings go together, whatever the catalogue says: refused before any resource is registered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_contract.errors import UsageError
from quarterdeck_stacks.settings.cloud import vcpus
from quarterdeck_stacks.settings.cluster import ClusterKind
from quarterdeck_stacks.settings.monitoring import Scale

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quarterdeck_stacks.settings.cluster import ClusterSettings
    from quarterdeck_stacks.settings.monitoring import MonitoringSettings
    from quarterdeck_stacks.settings.stack import Settings

_ZONES = {ClusterKind.EKS: range(2, 4), ClusterKind.GKE: range(4), ClusterKind.AKS: range(4)}
"""How many zones a cloud takes. EKS wants subnets in two, and the network that is made has room for three."""

_HAVE_METRICS_SERVER = frozenset({ClusterKind.GKE, ClusterKind.AKS})
"""Clouds that run metrics-server in every cluster."""


def check_consistent(settings: Settings) -> None:
    """Refuse *settings* that contradict each other.

    Raises:
        UsageError: they do, with the first contradiction.
    """
    found = (
        *_preview(settings),
        *_local(settings),
        *_cluster(settings.cluster, metrics_server=settings.monitoring.metrics_server),
        *_machines(settings),
        *_monitoring(settings.monitoring),
        *_operated(settings.monitoring),
    )
    for refusal in found:
        raise refusal


def _preview(settings: Settings) -> Iterator[UsageError]:
    if settings.is_preview and settings.cluster.made:
        yield UsageError(
            "a change's environment in the cluster of dev, which the stack dev makes",
            f"clusterKind {settings.cluster.kind}",
            "`pulumi config set clusterKind existing`, with dev's kubeconfig",
        )


def _local(settings: Settings) -> Iterator[UsageError]:
    """Yield what only makes sense on nodes, where pods are processes: it would be left out in silence."""
    monitoring = settings.monitoring
    asked = {
        "grafana": monitoring.grafana,
        "kubeStateMetrics": monitoring.kube_state_metrics,
        "nodeExporter": monitoring.node_exporter,
        "collector": monitoring.collector.enabled,
        "logs": monitoring.logs.enabled,
        "traces": monitoring.traces.enabled,
        "datadog": monitoring.datadog.enabled,
        "metricsServer": monitoring.metrics_server,
        "prometheusOperator": monitoring.operator,
        "protectData": monitoring.protect,
    }
    given = {
        "monitoringScale": monitoring.scale is not Scale.SINGLE,
        "alertmanagerReplicas": monitoring.alertmanager_replicas > 1,
        "prometheusStorage": bool(monitoring.prometheus_storage),
        "alertmanagerStorage": bool(monitoring.alertmanager_storage),
        "objectStore": monitoring.object_store is not None,
        "remoteWrite": bool(monitoring.remote_write),
        "probes": bool(monitoring.probes),
        "quotaCpu": bool(settings.quota.cpu),
        "quotaMemory": bool(settings.quota.memory),
        "clusterKind": settings.cluster.made,
        "clusterUid": bool(settings.cluster.uid),
    }
    steps = {
        **{key: f"`pulumi config set {key} false`" for key, wanted in asked.items() if wanted},
        **{key: f"`pulumi config rm {key}`" for key, is_given in given.items() if is_given},
    }
    for key, step in steps.items() if settings.shape == "local" else ():
        yield UsageError(
            f"no {key} in the environment local: one Prometheus and one Alertmanager, as processes",
            "a value that would have no effect",
            f"{step}, or the shape of another environment",
        )


def _cluster(cluster: ClusterSettings, *, metrics_server: bool) -> Iterator[UsageError]:
    cloud = cluster.cloud
    if not cluster.made:
        if not cluster.kubeconfig and not cluster.context:
            yield UsageError(
                "a kubeconfig or a context, which says what cluster this stack belongs to",
                "neither",
                "`pulumi config set context …`; the current context of whoever runs this is not asked",
            )
        return
    kind = cluster.kind
    if kind in _HAVE_METRICS_SERVER and metrics_server:
        yield UsageError(
            f"no metricsServer of the stack's in a cluster of kind {kind}, which has its own",
            "one, which would take its API from it",
            "`pulumi config set metricsServer false`",
        )
    if cluster.kubeconfig:
        yield UsageError(
            f"no kubeconfig where the stack makes the cluster (clusterKind {kind})",
            "one",
            "remove it, or `pulumi config set clusterKind existing`",
        )
    for key, value in (("clusterAccount", cloud.account), ("clusterRegion", cloud.region), ("nodePools", cloud.pools)):
        if not value:
            yield UsageError(
                f"a value for {key}, which a cluster of kind {kind} is made with",
                "none",
                f"`pulumi config set {key} …`",
            )
    if len(cloud.zones) not in _ZONES[kind]:
        allowed = _ZONES[kind]
        yield UsageError(
            f"{allowed.start} to {allowed.stop - 1} clusterZones for a cluster of kind {kind}",
            str(len(cloud.zones)),
            "`pulumi config set --path 'clusterZones[0]' …`",
        )
    if cloud.private_api and cloud.api_from:
        yield UsageError(
            "clusterApiFrom for a public API alone",
            f"{', '.join(cloud.api_from)} with clusterPrivateApi",
            "remove one of the two",
        )
    if kind is ClusterKind.AKS and not cloud.admins:
        yield UsageError(
            "clusterAdmins: a group of Entra, since a cluster of kind aks has no accounts of its own",
            "none",
            "`pulumi config set --path 'clusterAdmins[0]' OBJECT-ID`",
        )


def _machines(settings: Settings) -> Iterator[UsageError]:
    cluster = settings.cluster
    if not cluster.made:
        return
    pools = cluster.cloud.pools
    if cluster.kind is ClusterKind.EKS:
        for pool in pools:
            if pool.smallest:
                yield UsageError(
                    f"no `min` for the pool {pool.name} on EKS, whose nodes follow the pods: there is none without any",
                    str(pool.smallest),
                    "remove `min` in nodePools, or write min=0",
                )
            if vcpus(pool.machine) is None:
                yield UsageError(
                    f"a machine for the pool {pool.name} that is neither burstable nor bare metal, such as m7g.xlarge",
                    pool.machine,
                    "choose another `type` in nodePools",
                )
    if not all(pool.spot for pool in pools):
        return
    stateful = sorted(name for name, size in _volumes(settings.monitoring).items() if size)
    if stateful or cluster.kind is ClusterKind.AKS:
        yield UsageError(
            "a node pool that the cloud does not take back, for what holds data and for the cluster's own pods",
            f"spot pools alone, {', '.join(pool.name for pool in pools)}, with {', '.join(stateful) or 'aks'}",
            "add a pool without `spot` to nodePools",
        )


def _volumes(monitoring: MonitoringSettings) -> dict[str, str]:
    """Return the size of each kind of volume that the monitoring asks for, by key."""
    return {
        "prometheusStorage": monitoring.prometheus_storage,
        "alertmanagerStorage": monitoring.alertmanager_storage,
        "collectorQueue": monitoring.collector.queue if monitoring.collector.enabled else "",
        "logsStorage": monitoring.logs.storage if monitoring.logs.enabled else "",
        "tracesStorage": monitoring.traces.storage if monitoring.traces.enabled else "",
    }


def _monitoring(monitoring: MonitoringSettings) -> Iterator[UsageError]:
    scale, replicas = monitoring.scale, monitoring.prometheus_replicas
    if scale is Scale.SINGLE and replicas > 1:
        yield UsageError(
            "one Prometheus with monitoringScale single",
            f"prometheusReplicas {replicas}",
            "`pulumi config set monitoringScale ha`, or prometheusReplicas to 1",
        )
    if scale is not Scale.SINGLE:
        counted = {"prometheusReplicas": replicas, "alertmanagerReplicas": monitoring.alertmanager_replicas}
        for key, value in counted.items():
            if value < 2:  # noqa: PLR2004 -- one is not highly available
                yield UsageError(
                    f"{key} of at least 2 with monitoringScale {scale}", str(value), f"`pulumi config set {key} 2`"
                )
    if scale is Scale.DISTRIBUTED:
        if monitoring.object_store is None:
            yield UsageError(
                "an objectStore, which monitoringScale distributed keeps samples in",
                "none",
                "`pulumi config set objectStore s3://…`, or monitoringScale to ha",
            )
        if not monitoring.prometheus_storage:
            yield UsageError(
                "prometheusStorage with monitoringScale distributed: blocks wait there until they are stored",
                "none",
                "`pulumi config set prometheusStorage 50Gi`",
            )
    for key, enabled in (("logs", monitoring.logs.enabled), ("traces", monitoring.traces.enabled)):
        if enabled and not monitoring.collector.enabled:
            yield UsageError(
                f"the collector, which {key} come through",
                f"{key} without it",
                f"`pulumi config set collector true`, or {key} to false",
            )


def _operated(monitoring: MonitoringSettings) -> Iterator[UsageError]:
    given = {"prometheusUrl": monitoring.prometheus_url, "alertmanagerUrl": monitoring.alertmanager_url}
    for key, url in given.items():
        if monitoring.operator and not url.startswith(("http://", "https://")):
            yield UsageError(
                f"{key} with prometheusOperator: where its program is asked",
                repr(url),
                f"`pulumi config set {key} http://NAME.NAMESPACE.svc:PORT`",
            )
        if url and not monitoring.operator:
            yield UsageError(
                f"{key} with prometheusOperator alone: else the program is the stack's own",
                url,
                "`pulumi config set prometheusOperator true`, or remove it",
            )
    if monitoring.operator and monitoring.scale is not Scale.SINGLE:
        yield UsageError(
            "monitoringScale single with prometheusOperator: how many there are, whoever runs the operator decides",
            monitoring.scale,
            "`pulumi config set monitoringScale single`",
        )
