"""Pods, deployments, nodes, volumes and disks, as kube-state-metrics, the kubelet and node_exporter tell of them.

Nothing on scheduler, controller manager or etcd: on EKS, GKE and AKS the provider runs them and shows no metrics, so
that an alert on their absence would always fire. Nothing on CPU throttling either: it hurts nobody until an objective
says so.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from quarterdeck_contract import labels as l_
from quarterdeck_contract.labels import Label
from quarterdeck_dashboards.alerts.exporters import Exporter
from quarterdeck_dashboards.alerts.kind import AREA, AlertKind, Area
from quarterdeck_dashboards.over_time import bringing, greatest, predicted
from quarterdeck_dashboards.promql import Selector, equals, lacks, matches, max_by, sum_by
from quarterdeck_dashboards.series import INSTANCE, external
from quarterdeck_dashboards.slo.windows import RATE_WINDOW, Severity

if TYPE_CHECKING:
    from quarterdeck_dashboards.promql import Matcher, Vector

OF_POD = '{{ reReplaceAll "(-canary)?-[a-z0-9]+-[a-z0-9]+$" "" $labels.pod }}'
"""The label `service`: a Deployment's pod is called after it, its ReplicaSet and itself, and the Deployment after the
service. A pod of anything else yields some name that nobody owns."""
OF_DEPLOYMENT = '{{ reReplaceAll "-canary$" "" $labels.deployment }}'
"""The same from a Deployment."""

NODE_NOT_READY = "NodeNotReady"
POD_NOT_READY = "PodNotReady"
REPLICAS_MISSING = "DeploymentReplicasMissing"
CAUSES = ("ContainerCrashLooping", "ImagePullFailing", "ContainerConfigInvalid", "PodUnschedulable")
"""Alerts that say why a pod is not Ready."""

PAGE = "pod-not-running"
STORAGE_PAGE = "storage-filling"

RESTARTS = 3
"""Restarts in an hour that are no accident any more."""
MEMORY = 0.9
"""Share of a container's limit: a Python process gives hardly any memory back, so it goes on to the kill."""
FULL = 0.03
"""Share of a volume or disk that is free when somebody is woken: most programs fail before it is 0."""
FILLING = 0.2
"""Share that is free when a prediction is worth believing: above, it may be an ordinary day's growth."""
PAST, AHEAD = timedelta(hours=6), timedelta(days=4)
"""Window of the prediction, which sees past a nightly job; and how far it looks, which is a weekend and a day."""

_REASON, _CONDITION, _STATUS, _PHASE, _NODE, _CONTAINER, _DEPLOYMENT, _CLAIM, _RESOURCE = (
    Label(name, "")
    for name in (
        *("reason", "condition", "status", "phase", "node", "container", "deployment", "persistentvolumeclaim"),
        "resource",
    )
)
_DEVICE, _MOUNTPOINT, _FSTYPE = (Label(name, "") for name in ("device", "mountpoint", "fstype"))
_PULLING = "ErrImagePull|ImagePullBackOff|InvalidImageName"
_CONFIGURING = "CreateContainerConfigError|CreateContainerError|RunContainerError"
_IN_MEMORY = "tmpfs|ramfs|overlay|squashfs|iso9660"
"""File systems that are no disk, or meant to be full."""

_POD = (l_.CLUSTER, l_.NAMESPACE, l_.POD)
_CONTAINERS = (*_POD, _CONTAINER)
_DEPLOYMENTS = (l_.CLUSTER, l_.NAMESPACE, _DEPLOYMENT)
_VOLUMES = (l_.CLUSTER, l_.NAMESPACE, _CLAIM)
_DISKS = (l_.CLUSTER, INSTANCE, _DEVICE, _MOUNTPOINT)


def _state(name: str, *matchers: Matcher) -> Selector:
    return Selector(external(Exporter.KUBE_STATE_METRICS)[name]).where(*matchers)


def _labels(service: str | None = None) -> dict[str, str]:
    named = {l_.SERVICE.prometheus: service} if service else {}
    return {AREA: Area.KUBERNETES.value, **named}


def _waiting(pattern: str) -> Vector:
    """The reason comes and goes between two attempts, so its greatest value over some time is asked for."""
    waiting = _state("kube_pod_container_status_waiting_reason", matches(_REASON, pattern))
    return max_by(_CONTAINERS, greatest(waiting, RATE_WINDOW)) > 0


def _restarting(_: tuple[Matcher, ...]) -> Vector:
    return (
        sum_by(_CONTAINERS, _state("kube_pod_container_status_restarts_total").increase(timedelta(hours=1))) > RESTARTS
    )


