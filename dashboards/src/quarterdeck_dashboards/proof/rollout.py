"""Proofs of silence: an ordinary rollout, a node's reboot and a restart of what watches are nothing to be told of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_contract import labels as l_
from quarterdeck_contract import metrics
from quarterdeck_dashboards.proof.timeline import CLUSTER, Phase, Silence, Test, counter, selector
from quarterdeck_dashboards.series import UP, only

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from quarterdeck_contract.metrics import Metric
    from quarterdeck_dashboards.catalogue import Service

PODS = 3
"""Replaced one after the other."""
BEGINS = 10
"""Minute of the first replacement."""
EACH = 3
"""Minutes for each: a pod that ends, one that is scheduled, starts and becomes Ready."""
ENDS = 40
"""Minute of the last check, past everything's patience."""


def of_service(service: Service) -> Test:
    """Return the proof that *service*'s rollout fires none of its alerts.

    Each new pod cannot be scraped at first; then its workers are all busy, its loop is stalled and its queue is full
    while it warms up.
    """
    series: dict[str, str] = {}
    for index in range(PODS):
        gone = BEGINS + EACH * index
        for pod, born in ((f"old-{index}", 0), (f"new-{index}", gone + 1)):
            target = {
                l_.CLUSTER.prometheus: CLUSTER,
                l_.NAMESPACE.prometheus: service.namespace,
                l_.SERVICE.prometheus: service.name,
                l_.POD.prometheus: pod,
            }
            ends = gone if born == 0 else None
            for name, labels, first, then in _page():
                series[selector(name, {**target, **labels})] = _life(born, ends, first if born else then, then)
            name = only(metrics.EVENT_LOOP_CPU_TIME).name
            series[selector(name, target)] = _growth(born, ends)
    return _silent(f"a rollout of {service.name}", series)


def of_cluster(file: str) -> list[Test]:
    """Return the proofs that neither a rollout nor a restart fires an alert of the rule file *file*."""
    return [_silent(claim, dict(each())) for claim, each in _CLUSTER.get(file, {}).items()]


def _silent(what: str, series: Mapping[str, str]) -> Test:
    return Test(f"{what} fires nothing", series, tuple(Silence(minute) for minute in range(BEGINS - 1, ENDS)))


def _page() -> Iterator[tuple[str, Mapping[str, str], float, float]]:
    """Yield the gauges of one pod: name, labels, value while it starts, value afterwards."""

    def gauge(metric: Metric, first: float, then: float, **labels: str) -> tuple[str, Mapping[str, str], float, float]:
        return only(metric).name, labels, first, then

    yield UP.name, {}, 0, 1
    yield gauge(metrics.BUILD_INFO, 1, 1)
    yield gauge(metrics.WORKERS, 1, 2)
    yield gauge(metrics.WORKER_BUSY, 8, 2, pool="requests")
    yield gauge(metrics.WORKER_CAPACITY, 8, 8, pool="requests")
    yield gauge(metrics.EVENT_LOOP_STALL, 4, 0)
    yield gauge(metrics.LISTEN_QUEUE_LENGTH, 128, 0)
    yield gauge(metrics.LISTEN_QUEUE_LIMIT, 128, 128)
    yield gauge(metrics.PROCESS_OPEN_FILES_UTILIZATION, 0.1, 0.2)
    yield only(metrics.FAILURES).name, {"component": "requests"}, 0, 0


def _life(born: int, ends: int | None, first: float, then: float) -> str:
    before = f"_x{born} " if born else ""
    length = (ends or ENDS) - born
    end = " stale" if ends else ""
    return f"{before}{first:g} {then:g}x{length - 2}{end}"


def _growth(born: int, ends: int | None) -> str:
    """CPU seconds of the event loops: one whole processor while it starts, and a tenth afterwards."""
    length = (ends or ENDS) - born
    return counter([Phase(born + 1, 60), Phase(length - 2, 6)], born=born) + (" stale" if ends else "")


def _pods() -> Iterator[tuple[str, str]]:
    """A rollout as kube-state-metrics tells it: one pod fewer, and new ones without a node, an image, readiness."""
    deployment = {"cluster": CLUSTER, "namespace": "shop", "deployment": "checkout"}
    during = PODS * EACH
    yield selector("kube_deployment_spec_replicas", deployment), f"{PODS}x{ENDS}"
    available = f"{PODS}x{BEGINS - 1} {PODS - 1}x{during - 1} {PODS}x{ENDS - BEGINS - during}"
    yield selector("kube_deployment_status_replicas_available", deployment), available
    for index in range(PODS):
        born = BEGINS + EACH * index
        pod = {"cluster": CLUSTER, "namespace": "shop", "pod": f"checkout-5f6d8-{index}"}
        rest = ENDS - born - EACH
        yield selector("kube_pod_status_unschedulable", pod), f"_x{born} 1 stale"
        yield selector("kube_pod_status_ready", {**pod, "condition": "false"}), f"_x{born} 1x{EACH - 1} 0x{rest}"
        yield selector("kube_pod_status_phase", {**pod, "phase": "Running"}), f"_x{born} 1x{EACH + rest}"
        yield selector("kube_pod_info", {**pod, "node": "node-1"}), f"_x{born} 1x{EACH + rest}"
        container = {**pod, "container": "checkout"}
        yield selector("kube_pod_container_status_restarts_total", container), f"_x{born} 0x1 1x{rest}"
        for reason in ("ContainerCreating", "ErrImagePull"):  # a registry that fails once is asked again
            name = selector("kube_pod_container_status_waiting_reason", {**container, "reason": reason})
            yield name, f"_x{born} 1 stale"


def _reboot() -> Iterator[tuple[str, str]]:
    node = {"cluster": CLUSTER, "node": "node-1", "condition": "Ready", "status": "true"}
    yield selector("kube_node_status_condition", node), f"1x{BEGINS - 1} 0x3 1x{ENDS}"


def _watchers() -> Iterator[tuple[str, str]]:
    """Prometheus and Alertmanager begin anew: counters at 0, no Alertmanager found and no peer known for a minute."""
    cluster = {"cluster": CLUSTER}
    for name in ("prometheus_config_last_reload_successful", "prometheus_notifications_alertmanagers_discovered"):
        yield selector(name, cluster), f"1x{BEGINS - 1} 0 1x{ENDS}"
    for name in ("prometheus_rule_group_iterations_missed_total", "prometheus_notifications_dropped_total"):
        yield selector(name, cluster), f"7x{BEGINS - 1} 0 1 1x{ENDS}"
    for pod, known in (("a", "2"), ("b", "1")):
        yield selector("alertmanager_cluster_members", {**cluster, "pod": pod}), f"2x{BEGINS - 1} {known} 2x{ENDS}"
    yield selector("up", {**cluster, "pod": "a"}), f"1x{BEGINS - 1} 0x3 1x{ENDS}"


_CLUSTER = {
    "kubernetes": {"a rollout": _pods, "a node's reboot": _reboot},
    "monitoring": {"a restart of Prometheus and Alertmanager": _watchers},
}
"""Rule file to what happens, in words, to its series."""
