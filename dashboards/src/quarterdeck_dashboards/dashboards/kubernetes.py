"""The cluster under the services: pods that do not run, Deployments that lack some, what is used up, nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_contract import labels as l_
from quarterdeck_dashboards.dashboards import common, outside
from quarterdeck_dashboards.dashboards.description import Dashboard, Draw, Level, Panel, Row, Threshold, Unit
from quarterdeck_dashboards.dashboards.outside import CADVISOR, KUBELET, STATE
from quarterdeck_dashboards.promql import equals, has
from quarterdeck_dashboards.uid import TAG, uid_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quarterdeck_dashboards.catalogue import Catalogue

UID = uid_of("kubernetes")
_POD = (l_.NAMESPACE, l_.POD)
_POD_NAME = "{namespace}/{pod}"
_THROTTLED = (Threshold(0.25, Level.WARNING), Threshold(0.5, Level.BAD))
"""Share of periods: below a quarter nobody notices."""
_FREE = (Threshold(0.05, Level.WARNING), Threshold(0.15, Level.GOOD))
"""Share of a volume that is free, BAD below."""


def of(_: Catalogue) -> tuple[Dashboard, ...]:
    """Return the one dashboard."""
    return (
        Dashboard(
            UID,
            "Kubernetes",
            "The cluster under the services, as kube-state-metrics, the kubelet and cAdvisor have it.",
            (
                Row("What does not run", tuple(_pods())),
                Row("Deployments", tuple(_deployments())),
                Row("What is used up", tuple(_used())),
                Row("Nodes and volumes", tuple(_nodes())),
            ),
            tags=(TAG, "kubernetes"),
            variables=(common.CLUSTER,),
            links=common.HOME,
        ),
    )


def _pods() -> Iterator[Panel]:
    yield Panel(
        "Pods by phase",
        "Pending for long: no node has room, or an image cannot be had. Failed: see its containers' exit codes.",
        Draw.BARS,
        Unit.COUNT,
        (outside.total(STATE, "kube_pod_status_phase", by=[outside.PHASE]).query("{phase}"),),
    )
    waiting = outside.total(
        STATE, "kube_pod_container_status_waiting_reason", by=[l_.NAMESPACE, l_.POD, outside.REASON]
    )
    yield Panel(
        "Containers that wait",
        "CrashLoopBackOff: it ends as soon as it starts; read its log. ImagePullBackOff: the image cannot be had.",
        Draw.LINES,
        Unit.COUNT,
        (waiting.query("{namespace}/{pod} {reason}"),),
        quiet=True,
    )
    restarts = outside.gained(STATE, "kube_pod_container_status_restarts_total", by=_POD)
    yield Panel(
        "Restarts in five minutes",
        "By pod. One pod: its own fault, or its node's. All of a service: its new version, or what it needs.",
        Draw.LINES,
        Unit.COUNT,
        (restarts.query(_POD_NAME),),
    )


def _deployments() -> Iterator[Panel]:
    by = [l_.NAMESPACE, outside.DEPLOYMENT]
    desired, available = (
        outside.total(STATE, name, by=by)
        for name in ("kube_deployment_spec_replicas", "kube_deployment_status_replicas_available")
    )
    yield Panel(
        "Replicas now",
        "Desired, and available to serve.",
        Draw.TABLE,
        Unit.COUNT,
        (desired.query("desired"), available.query("available")),
        width=12,
    )
    yield Panel(
        "Replicas that are missing",
        "Desired less available. Above 0 for longer than a rollout takes: look at its pods.",
        Draw.LINES,
        Unit.COUNT,
        ((desired - available).query("{namespace}/{deployment}"),),
        width=12,
    )


def _used() -> Iterator[Panel]:
    container = has(outside.CONTAINER)
    cores = outside.rate(CADVISOR, "container_cpu_usage_seconds_total", container, by=[l_.NAMESPACE])
    yield Panel(
        "Processor time by namespace",
        "Cores in use. A namespace that grew alone: what was deployed there?",
        Draw.BARS,
        Unit.CORES,
        (cores.query("{namespace}"),),
    )
    throttled, periods = (
        outside.rate(CADVISOR, f"container_cpu_cfs_{what}_total", container, by=_POD)
        for what in ("throttled_periods", "periods")
    )
    yield Panel(
        "Throttled, share of the time",
        "How often the pod's processor limit stopped it. Above a quarter: raise the limit, or scale out.",
        Draw.LINES,
        Unit.SHARE,
        ((throttled / periods).query(_POD_NAME),),
        _THROTTLED,
    )
    memory = outside.total(KUBELET, "container_memory_working_set_bytes", container, by=_POD)
    limit = outside.total(STATE, "kube_pod_container_resource_limits", equals(outside.RESOURCE, "memory"), by=_POD)
    yield Panel(
        "Memory, share of the limit",
        "At 100 % the kernel ends a process of the pod.",
        Draw.LINES,
        Unit.SHARE,
        ((memory / limit).query(_POD_NAME),),
        common.FULL,
    )


def _nodes() -> Iterator[Panel]:
    ready = (equals(outside.CONDITION, "Ready"), equals(outside.STATUS, "true"))
    yield Panel(
        "Nodes that are ready",
        "1: ready; 0: its pods are moved elsewhere after five minutes.",
        Draw.GAUGE,
        Unit.COUNT,
        (outside.total(STATE, "kube_node_status_condition", *ready, by=[outside.NODE]).query("{node}"),),
        (Threshold(1, Level.GOOD),),
        base=Level.BAD,
        maximum=1,
        width=12,
    )
    by = [l_.NAMESPACE, outside.CLAIM]
    free, size = (
        outside.total(KUBELET, f"kubelet_volume_stats_{what}_bytes", by=by) for what in ("available", "capacity")
    )
    yield Panel(
        "Volumes, share that is free",
        "At 0 % what writes there fails: grow the claim, or clear it.",
        Draw.LINES,
        Unit.SHARE,
        ((free / size).query("{namespace}/{persistentvolumeclaim}"),),
        _FREE,
        base=Level.BAD,
        maximum=1,
        width=12,
    )
