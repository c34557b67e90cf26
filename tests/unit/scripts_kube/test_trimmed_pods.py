"""Of many pods only what is read is kept."""

from __future__ import annotations

import copy
import tracemalloc
from typing import TYPE_CHECKING, Any

from quarterdeck_scripts.kube.client import ApiError, path
from quarterdeck_scripts.kube.pods import memory_limit_of, problems_of
from quarterdeck_scripts.kube.trimmed import trimmed
from quarterdeck_scripts.rollout import status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quarterdeck_scripts.kube.client import Json

PODS = 3_000
LABELS = {"app.kubernetes.io/name": "checkout", "quarterdeck.dev/track": "stable"}


def pod(number: int) -> Json:
    """Return a pod of some 6 KB that crashes."""
    container = {"name": "checkout", "image": "x/checkout:v1", "resources": {"limits": {"memory": "1Gi"}}}
    env = [{"name": f"SETTING_{number}_{n}", "value": "x" * 60} for n in range(40)]
    return {
        "metadata": {
            "name": f"checkout-{number}",
            "uid": str(number),
            "labels": LABELS,
            "annotations": {"a": "b"},
            "managedFields": [{"fieldsV1": {f"f:{n}": {} for n in range(40)}}],
        },
        "spec": {"nodeName": "n", "containers": [{**container, "env": env}], "volumes": [{"name": "v"}]},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "False"}, {"type": "PodScheduled", "status": "True"}],
            "containerStatuses": [
                {"name": "checkout", "ready": False, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
            ],
        },
    }


class Huge:
    """A cluster with a service of 3,000 pods, made up page by page."""

    server, skew = "https://huge.invalid", 0.0

    def request(self, method: str, where: str, *, query: Mapping[str, str] | None = None, **_: Any) -> Json:
        """Answer a GET."""
        if where == path("Pod", "shop"):
            first = int((query or {}).get("continue", 0))
            last = first + int((query or {})["limit"])
            more = {"continue": str(last)} if last < PODS else {}
            return {"metadata": {"resourceVersion": "1", **more}, "items": [pod(n) for n in range(first, last)]}
        if where == path("Deployment", "shop", "checkout"):
            containers = [{"name": "checkout", "image": "x/checkout:v1"}]
            spec = {"replicas": PODS, "template": {"spec": {"containers": containers}, "metadata": {"labels": LABELS}}}
            return {"kind": "Deployment", "metadata": {"name": "checkout", "namespace": "shop"}, "spec": spec}
        raise ApiError(404, "NotFound", where)


def test_what_is_read_is_kept() -> None:
    """Problems and limits are the same; the specification and whose fields they are go."""
    whole = pod(7)
    before = copy.deepcopy(whole)
    kept = trimmed(whole)

    assert (problems_of(kept), memory_limit_of(kept)) == (problems_of(whole), memory_limit_of(whole))
    assert kept["metadata"] == {"name": "checkout-7", "uid": "7", "labels": LABELS}
    assert kept["spec"].keys() == {"containers", "nodeName"}
    assert kept["status"] == whole["status"]
    assert whole == before


def test_a_pod_without_a_node_stays_without() -> None:
    """As the scheduler leaves it; init containers are kept as the others."""
    kept = trimmed({"metadata": {}, "spec": {"containers": [], "initContainers": [{"name": "a", "env": []}]}})

    assert kept["spec"] == {"containers": [], "initContainers": [{"name": "a"}]}


def test_the_status_of_many_pods_never_has_them_all() -> None:
    """Page by page, they take a few megabytes; kept whole, 10,000 took 330."""
    tracemalloc.start()
    try:
        found = status.of(Huge(), "uid", "shop", "checkout")  # type: ignore[arg-type]  # it answers what is asked
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert found.stable is not None
    assert len(found.stable.problems) == PODS
    assert peak < 20e6
