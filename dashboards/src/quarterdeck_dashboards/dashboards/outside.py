"""What other programs say: Kubernetes by kube-state-metrics, the kubelet and cAdvisor, queues by their own exporters.

Their series are known from recorded pages. Datadog has names of its own for what its agent reads of Kubernetes
(https://docs.datadoghq.com/integrations/kubernetes_state_core/ and https://docs.datadoghq.com/containers/kubernetes/).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_contract import labels as l_
from quarterdeck_contract.labels import Label
from quarterdeck_dashboards import promql
from quarterdeck_dashboards.dashboards.common import IN_CLUSTER
from quarterdeck_dashboards.dashboards.datadog_query import Formula, MetricQuery, tag
from quarterdeck_dashboards.dashboards.measures import Measure
from quarterdeck_dashboards.promql import Selector
from quarterdeck_dashboards.series import external
from quarterdeck_dashboards.slo.windows import RATE_WINDOW

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quarterdeck_dashboards.promql import Matcher

STATE, KUBELET, CADVISOR = "kube-state-metrics", "kubelet", "cadvisor"
RABBITMQ, CELERY = "rabbitmq", "celery-exporter"
PAGES = (STATE, KUBELET, CADVISOR, RABBITMQ, CELERY)
"""Recorded pages, in `external/`."""

CONTAINER = Label("container", "Name of a container in its pod.")
DEPLOYMENT = Label("deployment", "Name of a Deployment.")
NODE = Label("node", "Name of a node.")
PHASE = Label("phase", "What a pod is in: Pending, Running, Succeeded, Failed, Unknown.")
REASON = Label("reason", "Why a container waits: CrashLoopBackOff, ImagePullBackOff.")
RESOURCE = Label("resource", "What is limited: cpu, memory.")
CONDITION = Label("condition", "What a node says of itself: Ready, MemoryPressure; of a pod, true or false.")
STATUS = Label("status", "Whether the condition holds: true, false, unknown.")
CLAIM = Label("persistentvolumeclaim", "Name of a PersistentVolumeClaim.")
QUEUE = Label("queue", "Name of a queue, as RabbitMQ has it.")
QUEUE_NAME = Label("queue_name", "Name of a queue, as Celery has it.")

TAGS = {
    l_.NAMESPACE.name: tag(l_.NAMESPACE),
    l_.POD.name: tag(l_.POD),
    DEPLOYMENT.name: "kube_deployment",
    PHASE.name: "pod_phase",
    CLAIM.name: "persistentvolumeclaim",
}
"""Label → the tag by which Datadog's agent calls the same; others have their own names."""

DATADOG = {
    "kube_pod_status_phase": "kubernetes_state.pod.status_phase",
    "kube_pod_container_status_waiting_reason": "kubernetes_state.container.status_report.count.waiting",
    "kube_pod_container_status_restarts_total": "kubernetes.containers.restarts",
    "kube_deployment_spec_replicas": "kubernetes_state.deployment.replicas_desired",
    "kube_deployment_status_replicas_available": "kubernetes_state.deployment.replicas_available",
    "container_memory_working_set_bytes": "kubernetes.memory.working_set",
    "kubelet_volume_stats_available_bytes": "kubernetes.kubelet.volume.stats.available_bytes",
    "kubelet_volume_stats_capacity_bytes": "kubernetes.kubelet.volume.stats.capacity_bytes",
    "rabbitmq_queue_messages_ready": "rabbitmq.queue.messages_ready",
    "rabbitmq_queue_consumers": "rabbitmq.queue.consumers",
}
"""Series → the metric that Datadog's agent has of the same, in the same unit."""


def total(page: str, name: str, *conditions: Matcher, by: Sequence[Label] = ()) -> Measure:
    """Return the sum of the present values of a series on a recorded *page*."""
    single = [promql.has(QUEUE)] if QUEUE in by else []  # RabbitMQ's other page has the sum of all queues
    vector = promql.sum_by(by, _select(page, name, *conditions, *single).now)
    return Measure(vector, None if conditions else _datadog("sum", name, by))


def rate(page: str, name: str, *conditions: Matcher, by: Sequence[Label] = ()) -> Measure:
    """Return how much a counter on a recorded *page* grows per second."""
    return Measure(promql.sum_by(by, _select(page, name, *conditions).rate(RATE_WINDOW)))


def gained(page: str, name: str, *conditions: Matcher, by: Sequence[Label] = ()) -> Measure:
    """Return how much a counter on a recorded *page* grew in the last five minutes."""
    vector = promql.sum_by(by, _select(page, name, *conditions).increase(RATE_WINDOW))
    return Measure(vector, _datadog("sum", name, by, "monotonic_diff"))


def _select(page: str, name: str, *conditions: Matcher) -> Selector:
    return Selector(external(page)[name]).where(IN_CLUSTER, *conditions)


def _datadog(aggregation: str, name: str, by: Sequence[Label], function: str = "") -> Formula | None:
    if name not in DATADOG:
        return None
    tags = tuple(TAGS.get(label.name, label.name) for label in by)
    query = MetricQuery(aggregation, DATADOG[name], (IN_CLUSTER.value,), tags)
    return Formula(f"{function}(query1)" if function else "query1", {"query1": query})
