"""What is measured, where it is kept, and for how long."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from quarterdeck_stacks.settings.keys import (
    assignments,
    choice,
    count,
    duration,
    flag,
    group,
    key,
    receivers,
    storage,
    text,
    url,
    urls,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta


class Scale(StrEnum):
    """How far the monitoring goes beyond one process."""

    SINGLE = "single"
    """One Prometheus, one Alertmanager: what is lost with a node is lost."""
    HA = "ha"
    """Two or more of each that see the same; a gap in one is filled from no other."""
    DISTRIBUTED = "distributed"
    """The same, behind Thanos: deduplicated, and kept in an object store."""


class StoreKind(StrEnum):
    """Where blocks of samples, logs and traces can be kept: the schemes of `objectStore`."""

    S3 = "s3"
    GCS = "gs"
    AZURE = "azblob"
    FILE = "file"
    """A folder: for one machine and for tests."""


@dataclass(frozen=True, slots=True)
class ObjectStore:
    """A bucket, as its URL says."""

    kind: StoreKind
    bucket: str
    """Name of the bucket or of Azure's container; a folder's path for `file`."""
    options: Mapping[str, str]
    """The URL's query: `region` and `endpoint` of S3, `account` of Azure."""


_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")

_OPTIONS = {StoreKind.S3: frozenset({"region", "endpoint"}), StoreKind.AZURE: frozenset({"account"})}
"""What a bucket's URL may say beside its name. Credentials are in the Secret that `objectStoreSecret` names."""


def _object_store(value: str) -> ObjectStore | None:
    if not value:
        return None
    parts = urlsplit(value)
    kinds = [kind for kind in StoreKind if kind == parts.scheme]
    bucket = parts.path if parts.scheme == StoreKind.FILE else parts.netloc
    if not kinds or not bucket or bucket == "/":
        raise ValueError(f"expected s3://bucket?region=…, gs://bucket or azblob://container?account=…, found {value!r}")
    options = dict(parse_qsl(parts.query))
    needed = {StoreKind.S3: "region", StoreKind.AZURE: "account"}.get(kinds[0])
    if needed and needed not in options:
        raise ValueError(f"expected a URL with ?{needed}=…, found {value!r}")
    known = _OPTIONS.get(kinds[0], frozenset())
    for name in sorted(options.keys() - known):
        # Its value may be a credential, so only the name is shown.
        raise ValueError(f"expected nothing after ? but {' and '.join(sorted(known)) or 'nothing'}, found {name}")
    return ObjectStore(kinds[0], bucket, options)


def _secret_name(value: str) -> str:
    # Also the name of a volume, which has no dots.
    if value and not _LABEL.fullmatch(value):
        raise ValueError(f"expected the name of a Secret, of small letters, digits and dashes, found {value!r}")
    return value


@dataclass(frozen=True, slots=True)
class PrometheusSettings:
    """Numbers of Prometheus."""

    scrape_interval: timedelta = key("scrapeInterval", duration)
    """Also the interval of rule evaluation: a measurement is no older than this."""
    retention: timedelta = key("retention", duration)
    """Samples older than this are deleted from Prometheus' own disk."""


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Numbers of Loki."""

    enabled: bool = key("logs", flag)
    """Whether logs are collected and kept."""
    retention: timedelta = key("logsRetention", duration)
    """Lines older than this are deleted."""
    storage: str = key("logsStorage", storage)
    """Size of Loki's own volume: the write-ahead log and, without an object store, everything."""


@dataclass(frozen=True, slots=True)
class TraceSettings:
    """Numbers of Tempo, and of what is sampled for it."""

    enabled: bool = key("traces", flag)
    """Whether traces are kept."""
    retention: timedelta = key("tracesRetention", duration)
    """Traces older than this are deleted."""
    storage: str = key("tracesStorage", storage)
    """Size of Tempo's own volume: the write-ahead log and, without an object store, everything."""
    sampled_percent: int = key("tracesSampledPercent", count(0, 100))
    """Percent of the traces that are neither slow nor failed that are kept; slow and failed ones always are."""
    slow: timedelta = key("tracesSlow", duration)
    """A trace that takes longer is kept."""


@dataclass(frozen=True, slots=True)
class CollectorSettings:
    """Numbers of the OpenTelemetry Collector's gateway."""

    enabled: bool = key("collector", flag)
    """Whether there are an agent on each node and a gateway behind them."""
    replicas: int = key("collectorReplicas", count(1, 100))
    """Gateways that traces are spread over, by trace id."""
    queue: str = key("collectorQueue", storage)
    """Size of each gateway's volume for what a back end has not taken yet; empty keeps the queue in memory."""
    memory: str = key("collectorMemory", storage)
    """Memory limit of a gateway; its memory limiter refuses spans before that."""


