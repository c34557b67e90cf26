"""The controllers of StatefulSets and DaemonSets, for `fake_controllers`: one step each time, which causes the next.

A StatefulSet's pods are replaced from the last to the first, down to its partition, each when all the others are
Ready; a pod that is not stops everything, as it does in a cluster. A DaemonSet has a pod on every node, and
replaces as many at a time as may be unavailable, or only what is deleted.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from quarterdeck_scripts.kube.client import MERGE_PATCH, path
from quarterdeck_scripts.kube.pods import is_ready, is_terminating
from quarterdeck_scripts.kube.revisions import REVISION_HASH
from quarterdeck_scripts.kube.selectors import label_query

if TYPE_CHECKING:
    from quarterdeck_scripts.kube.client import Cluster, Json


def reconcile_stateful_set(cluster: Cluster, stateful_set: Json) -> None:
    """Do for one StatefulSet what its controller would."""
    spec, status = stateful_set["spec"], stateful_set.get("status", {})
    update = _kept(cluster, stateful_set)
    current = status.get("currentRevision") or update
    pods = {_ordinal(pod): pod for pod in _pods(cluster, stateful_set)}
    wanted = spec.get("replicas", 1)
    alive = [pod for pod in pods.values() if not is_terminating(pod)]
    updated = [pod for pod in alive if _hash(pod) == update]
    ready = sum(map(is_ready, alive))
    strategy = spec.get("updateStrategy") or {}
    partition = (strategy.get("rollingUpdate") or {}).get("partition", 0)
    if len(updated) == ready == len(alive) == wanted and not partition:
        current = update
    counts = {"replicas": len(alive), "readyReplicas": ready, "updatedReplicas": len(updated)}
    _status(cluster, stateful_set, {**counts, "currentRevision": current, "updateRevision": update})
    for ordinal in range(wanted):
        if ordinal not in pods:
            _create(cluster, stateful_set, update if ordinal >= partition else current, name=f"-{ordinal}")
            return
        if not is_ready(pods[ordinal]):
            return
    if strategy.get("type", "RollingUpdate") == "RollingUpdate":
        for ordinal in range(wanted - 1, partition - 1, -1):
            if _hash(pods[ordinal]) != update:
                _delete(cluster, pods[ordinal])
                return


def reconcile_daemon_set(cluster: Cluster, daemon_set: Json) -> None:
    """Do for one DaemonSet what its controller would."""
    update = _kept(cluster, daemon_set)
    nodes = [node["metadata"]["name"] for node in cluster.request("GET", path("Node"))["items"]]
    pods = _pods(cluster, daemon_set)
    alive = [pod for pod in pods if not is_terminating(pod)]
    ready = sum(map(is_ready, alive))
    updated = sum(_hash(pod) == update for pod in alive)
    counts = {
        "desiredNumberScheduled": len(nodes),
        "currentNumberScheduled": len(alive),
        "updatedNumberScheduled": updated,
        "numberReady": ready,
    }
    _status(cluster, daemon_set, counts)
    taken = {pod["spec"].get("nodeName") for pod in pods}
    for node in nodes:
        if node not in taken:
            _create(cluster, daemon_set, update, node=node)
            return
    strategy = daemon_set["spec"].get("updateStrategy") or {}
    if strategy.get("type", "RollingUpdate") == "RollingUpdate":
        most = (strategy.get("rollingUpdate") or {}).get("maxUnavailable", 1)
        old = sorted((pod for pod in alive if _hash(pod) != update), key=is_ready)  # broken ones first
        spare = most - (len(nodes) - ready)
        for pod in old[: 1 if spare > 0 or (old and not is_ready(old[0])) else 0]:
            _delete(cluster, pod)


def _kept(cluster: Cluster, workload: Json) -> str:
    """Return the name of the ControllerRevision of the present template; make it, or number it anew, if need be."""
    metadata, template = workload["metadata"], workload["spec"]["template"]
    digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:8]
    name = f"{metadata['name']}-{digest}"
    query = {"labelSelector": label_query(workload["spec"]["selector"])}
    collection = path("ControllerRevision", metadata["namespace"])
    kept = {each["metadata"]["name"]: each for each in cluster.request("GET", collection, query=query)["items"]}
    latest = max((each["revision"] for each in kept.values()), default=0)
    if name not in kept:
        owner = {"apiVersion": "apps/v1", "kind": workload["kind"], "name": metadata["name"], "uid": metadata["uid"]}
        body = {
            "apiVersion": "apps/v1",
            "kind": "ControllerRevision",
            "metadata": {
                "name": name,
                "labels": {**template["metadata"]["labels"], REVISION_HASH: digest},
                "ownerReferences": [{**owner, "controller": True}],
            },
            "data": {"spec": {"template": {**template, "$patch": "replace"}}},
            "revision": latest + 1,
        }
        cluster.request("POST", collection, body=body)
    elif kept[name]["revision"] < latest:
        where = path("ControllerRevision", metadata["namespace"], name)
        cluster.request("PATCH", where, body={"revision": latest + 1}, content_type=MERGE_PATCH)
    return name


def _create(cluster: Cluster, workload: Json, revision: str, *, name: str = "", node: str = "") -> None:
    metadata = workload["metadata"]
    where = path("ControllerRevision", metadata["namespace"], revision)
    template = cluster.request("GET", where)["data"]["spec"]["template"]
    owner = {"apiVersion": "apps/v1", "kind": workload["kind"], "name": metadata["name"], "uid": metadata["uid"]}
    named = {"name": metadata["name"] + name} if name else {"generateName": f"{metadata['name']}-"}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            **{key: value for key, value in template["metadata"].items() if key != "labels"},
            **named,
            "labels": {**template["metadata"]["labels"], REVISION_HASH: revision},
            "ownerReferences": [{**owner, "controller": True}],
        },
        "spec": {**template["spec"], **({"nodeName": node} if node else {})},
    }
    cluster.request("POST", path("Pod", metadata["namespace"]), body=pod)


def _pods(cluster: Cluster, workload: Json) -> list[Json]:
    query = {"labelSelector": label_query(workload["spec"]["selector"])}
    items: list[Json] = cluster.request("GET", path("Pod", workload["metadata"]["namespace"]), query=query)["items"]
    return items


def _status(cluster: Cluster, workload: Json, status: Json) -> None:
    metadata = workload["metadata"]
    where = path(workload["kind"], metadata["namespace"], metadata["name"], "status")
    body = {"status": {**status, "observedGeneration": metadata["generation"]}}
    cluster.request("PATCH", where, body=body, content_type=MERGE_PATCH)


def _delete(cluster: Cluster, pod: Json) -> None:
    cluster.request("DELETE", path("Pod", pod["metadata"]["namespace"], pod["metadata"]["name"]))


def _ordinal(pod: Json) -> int:
    return int(pod["metadata"]["name"].rpartition("-")[2])


def _hash(pod: Json) -> str:
    return str(pod["metadata"]["labels"].get(REVISION_HASH, ""))
