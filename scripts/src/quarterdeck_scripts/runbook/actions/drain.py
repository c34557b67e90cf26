"""`drain`: a node is cleared of pods, and let take pods again with `--undo`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import QuarterdeckError, RefusedError, UsageError
from quarterdeck_scripts.kube.client import MERGE_PATCH, ApiError, list_all, path
from quarterdeck_scripts.kube.pods import is_finished, is_terminating
from quarterdeck_scripts.kube.selectors import selects
from quarterdeck_scripts.runbook.model import Action, Options, Plan, Progress, Request, Subject, Target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quarterdeck_scripts.kube.client import Cluster, Json

_MIRROR = "kubernetes.io/config.mirror"
"""On a pod that its kubelet runs from a file: the API server only shows it."""

_NOT_FOUND, _CONFLICT, _TOO_MANY = 404, 409, 429

_CORDONED = "cordoned"
"""Key of a plan's goal: whether the node is to take no pods."""


@dataclass(frozen=True, slots=True)
class NodeSeen:
    """A node with its pods, and the budgets that protect them."""

    node: Json
    pods: tuple[Json, ...]
    """All pods on it."""
    budgets: tuple[Json, ...]
    """All PodDisruptionBudgets."""

    @property
    def cordoned(self) -> bool:
        """Whether it takes no new pods."""
        return bool(self.node.get("spec", {}).get("unschedulable"))

    @property
    def evictable(self) -> tuple[Json, ...]:
        """Pods that have to go: all but those of DaemonSets and the kubelet's own."""
        return tuple(pod for pod in self.pods if not (_is_daemon(pod) or _is_mirror(pod)))

    def budgets_of(self, pod: Json) -> tuple[Json, ...]:
        """Return the budgets that protect *pod*."""
        metadata = pod["metadata"]
        return tuple(
            budget
            for budget in self.budgets
            if budget["metadata"]["namespace"] == metadata["namespace"]
            and budget["spec"].get("selector") is not None  # without one it protects nothing; an empty one, all
            and selects(budget["spec"]["selector"], metadata.get("labels") or {})
        )


class Drain(Action[NodeSeen]):
    """Clear a node of pods, for its repair or removal, without breaking a service's disruption budget.

    ## When

    A node fails in part (disk, network, memory), or has to be rebooted or removed. Pods of a node that is gone
    altogether are replaced without this.

    ## What it does

    It cordons the node, so that no new pod comes, then asks for the eviction of every pod on it, as often as
    disruption budgets refuse, until the deadline (`--within`, 10 minutes if not given). Pods of DaemonSets and
    the kubelet's own stay: they belong to the node. `--undo` lets pods come to the node again; it brings none
    back.

    ## When it is done

    No pod that can be evicted is left on the node, those that are ending included. At the deadline it names
    each pod that is left, and the PodDisruptionBudget it waits for; the node stays cordoned.

    ## Refused

    When a pod has no controller that would run it elsewhere: nobody would bring it back. When two budgets
    protect one pod, which evictions do not support. When a pod keeps data on the node (`emptyDir`), which ends
    with it, unless `--force` is given.

    ## After a run that died

    Run it again: it goes on with what is left.
    """

    target = Target.NODE
    usage = "drain --node NODE"

    def observe(self, cluster: Cluster, subject: Subject) -> NodeSeen:
        """Read the node, its pods, and all disruption budgets."""
        try:
            node = cluster.request("GET", path("Node", name=subject.name))
        except ApiError as error:
            if error.status != _NOT_FOUND:
                raise
            known = ", ".join(sorted(each["metadata"]["name"] for each in list_all(cluster, path("Node"))))
            raise UsageError(f"a node of the cluster: {known}", repr(subject.name), "name one of these") from error
        pods = list_all(cluster, path("Pod"), {"fieldSelector": f"spec.nodeName={subject.name}"})
        return NodeSeen(node, tuple(pods), tuple(list_all(cluster, path("PodDisruptionBudget"))))

    def plan(self, seen: NodeSeen, options: Options) -> Plan:
        """Cordon the node, and have its pods evicted; or the reverse of the first."""
        name = seen.node["metadata"]["name"]
        cordon = _cordon(seen, cordoned=not options.undo)
        before = {_CORDONED: seen.cordoned}
        if options.undo:
            summary = f"let pods come to the Node {name} again" if cordon else f"the Node {name} takes pods already"
            return Plan(summary, requests=cordon, before=before, goal={_CORDONED: False})
        _refuse_losses(seen, options)
        pods = [_named(pod) for pod in seen.evictable]
        return Plan(
            f"drain the Node {name}: evict {len(pods)} pods"
            if pods
            else f"keep pods from the Node {name}; it has none",
            tuple(_details(seen)),
            cordon,
            _evictions(seen),
            {**before, "pods": pods},
            {_CORDONED: True},
        )

    def progress(self, plan: Plan, seen: NodeSeen) -> Progress:
        """No evictable pod is left; what is left is evicted, where its budget lets it go."""
        name = seen.node["metadata"]["name"]
        if seen.cordoned != plan.goal[_CORDONED]:
            done = "cordoned" if seen.cordoned else "uncordoned"
            raise QuarterdeckError(
                f"the Node {name} to stay as this run set it ({plan.summary})",
                f"somebody {done} it meanwhile",
                "find out who works on it too, then run this again",
            )
        now = {_CORDONED: seen.cordoned, "pods": [_named(pod) for pod in seen.evictable]}
        if not plan.goal[_CORDONED]:
            return Progress((), {_CORDONED: False})
        left = tuple(f"pod {_named(pod)}: {_hindrance(seen, pod)}" for pod in seen.evictable)
        return Progress(left, now, requests=_evictions(seen))


