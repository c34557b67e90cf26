"""What each of the cluster's alerts is proved by. Those of services are in `evidence`, which says what evidence is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_dashboards.proof.evidence import RATE, Evidence, Signal, grows

if TYPE_CHECKING:
    from collections.abc import Mapping

DAY = 86_400
"""Seconds."""

_OF_POD = {"namespace": "shop", "pod": "checkout-6c8f9d7b5-x2x7q"}
_CONTAINER = {**_OF_POD, "container": "checkout"}
_DEPLOYMENT = {"namespace": "shop", "deployment": "checkout-canary"}
_CLAIM = {"namespace": "shop", "persistentvolumeclaim": "data"}
_DISK = {"instance": "node-1:9100", "device": "/dev/vda", "mountpoint": "/"}
_EXT4 = {**_DISK, "fstype": "ext4"}
_SITE = {"instance": "https://shop.example"}
_RABBITMQ = {"namespace": "queues", "vhost": "/", "queue": "orders"}
_CELERY = {"namespace": "queues", "queue_name": "orders"}
_EXPORTER = {"exporter": "otlp"}
_RECEIVER = {"receiver": "otlp"}


def _grown(name: str) -> Evidence:
    return Evidence((grows(name),), holds=RATE)


def _grown_among(name: str, others: tuple[str, ...]) -> Evidence:
    return Evidence(
        (grows(name), *(Signal(other, 0, 0, is_counter=True) for other in others)),
        holds=RATE,
    )


def _queue(name: str, labels: Mapping[str, str]) -> Evidence:
    """A queue that doubled, and not just now: its shortest of 15 minutes against its longest an hour before."""
    return Evidence((Signal(name, 100, 201, 200, labels),), labels, breaks=80, takes=14, comes_up=True)


OF_CLUSTER: Mapping[str, Evidence] = {
    "Watchdog": Evidence((), breaks=0),
    "PrometheusConfigInvalid": Evidence((Signal("prometheus_config_last_reload_successful", 1, 0),)),
    "PrometheusRulesFailing": _grown("prometheus_rule_evaluation_failures_total"),
    "PrometheusRulesLate": _grown("prometheus_rule_group_iterations_missed_total"),
    "PrometheusWithoutAlertmanager": Evidence((Signal("prometheus_notifications_alertmanagers_discovered", 1, 0),)),
    "PrometheusNotificationsLost": _grown("prometheus_notifications_dropped_total"),
    "PrometheusDiscoveryFailing": _grown("prometheus_sd_kubernetes_failures_total"),
    "PrometheusStorageFailing": _grown_among(
        "prometheus_tsdb_wal_corruptions_total",
        (
            "prometheus_tsdb_compactions_failed_total",
            "prometheus_tsdb_head_truncations_failed_total",
            "prometheus_tsdb_reloads_failures_total",
            "prometheus_tsdb_wal_truncations_failed_total",
            "prometheus_tsdb_wal_writes_failed_total",
        ),
    ),
    "PrometheusScrapesRefused": _grown_among(
        "prometheus_target_scrapes_exceeded_sample_limit_total",
        (
            "prometheus_target_scrapes_exceeded_body_size_limit_total",
            "prometheus_target_scrape_pool_exceeded_label_limits_total",
            "prometheus_target_scrape_pool_exceeded_target_limit_total",
        ),
    ),
    "PrometheusSamplesRefused": _grown_among(
        "prometheus_target_scrapes_sample_duplicate_timestamp_total",
        (
            "prometheus_target_scrapes_sample_out_of_order_total",
            "prometheus_target_scrapes_sample_out_of_bounds_total",
        ),
    ),
    "TargetDown": Evidence(
        (Signal("up", 1, 0, labels={**_OF_POD, "service": "checkout"}),), {**_OF_POD, "service": "checkout"}
    ),
    "PrometheusRemoteWriteBehind": Evidence(
        (
            Signal(
                "prometheus_remote_storage_queue_highest_timestamp_seconds", 1000, 1000, 1000, {"remote_name": "far"}
            ),
            Signal(
                "prometheus_remote_storage_queue_highest_sent_timestamp_seconds", 995, 879, 880, {"remote_name": "far"}
            ),
        ),
        {"remote_name": "far"},
    ),
    "AlertmanagerConfigInvalid": Evidence(
        (Signal("alertmanager_config_last_reload_successful", 1, 0, labels={"pod": "a"}),), {"pod": "a"}
    ),
    "AlertmanagerNotificationsFailing": Evidence(
        (grows("alertmanager_notifications_failed_total", {"integration": "webhook", "reason": "serverError"}),),
        {"integration": "webhook"},
        holds=RATE,
    ),
    "AlertmanagerMembersDisagree": Evidence(
        (
            Signal("alertmanager_cluster_members", 2, 1, labels={"pod": "a"}),
            Signal("alertmanager_cluster_members", 2, 2, labels={"pod": "b"}),
        )
    ),
    "CollectorSendingFails": Evidence(
        (
            Signal("otelcol_exporter_send_failed_metric_points_total", 0, 0, labels=_EXPORTER, is_counter=True),
            grows("otelcol_exporter_send_failed_spans_total", _EXPORTER),
        ),
        _EXPORTER,
        holds=RATE,
    ),
    "CollectorQueueFilling": Evidence(
        (
            Signal("otelcol_exporter_queue_size", 0, 801, 800, {"pod": "a", "data_type": "traces", **_EXPORTER}),
            Signal(
                "otelcol_exporter_queue_capacity", 1000, 1000, 1000, {"pod": "a", "data_type": "traces", **_EXPORTER}
            ),
        ),
        {"pod": "a", **_EXPORTER},
    ),
    "CollectorRefuses": Evidence(
        (grows("otelcol_receiver_refused_spans", {**_RECEIVER, "transport": "grpc"}),), _RECEIVER, holds=RATE
    ),
    "ContainerCrashLooping": Evidence(
        (
            Signal(
                "kube_pod_container_status_waiting_reason", 0, 1, labels={**_CONTAINER, "reason": "CrashLoopBackOff"}
            ),
        ),
        {**_CONTAINER, "service": "checkout"},
        holds=RATE,
    ),
    "ContainerRestarting": Evidence(
        (Signal("kube_pod_container_status_restarts_total", 0, 1, 0.04, _CONTAINER, is_counter=True),),
        {**_CONTAINER, "service": "checkout"},
        takes=3,
        holds=60,
    ),
    "ImagePullFailing": Evidence(
        (Signal("kube_pod_container_status_waiting_reason", 0, 1, labels={**_CONTAINER, "reason": "ErrImagePull"}),),
        {**_CONTAINER, "service": "checkout"},
        holds=RATE,
    ),
    "ContainerConfigInvalid": Evidence(
        (
            Signal(
                "kube_pod_container_status_waiting_reason",
                0,
                1,
                labels={**_CONTAINER, "reason": "CreateContainerConfigError"},
            ),
        ),
        {**_CONTAINER, "service": "checkout"},
        holds=RATE,
    ),
    "PodUnschedulable": Evidence(
        (Signal("kube_pod_status_unschedulable", 0, 1, labels=_OF_POD),), {**_OF_POD, "service": "checkout"}
    ),
    "PodNotReady": Evidence(
        (
            Signal("kube_pod_status_ready", 0, 1, 1, {**_OF_POD, "condition": "false"}),
            Signal("kube_pod_status_phase", 1, 1, 0, {**_OF_POD, "phase": "Running"}),
            Signal("kube_pod_info", 1, 1, 1, {**_OF_POD, "node": "node-1"}),
        ),
        {**_OF_POD, "node": "node-1", "service": "checkout"},
    ),
    "DeploymentReplicasMissing": Evidence(
        (
            Signal("kube_deployment_spec_replicas", 3, 3, labels=_DEPLOYMENT),
            Signal("kube_deployment_status_replicas_available", 3, 2, labels=_DEPLOYMENT),
        ),
        {**_DEPLOYMENT, "service": "checkout"},
    ),
    "NodeNotReady": Evidence(
        (
            Signal(
                "kube_node_status_condition", 1, 0, labels={"node": "node-1", "condition": "Ready", "status": "true"}
            ),
        ),
        {"node": "node-1"},
    ),
    "MemoryNearLimit": Evidence(
        (
            Signal("container_memory_working_set_bytes", 100, 910, 900, _CONTAINER),
            Signal("kube_pod_container_resource_limits", 1000, 1000, 1000, {**_CONTAINER, "resource": "memory"}),
        ),
        {**_CONTAINER, "service": "checkout"},
    ),
    "VolumeFull": Evidence(
        (
            Signal("kubelet_volume_stats_available_bytes", 500, 29, 30, _CLAIM),
            Signal("kubelet_volume_stats_capacity_bytes", 1000, 1000, 1000, _CLAIM),
        ),
        _CLAIM,
    ),
    "VolumeFilling": Evidence(
        (
            Signal("kubelet_volume_stats_available_bytes", 500, 190, 190, _CLAIM),
            Signal("kubelet_volume_stats_capacity_bytes", 1000, 1000, 1000, _CLAIM),
        ),
        _CLAIM,
    ),
    "DiskFull": Evidence(
        (
            Signal("node_filesystem_avail_bytes", 500, 29, 30, _EXT4),
            Signal("node_filesystem_size_bytes", 1000, 1000, 1000, _EXT4),
            Signal("node_filesystem_readonly", 0, 0, 0, _EXT4),
        ),
        _DISK,
    ),
    "DiskFilling": Evidence(
        (
            Signal("node_filesystem_avail_bytes", 500, 190, 190, _EXT4),
            Signal("node_filesystem_size_bytes", 1000, 1000, 1000, _EXT4),
            Signal("node_filesystem_readonly", 0, 0, 0, _EXT4),
        ),
        _DISK,
    ),
    "CertificateExpiring page": Evidence(
        (Signal("probe_ssl_earliest_cert_expiry", 90 * DAY, 2 * DAY, 3.1 * DAY, _SITE),), _SITE
    ),
    "CertificateExpiring ticket": Evidence(
        (Signal("probe_ssl_earliest_cert_expiry", 90 * DAY, 13 * DAY, 14.2 * DAY, _SITE),), _SITE
    ),
    "QueueGrowing rabbitmq": _queue("rabbitmq_queue_messages_ready", _RABBITMQ),
    "QueueUnconsumed rabbitmq": Evidence(
        (
            Signal("rabbitmq_queue_messages_ready", 5, 5, 0, _RABBITMQ),
            Signal("rabbitmq_queue_consumers", 1, 0, 0, _RABBITMQ),
        ),
        _RABBITMQ,
    ),
    "RabbitmqBlocksPublishers": Evidence(
        (
            Signal("rabbitmq_alarms_memory_used_watermark", 0, 1, labels={"namespace": "queues", "pod": "a"}),
            Signal("rabbitmq_alarms_free_disk_space_watermark", 0, 0, labels={"namespace": "queues", "pod": "a"}),
        ),
        {"namespace": "queues"},
    ),
    "QueueGrowing celery": _queue("celery_queue_length", _CELERY),
    "QueueUnconsumed celery": Evidence(
        (Signal("celery_queue_length", 5, 5, 0, _CELERY), Signal("celery_active_worker_count", 1, 0, 0, _CELERY)),
        _CELERY,
    ),
}
"""Of the cluster's alerts, by name; by name and severity or group where several have one name."""


def of_cluster(name: str, severity: str, group: str) -> Evidence:
    """Return what the cluster's alert *name* of *severity* in *group* is proved by.

    Raises:
        KeyError: nothing: it is not proved.
    """
    keys = (name, f"{name} {severity}", f"{name} {group}")
    return next(OF_CLUSTER[key] for key in keys if key in OF_CLUSTER)