@dataclass(frozen=True, slots=True)
class DatadogSettings:
    """Datadog's agents, where metrics are sent there, too."""

    enabled: bool = key("datadog", flag)
    """Whether Datadog's agent and cluster agent run."""
    site: str = key("datadogSite", text)
    """Datadog's site: `datadoghq.com`, `datadoghq.eu`."""
    secret: str = key("datadogSecret", text)
    """Name of a Secret with `api-key` and `token`: 32 characters or more, which agents show to the cluster agent. It
    is made by somebody else, never by the stack, in the system namespace and in the node agents'."""


@dataclass(frozen=True, slots=True)
class MonitoringSettings:
    """What is measured beside the services, and what it is kept in."""

    scale: Scale = key("monitoringScale", choice(Scale))
    """`single`, `ha` or `distributed`."""
    prometheus_replicas: int = key("prometheusReplicas", count(1, 10))
    """Prometheus servers that scrape the same."""
    prometheus_storage: str = key("prometheusStorage", storage)
    """Size of each Prometheus' volume; empty is the node's disk, gone with the pod."""
    prometheus_memory: str = key("prometheusMemory", storage)
    """Memory limit of each Prometheus, and its request."""
    alertmanager_replicas: int = key("alertmanagerReplicas", count(1, 10))
    """Alertmanagers that agree on what has been sent."""
    alertmanager_storage: str = key("alertmanagerStorage", storage)
    """Size of each Alertmanager's volume, which holds silences; empty is the node's disk, gone with the pod."""
    storage_class: str = key("storageClass", text)
    """StorageClass of every volume; empty is the cluster's default."""
    protect: bool = key("protectData", flag)
    """Whether Pulumi refuses to delete what holds data."""
    object_store: ObjectStore | None = key("objectStore", _object_store)
    """URL of the bucket that long-term samples, logs and traces are kept in; empty is none."""
    object_store_identity: str = key("objectStoreIdentity", text)
    """Who the pods that use the bucket are to the cloud: a role's ARN, a service account's address, a client id. Empty
    where `objectStoreSecret` names credentials, or the nodes have them."""
    object_store_secret: str = key("objectStoreSecret", _secret_name)
    """Name of a Secret in the system namespace with credentials, for buckets without workload identity: `objstore.yml`
    for Thanos; for Loki and Tempo the keys of S3 or Azure, or `google.json`."""
    long_term_retention: timedelta = key("longTermRetention", duration)
    """With `distributed`: samples in the object store older than this are deleted."""
    remote_write: dict[str, str] = key("remoteWrite", receivers)
    """Name to URL of what every sample is also sent to. With https, a Secret `remote-write-NAME` in its namespace
    has a `token`, and Prometheus waits for it; with http no token is ever sent."""
    grafana: bool = key("grafana", flag)
    """Whether Grafana runs, with the catalogue's dashboards."""
    grafana_url: str = key("grafanaUrl", url)
    """Where people reach Grafana; empty is its Service, for `kubectl port-forward`."""
    grafana_password: str = key("grafanaPassword", text, shown=False)
    """The password of Grafana's administrator, a Pulumi secret. Empty: a Secret `grafana-admin` in the system namespace
    has it as `password`, made by somebody else; Grafana waits for it. Not shown."""
    kube_state_metrics: bool = key("kubeStateMetrics", flag)
    """Whether kube-state-metrics runs: the state of pods, deployments and nodes."""
    node_exporter: bool = key("nodeExporter", flag)
    """Whether node-exporter runs on each node: disks, memory, processors."""
    metrics_server: bool = key("metricsServer", flag)
    """Whether metrics-server runs, which autoscalers ask. GKE and AKS have their own."""
    probes: tuple[str, ...] = key("probes", urls)
    """URLs that are asked from inside the cluster as a client would; empty runs no blackbox-exporter."""
    operator: bool = key("prometheusOperator", flag)
    """Whether rules and targets are written as PrometheusRule, PodMonitor and ServiceMonitor, for an operator that is
    there. The stack then has no Prometheus, Alertmanager or exporters of its own: who runs the operator has them."""
    operator_labels: dict[str, str] = key("prometheusOperatorLabels", assignments)
    """Labels by which that operator's Prometheus selects them: `release=NAME` for kube-prometheus-stack."""
    prometheus_url: str = key("prometheusUrl", text)
    """With an operator: base URL of its Prometheus, for Grafana and the operator's commands."""
    alertmanager_url: str = key("alertmanagerUrl", text)
    """With an operator: base URL of its Alertmanager."""
    collector: CollectorSettings = group(CollectorSettings)
    logs: LogSettings = group(LogSettings)
    traces: TraceSettings = group(TraceSettings)
    datadog: DatadogSettings = group(DatadogSettings)