def _cordon(seen: NodeSeen, *, cordoned: bool) -> tuple[Request, ...]:
    if seen.cordoned == cordoned:
        return ()
    metadata = seen.node["metadata"]
    state = {"unschedulable": True if cordoned else None}
    body = {"metadata": {"uid": metadata["uid"]}, "spec": state}
    where = path("Node", name=metadata["name"])
    return (Request("PATCH", where, body, MERGE_PATCH, f"Node {metadata['name']}"),)


def _evictions(seen: NodeSeen) -> tuple[Request, ...]:
    """Return the evictions to ask for now: of all that are neither ending nor protected."""
    wanted = (pod for pod in seen.evictable if not is_terminating(pod) and not _spent(seen, pod))
    return tuple(_eviction(pod) for pod in wanted)


def _eviction(pod: Json) -> Request:
    metadata = pod["metadata"]
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": metadata["name"], "namespace": metadata["namespace"]},
        "deleteOptions": {"preconditions": {"uid": metadata["uid"]}},
    }
    return Request(
        "POST",
        path("Pod", metadata["namespace"], metadata["name"], "eviction"),
        body,
        "application/json",
        f"Pod {_named(pod)}",
        frozenset({_NOT_FOUND, _CONFLICT, _TOO_MANY}),  # gone, another one by now, protected by its budget
    )


def _refuse_losses(seen: NodeSeen, options: Options) -> None:
    name = seen.node["metadata"]["name"]
    bare = [_named(pod) for pod in seen.evictable if not _controller(pod) and not is_finished(pod)]
    if bare:
        raise RefusedError(
            f"every pod on the Node {name} to have a controller that runs it elsewhere",
            f"none for {', '.join(bare)}",
            "delete these by hand if they may be lost",
        )
    doubled = [
        f"{_named(pod)} ({', '.join(_names(seen.budgets_of(pod)))})"
        for pod in seen.evictable
        if len(seen.budgets_of(pod)) > 1
    ]
    if doubled:
        raise RefusedError(
            "at most one PodDisruptionBudget for a pod, or it cannot be evicted",
            f"several for {', '.join(doubled)}",
            "change the selectors so that one budget is left",
        )
    keepers = [_named(pod) for pod in seen.evictable if _keeps_data(pod)]
    if keepers and not options.force:
        raise RefusedError(
            f"no data on the Node {name} that ends with a pod",
            f"emptyDir volumes of {', '.join(keepers)}",
            "add --force if that data may be lost",
        )


def _details(seen: NodeSeen) -> Iterator[str]:
    for pod in seen.evictable:
        kept = "; its emptyDir data is LOST" if _keeps_data(pod) else ""
        yield f"evict {_named(pod)}: {_hindrance(seen, pod)}{kept}"
    staying = [_named(pod) for pod in seen.pods if _is_daemon(pod) or _is_mirror(pod)]
    if staying:
        yield f"stays: {', '.join(staying)}"


def _hindrance(seen: NodeSeen, pod: Json) -> str:
    if is_terminating(pod):
        return "ending"
    if _spent(seen, pod):
        (budget,) = seen.budgets_of(pod)
        status = budget.get("status", {})
        counts = f"{status.get('currentHealthy', 0)} healthy, {status.get('desiredHealthy', 0)} needed"
        return f"waits for PodDisruptionBudget {budget['metadata']['name']} ({counts})"
    return "can be evicted"


def _spent(seen: NodeSeen, pod: Json) -> bool:
    """Whether the one budget of a running pod allows no disruption now."""
    if is_finished(pod) or pod.get("status", {}).get("phase") == "Pending":
        return False
    return any(budget.get("status", {}).get("disruptionsAllowed", 0) < 1 for budget in seen.budgets_of(pod))


def _named(pod: Json) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"


def _names(found: tuple[Json, ...]) -> list[str]:
    return [each["metadata"]["name"] for each in found]


def _controller(pod: Json) -> Json | None:
    owners: list[Json] = pod["metadata"].get("ownerReferences") or []
    return next((owner for owner in owners if owner.get("controller")), None)


def _is_daemon(pod: Json) -> bool:
    controller = _controller(pod)
    return controller is not None and controller["kind"] == "DaemonSet"


def _is_mirror(pod: Json) -> bool:
    return _MIRROR in (pod["metadata"].get("annotations") or {})


def _keeps_data(pod: Json) -> bool:
    volumes: list[Json] = pod["spec"].get("volumes") or []
    return not is_finished(pod) and any("emptyDir" in volume for volume in volumes)
