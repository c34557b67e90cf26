"""The controllers of a cluster, for `FakeCluster`: Deployments become ReplicaSets and pods, which get Ready.

A pod is placed on the first node that takes pods, and is Ready at once unless its image has a fault. New pods
come first and old ones go as new ones get Ready, so a faulty version leaves the old one serving. Time stands still:
a Deployment with `minReadySeconds` never has a pod available, so it makes its surge and goes no further.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from quarterdeck_scripts.kube.client import MERGE_PATCH, path
from quarterdeck_scripts.kube.fake_sets import reconcile_daemon_set, reconcile_stateful_set
from quarterdeck_scripts.kube.pods import is_ready, is_terminating
from quarterdeck_scripts.kube.revisions import REVISION
from quarterdeck_scripts.kube.selectors import label_query

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quarterdeck_scripts.kube.client import Cluster, Json


class Controllers:
    """A reactor for `FakeCluster`."""

    def __init__(self, faults: Mapping[str, str] | None = None) -> None:
        """*faults* is why pods of an image do not become Ready: image to waiting reason. It may change later."""
        self.faults = dict(faults or {})
        self.linger = False
        """Whether a deleted pod stays, terminating, until `settle` is called with this off."""
        self.asleep = False
        """Whether nothing reacts, as while the controller manager is down, until `settle` is called with this off."""

        self._settling = False
        self._again = False

    def __call__(self, cluster: Cluster, changed: Json) -> None:
        """React to one change."""
        if changed.get("kind") in {"Deployment", "StatefulSet", "DaemonSet", "Node", "Pod"}:
            self.settle(cluster)

    def settle(self, cluster: Cluster) -> None:
        """Bring the whole cluster as far as it gets; called after `faults` or `linger` changed."""
        self._again = True
        if self._settling or self.asleep:
            return  # our own change: the pass under way is repeated
        self._settling = True
        try:
            while self._again:
                self._again = False
                for pod in cluster.request("GET", path("Pod"))["items"]:
                    self._run(cluster, pod)
                for deployment in cluster.request("GET", path("Deployment"))["items"]:
                    self._reconcile(cluster, deployment)
                for kind, reconcile in (
                    ("StatefulSet", reconcile_stateful_set),
                    ("DaemonSet", reconcile_daemon_set),
                ):
                    for found in cluster.request("GET", path(kind))["items"]:
                        reconcile(cluster, {**found, "kind": kind})
        finally:
            self._settling = False

    def _run(self, cluster: Cluster, pod: Json) -> None:
        """Do for one pod what the scheduler and its kubelet would."""
        metadata = pod["metadata"]
        here = path("Pod", metadata["namespace"], metadata["name"])
        if is_terminating(pod):
            if not self.linger:
                cluster.request("DELETE", here, query={"gracePeriodSeconds": "0"})
            return
        if not pod["spec"].get("nodeName"):
            nodes = cluster.request("GET", path("Node"))["items"]
            free = [node["metadata"]["name"] for node in nodes if not node.get("spec", {}).get("unschedulable")]
            if not free:
                refused = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no node"}
                _patch(cluster, here + "/status", {"status": {"conditions": [refused]}})
                return
            _patch(cluster, here, {"spec": {"nodeName": free[0]}})
        _patch(cluster, here + "/status", {"status": self._status(pod)})

    def _status(self, pod: Json) -> Json:
        statuses = []
        for container in pod["spec"]["containers"]:
            fault = self.faults.get(container["image"])
            state: Json = {"waiting": {"reason": fault}} if fault else {"running": {}}
            statuses.append({"name": container["name"], "ready": not fault, "restartCount": 0, "state": state})
        ready = all(status["ready"] for status in statuses)
        condition = {"type": "Ready", "status": "True" if ready else "False"}
        return {"phase": "Running", "conditions": [condition], "containerStatuses": statuses}

    def _reconcile(self, cluster: Cluster, deployment: Json) -> None:
        """Do for one Deployment what its controller would: one step, which causes the next."""
        metadata, spec = deployment["metadata"], deployment["spec"]
        query = {"labelSelector": label_query(spec["selector"])}
        replica_sets = cluster.request("GET", path("ReplicaSet", metadata["namespace"]), query=query)["items"]
        newest = self._newest(cluster, deployment, replica_sets)
        pods = [
            pod
            for pod in cluster.request("GET", path("Pod", metadata["namespace"]), query=query)["items"]
            if not is_terminating(pod)
        ]
        new = [pod for pod in pods if _hash(pod) == _hash(newest)]
        old = [pod for pod in pods if _hash(pod) != _hash(newest)]
        wanted = spec.get("replicas", 1)
        ready = sum(map(is_ready, new))
        status = {
            "observedGeneration": metadata["generation"],
            "replicas": len(pods),
            "updatedReplicas": len(new),
            "readyReplicas": sum(map(is_ready, pods)),
            "availableReplicas": sum(map(is_ready, pods)),
        }
        _patch(cluster, path("Deployment", metadata["namespace"], metadata["name"], "status"), {"status": status})
        if spec.get("paused"):
            return
        available = 0 if spec.get("minReadySeconds") else ready
        surge = ((spec.get("strategy") or {}).get("rollingUpdate") or {}).get("maxSurge", wanted)
        room = wanted + surge - len(pods) if spec.get("minReadySeconds") else wanted
        for _ in range(min(wanted - len(new), room)):
            _create_pod(cluster, newest)
        leaving = new[wanted:] + old[max(wanted - available, 0) :]
        for pod in leaving:
            cluster.request("DELETE", path("Pod", metadata["namespace"], pod["metadata"]["name"]))

    def _newest(self, cluster: Cluster, deployment: Json, replica_sets: list[Json]) -> Json:
        """Return the ReplicaSet of the present template, with the highest revision; make it if need be."""
        metadata, template = deployment["metadata"], deployment["spec"]["template"]
        digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:8]
        name = f"{metadata['name']}-{digest}"
        numbers = {each["metadata"]["name"]: int(each["metadata"]["annotations"][REVISION]) for each in replica_sets}
        latest = max(numbers.values(), default=0)
        number = latest if numbers and numbers.get(name) == latest else latest + 1
        labels = {**template["metadata"]["labels"], "pod-template-hash": digest}
        owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": metadata["name"], "uid": metadata["uid"]}
        wanted = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": name,
                "namespace": metadata["namespace"],
                "labels": labels,
                "annotations": {REVISION: str(number)},
                "ownerReferences": [{**owner, "controller": True}],
            },
            "spec": {"template": {**template, "metadata": {**template["metadata"], "labels": labels}}},
        }
        if name in numbers:
            found = _patch(cluster, path("ReplicaSet", metadata["namespace"], name), wanted)
        else:
            found = cluster.request("POST", path("ReplicaSet", metadata["namespace"]), body=wanted)
        revision = {"metadata": {"annotations": {REVISION: str(number)}}}
        _patch(cluster, path("Deployment", metadata["namespace"], metadata["name"]), revision)
        return found


def _create_pod(cluster: Cluster, replica_set: Json) -> None:
    metadata, template = replica_set["metadata"], replica_set["spec"]["template"]
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": metadata["name"], "uid": metadata["uid"]}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            **template["metadata"],
            "generateName": f"{metadata['name']}-",
            "ownerReferences": [{**owner, "controller": True}],
        },
        "spec": template["spec"],
    }
    cluster.request("POST", path("Pod", metadata["namespace"]), body=pod)


def _hash(found: Json) -> str:
    return str(found["metadata"]["labels"]["pod-template-hash"])


def _patch(cluster: Cluster, where: str, patch: Json) -> Json:
    return cluster.request("PATCH", where, body=patch, content_type=MERGE_PATCH)