def _not_ready(_: tuple[Matcher, ...]) -> Vector:
    unready = max_by(_POD, _state("kube_pod_status_ready", matches(_CONDITION, "false|unknown")).now)
    alive = max_by(_POD, _state("kube_pod_status_phase", matches(_PHASE, "Pending|Running|Unknown")).now)
    where = max_by((*_POD, _NODE), _state("kube_pod_info").now)
    return bringing((unready > 0) & (alive > 0), where, _POD, _NODE)


def _missing(_: tuple[Matcher, ...]) -> Vector:
    wanted, available = (
        max_by(_DEPLOYMENTS, _state(f"kube_deployment_{name}").now)
        for name in ("spec_replicas", "status_replicas_available")
    )
    return wanted - available > 0


def _node_not_ready(_: tuple[Matcher, ...]) -> Vector:
    ready = _state("kube_node_status_condition", equals(_CONDITION, "Ready"), equals(_STATUS, "true"))
    return max_by([l_.CLUSTER, _NODE], ready.now).is_equal_to(0)


def _memory(_: tuple[Matcher, ...]) -> Vector:
    used = Selector(external(Exporter.KUBELET)["container_memory_working_set_bytes"]).where(lacks(_CONTAINER, "|POD"))
    limit = _state("kube_pod_container_resource_limits", equals(_RESOURCE, "memory"))
    return max_by(_CONTAINERS, used.now) / max_by(_CONTAINERS, limit.now) > MEMORY


def _volume(name: str) -> Selector:
    return Selector(external(Exporter.KUBELET)[f"kubelet_volume_stats_{name}_bytes"])


def _volume_free() -> Vector:
    return max_by(_VOLUMES, _volume("available").now) / max_by(_VOLUMES, _volume("capacity").now)


def _disk(name: str) -> Selector:
    return Selector(external(Exporter.NODE_EXPORTER)[f"node_filesystem_{name}"]).where(lacks(_FSTYPE, _IN_MEMORY))


def _disk_free() -> Vector:
    return max_by(_DISKS, _disk("avail_bytes").now) / max_by(_DISKS, _disk("size_bytes").now)


def _written() -> Vector:
    return max_by(_DISKS, _disk("readonly").now).is_equal_to(0)


STATE_KINDS = (
    AlertKind(
        "ContainerCrashLooping",
        PAGE,
        Severity.TICKET,
        lambda _: _waiting("CrashLoopBackOff"),
        timedelta(minutes=5),
        "One crash, or a dependency that comes up a little later, is over by then.",
        "{{ $labels.container }} in {{ $labels.pod }} crashes again and again",
        "For {lasting} the kubelet has waited longer and longer before it starts {{ $labels.container }} again.",
        _labels(OF_POD),
    ),
    AlertKind(
        "ContainerRestarting",
        PAGE,
        Severity.TICKET,
        _restarting,
        timedelta(minutes=1),
        "Slower than a crash loop, as when memory runs out every quarter of an hour; a rollout makes new pods, which "
        "begin at no restart.",
        "{{ $labels.container }} in {{ $labels.pod }} is restarted again and again",
        "In the last hour {{ $labels.container }} was restarted {{ $value | humanize }} times.",
        _labels(OF_POD),
    ),
    AlertKind(
        "ImagePullFailing",
        PAGE,
        Severity.TICKET,
        lambda _: _waiting(_PULLING),
        timedelta(minutes=5),
        "A registry that fails once is asked again within a minute or two.",
        "The image of {{ $labels.container }} in {{ $labels.pod }} cannot be pulled",
        "For {lasting} the image could not be pulled: it does not exist, or may not be read.",
        _labels(OF_POD),
    ),
    AlertKind(
        "ContainerConfigInvalid",
        PAGE,
        Severity.TICKET,
        lambda _: _waiting(_CONFIGURING),
        timedelta(minutes=5),
        "A Secret that is created just after the pod is there by then.",
        "{{ $labels.container }} in {{ $labels.pod }} cannot be made",
        "For {lasting} the container could not be made: a Secret, a ConfigMap or its command is not there.",
        _labels(OF_POD),
    ),
    AlertKind(
        "PodUnschedulable",
        PAGE,
        Severity.TICKET,
        lambda _: max_by(_POD, _state("kube_pod_status_unschedulable").now) > 0,
        timedelta(minutes=10),
        "A cluster that adds nodes by itself has added one by then.",
        "{{ $labels.pod }} finds no node",
        "For {lasting} no node has had room for {{ $labels.pod }}, or may run it.",
        _labels(OF_POD),
    ),
    AlertKind(
        POD_NOT_READY,
        PAGE,
        Severity.TICKET,
        _not_ready,
        timedelta(minutes=15),
        "Longer than any start that its probes allow for.",
        "{{ $labels.pod }} is not Ready",
        "For {lasting} {{ $labels.pod }} on {{ $labels.node }} has not been Ready, though it has not ended.",
        _labels(OF_POD),
    ),
    AlertKind(
        REPLICAS_MISSING,
        PAGE,
        Severity.TICKET,
        _missing,
        timedelta(minutes=15),
        "A rollout replaces a pod in less; this is one that goes no further, or pods that do not come back.",
        "{{ $labels.deployment }} has fewer pods than it should",
        "For {lasting} {{ $labels.deployment }} has lacked {{ $value }} available pods.",
        _labels(OF_DEPLOYMENT),
    ),
    AlertKind(
        NODE_NOT_READY,
        "node-not-ready",
        Severity.TICKET,
        _node_not_ready,
        timedelta(minutes=5),
        "A node that is rebooted in good order is drained, and back in a few minutes; its pods are moved after five.",
        "The node {{ $labels.node }} is not Ready",
        "For {lasting} the control plane has not heard of {{ $labels.node }} that it is well. Its pods are replaced "
        "elsewhere, if there is room.",
        _labels(),
    ),
)
"""From kube-state-metrics."""

