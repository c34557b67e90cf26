"""Why a pod is not Ready is said in the cluster's own words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_scripts.kube.pods import is_ready, problems_of

if TYPE_CHECKING:
    from quarterdeck_scripts.kube.client import Json


def pod(*, ready: bool = False, node: str = "n1", **status: Any) -> Json:
    """Return a pod with one container."""
    condition = {"type": "Ready", "status": "True" if ready else "False"}
    conditions = [condition, *status.pop("conditions", [])]
    return {
        "metadata": {"name": "checkout-1"},
        "spec": {"nodeName": node, "containers": [{"name": "app"}]},
        "status": {"phase": "Running", "conditions": conditions, **status},
    }


def container(state: Json, **rest: Any) -> Json:
    """Return a container's status."""
    return {"name": "app", "ready": False, "restartCount": 0, "state": state, **rest}


ENDED = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}

CASES = [
    (
        "a crash loop tells how often and how it ended",
        pod(
            containerStatuses=[container({"waiting": {"reason": "CrashLoopBackOff"}}, restartCount=3, lastState=ENDED)]
        ),
        "pod checkout-1, container app: CrashLoopBackOff (restarted 3 times, last with exit code 137 (OOMKilled))",
        True,
    ),
    (
        "an image that is not there tells the registry's message",
        pod(containerStatuses=[container({"waiting": {"reason": "ImagePullBackOff", "message": "no such tag"}})]),
        "pod checkout-1, container app: ImagePullBackOff (no such tag)",
        True,
    ),
    (
        "a container that has just ended",
        pod(containerStatuses=[container({"terminated": {"exitCode": 1, "reason": "Error"}})]),
        "pod checkout-1, container app: Error (exit code 1)",
        True,
    ),
    (
        "a probe that fails is no failure yet",
        pod(containerStatuses=[container({"running": {}})]),
        "pod checkout-1, container app: NotReady (its probe does not pass)",
        False,
    ),
    (
        "a container that ran, and crashed, twice before is failing between its crashes, too",
        pod(containerStatuses=[container({"running": {}}, restartCount=2, lastState=ENDED)]),
        "pod checkout-1, container app: Restarting (restarted 2 times, last with exit code 137 (OOMKilled))",
        True,
    ),
    (
        "a container that waited for something once",
        pod(containerStatuses=[container({"running": {}}, restartCount=1)]),
        "pod checkout-1, container app: NotReady (restarted 1 times)",
        False,
    ),
    (
        "a container being made",
        pod(containerStatuses=[container({"waiting": {"reason": "ContainerCreating"}})]),
        "pod checkout-1, container app: ContainerCreating",
        False,
    ),
    (
        "an init container that fails speaks for those that wait for it",
        pod(
            initContainerStatuses=[{**container({"waiting": {"reason": "CrashLoopBackOff"}}), "name": "migrate"}],
            containerStatuses=[container({"waiting": {"reason": "PodInitializing"}})],
        ),
        "pod checkout-1, container migrate: CrashLoopBackOff",
        True,
    ),
    (
        "an init container that is done says nothing",
        pod(
            initContainerStatuses=[{**container({"terminated": {"exitCode": 0}}), "name": "migrate"}],
            containerStatuses=[container({"waiting": {"reason": "CreateContainerConfigError", "message": "no key a"}})],
        ),
        "pod checkout-1, container app: CreateContainerConfigError (no key a)",
        True,
    ),
    (
        "no node has room",
        pod(
            node="",
            conditions=[{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}],
        ),
        "pod checkout-1: Unschedulable (0/3 nodes)",
        True,
    ),
    (
        "no scheduler has looked",
        pod(node=""),
        "pod checkout-1: NotScheduled (no scheduler has placed it yet)",
        False,
    ),
    (
        "evicted by its node",
        pod(phase="Failed", reason="Evicted", message="low on memory"),
        "pod checkout-1: Evicted (low on memory)",
        True,
    ),
]


@pytest.mark.parametrize(("found", "said", "failure"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_pod_that_is_not_ready_says_why(found: Json, said: str, *, failure: bool) -> None:
    """One problem, with its reason, and whether waiting may mend it."""
    (problem,) = problems_of(found)

    assert str(problem) == said
    assert problem.failure is failure


def test_a_ready_pod_has_no_problem() -> None:
    """Restarts of the past are no problem of now."""
    found = pod(ready=True, containerStatuses=[container({"running": {}}, restartCount=7)])

    assert is_ready(found)
    assert problems_of(found) == ()


def test_a_pod_being_deleted_does_not_serve() -> None:
    """It may still be Ready while it ends; it is not counted on."""
    found = pod(ready=True)
    found["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"

    assert not is_ready(found)
    assert [problem.reason for problem in problems_of(found)] == ["Terminating"]