MEMORY_KINDS = (
    AlertKind(
        "MemoryNearLimit",
        "memory-near-limit",
        Severity.TICKET,
        _memory,
        timedelta(minutes=10),
        "What the kernel can take back is not counted, so the last tenth is real; a peak is over in ten minutes.",
        "{{ $labels.container }} in {{ $labels.pod }} is near its memory limit",
        "For {lasting} it has used more than nine tenths of its limit: now {{ $value | humanizePercentage }}. At the "
        "limit the kernel kills it.",
        _labels(OF_POD),
    ),
)
"""From the kubelet and kube-state-metrics together."""

VOLUME_KINDS = (
    AlertKind(
        "VolumeFull",
        STORAGE_PAGE,
        Severity.PAGE,
        lambda _: _volume_free() < FULL,
        timedelta(minutes=1),
        "Less than three hundredths are left: whatever writes there fails soon, at any hour.",
        "The volume {{ $labels.persistentvolumeclaim }} is full",
        "Only {{ $value | humanizePercentage }} of {{ $labels.persistentvolumeclaim }} are free.",
        _labels(),
    ),
    AlertKind(
        "VolumeFilling",
        STORAGE_PAGE,
        Severity.TICKET,
        lambda _: (_volume_free() < FILLING) & (max_by(_VOLUMES, predicted(_volume("available"), PAST, AHEAD)) < 0),
        timedelta(hours=1),
        "By the last six hours it is full within four days, and less than a fifth is free; an hour of it is no batch.",
        "The volume {{ $labels.persistentvolumeclaim }} will be full within days",
        "{{ $value | humanizePercentage }} of {{ $labels.persistentvolumeclaim }} are free, and as it fills now it is "
        "full within four days.",
        _labels(),
    ),
)
"""From the kubelet: volumes that are claimed."""

DISK_KINDS = (
    AlertKind(
        "DiskFull",
        STORAGE_PAGE,
        Severity.PAGE,
        lambda _: (_disk_free() < FULL) & _written(),
        timedelta(minutes=5),
        "The kubelet removes images and evicts pods before; when that did not help within minutes, nothing will.",
        "A disk of {{ $labels.instance }} is full",
        "Only {{ $value | humanizePercentage }} of {{ $labels.mountpoint }} ({{ $labels.device }}) are free.",
        _labels(),
    ),
    AlertKind(
        "DiskFilling",
        STORAGE_PAGE,
        Severity.TICKET,
        lambda _: (
            (_disk_free() < FILLING) & (max_by(_DISKS, predicted(_disk("avail_bytes"), PAST, AHEAD)) < 0) & _written()
        ),
        timedelta(hours=1),
        "As of volumes.",
        "A disk of {{ $labels.instance }} will be full within days",
        "{{ $value | humanizePercentage }} of {{ $labels.mountpoint }} ({{ $labels.device }}) are free, and as it "
        "fills now it is full within four days.",
        _labels(),
    ),
)
"""From node_exporter."""
