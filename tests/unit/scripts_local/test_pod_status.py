"""From container states to the pod's status, as a kubelet writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from quarterdeck_scripts.local.pods.status import (
    ContainerState,
    Observation,
    Running,
    Terminated,
    Waiting,
    phase,
    pod_status,
    restarts,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from quarterdeck_scripts.kube.client import Json

BEFORE = "2026-01-01T00:00:00Z"
NOW = "2026-01-01T00:01:00Z"

WAITING = Waiting("ContainerCreating")
RUNNING = Running(BEFORE)
DONE = Terminated(0, BEFORE, NOW)
FAILED = Terminated(3, BEFORE, NOW)
CRASHING = Waiting("CrashLoopBackOff")


def _state(
    state: Waiting | Running | Terminated, last: Terminated | None = None, *, ready: bool = False
) -> ContainerState:
    return ContainerState("main", "localhost/checkout:v1", state, last, ready=ready)


def _seen(*containers: ContainerState, init: tuple[ContainerState, ...] = (), over: bool = False) -> Observation:
    return Observation(init, containers, BEFORE, "127.77.255.1", "127.77.1.0", over)


@pytest.mark.parametrize(
    ("policy", "state", "last", "over", "expected"),
    [
        ("Always", WAITING, None, False, "Pending"),
        ("Always", RUNNING, None, False, "Running"),
        ("Always", FAILED, None, False, "Running"),
        ("Always", DONE, None, False, "Running"),
        ("Always", CRASHING, FAILED, False, "Running"),
        ("Always", DONE, None, True, "Succeeded"),
        ("Always", FAILED, None, True, "Failed"),
        ("OnFailure", DONE, None, False, "Succeeded"),
        ("OnFailure", FAILED, None, False, "Running"),
        ("Never", DONE, None, False, "Succeeded"),
        ("Never", FAILED, None, False, "Failed"),
    ],
)
def test_the_phase_of_one_container(
    pod: Callable[..., Json],
    policy: str,
    state: Waiting | Running | Terminated,
    last: Terminated | None,
    *,
    over: bool,
    expected: str,
) -> None:
    """It follows from the state, from whether the policy starts it again, and from whether the pod is to end."""
    assert phase(pod(restartPolicy=policy), _seen(_state(state, last), over=over)) == expected


def test_one_running_container_makes_the_pod_run_though_another_has_ended(pod: Callable[..., Json]) -> None:
    """Only when all have ended is the pod finished."""
    described = pod({"name": "a", "image": "x"}, {"name": "b", "image": "x"}, restartPolicy="Never")

    assert phase(described, _seen(_state(FAILED), _state(RUNNING))) == "Running"
    assert phase(described, _seen(_state(FAILED), _state(DONE))) == "Failed"
    assert phase(described, _seen(_state(DONE), _state(WAITING))) == "Pending"


def test_a_finished_pod_stays_as_it_is(pod: Callable[..., Json]) -> None:
    """No later state of a container takes a phase back that the API server has seen."""
    described = pod()
    described["status"]["phase"] = "Succeeded"

    assert phase(described, _seen(_state(RUNNING))) == "Succeeded"


@pytest.mark.parametrize(
    ("policy", "state", "last", "expected"),
    [
        ("Always", WAITING, None, "Pending"),
        ("Always", RUNNING, None, "Pending"),
        ("Always", FAILED, None, "Pending"),
        ("Always", CRASHING, FAILED, "Pending"),
        ("Never", FAILED, None, "Failed"),
        ("Never", DONE, None, "Pending"),
    ],
)
def test_init_containers_hold_the_pod_pending_or_fail_it(
    pod: Callable[..., Json],
    policy: str,
    state: Waiting | Running | Terminated,
    last: Terminated | None,
    expected: str,
) -> None:
    """Until they are done the pod is Pending; one that may not be started again fails it."""
    described = pod(restartPolicy=policy, initContainers=[{"name": "main", "image": "x"}])

    assert phase(described, _seen(_state(Waiting("PodInitializing")), init=(_state(state, last),))) == expected


def test_a_running_sidecar_keeps_the_pod_running_after_the_others(pod: Callable[..., Json]) -> None:
    """The pod has succeeded only when its sidecars have been stopped too."""
    described = pod(restartPolicy="Never", initContainers=[{"name": "side", "image": "x", "restartPolicy": "Always"}])
    sidecar = ContainerState("side", "x", RUNNING, ready=True, started=True)

    assert phase(described, _seen(_state(DONE), init=(sidecar,))) == "Running"
    assert phase(described, _seen(_state(DONE), init=(_state(DONE),))) == "Succeeded"


def test_a_containers_own_restart_policy_comes_before_the_pods(pod: Callable[..., Json]) -> None:
    """A container that says OnFailure is not started again after success, whatever the pod says."""
    described = pod(restartPolicy="Always")

    assert not restarts(described, {"restartPolicy": "OnFailure"}, 0)
    assert restarts(described, {"restartPolicy": "OnFailure"}, 1)
    assert restarts(described, {}, 0)


def test_a_pod_with_an_unready_container_is_not_ready_and_says_which(pod: Callable[..., Json]) -> None:
    """ContainersReady and Ready name it; both carry the pod's generation."""
    conditions = pod_status(pod(), _seen(_state(RUNNING)), [], NOW)["conditions"]

    ready = {condition["type"]: condition for condition in conditions}
    assert ready["Ready"] == {
        "type": "Ready",
        "status": "False",
        "reason": "ContainersNotReady",
        "message": "containers with unready status: [main]",
        "lastTransitionTime": NOW,
        "observedGeneration": 3,
    }
    assert ready["ContainersReady"]["status"] == "False"
    assert ready["Initialized"]["status"] == "True"
    assert ready["PodScheduled"]["status"] == "True"
    assert ready["PodReadyToStartContainers"]["status"] == "True"


def test_a_condition_keeps_its_time_while_its_status_stays(pod: Callable[..., Json]) -> None:
    """`minReadySeconds` is counted from it; a changed status has the present time."""
    before = pod_status(pod(), _seen(_state(RUNNING, ready=True)), [], BEFORE)["conditions"]

    same = pod_status(pod(), _seen(_state(RUNNING, ready=True)), before, NOW)["conditions"]
    changed = pod_status(pod(), _seen(_state(RUNNING)), before, NOW)["conditions"]

    assert {condition["lastTransitionTime"] for condition in same} == {BEFORE}
    assert {one["type"] for one in changed if one["lastTransitionTime"] == NOW} == {"Ready", "ContainersReady"}


def test_a_readiness_gate_holds_ready_back(pod: Callable[..., Json]) -> None:
    """Ready waits for the condition that somebody else writes; ContainersReady does not."""
    described = pod(readinessGates=[{"conditionType": "example.com/open"}])
    seen = _seen(_state(RUNNING, ready=True))

    closed = {one["type"]: one for one in pod_status(described, seen, [], NOW)["conditions"]}
    described["status"]["conditions"] = [{"type": "example.com/open", "status": "True"}]
    opened = {one["type"]: one for one in pod_status(described, seen, [], NOW)["conditions"]}

    assert (closed["ContainersReady"]["status"], closed["Ready"]["reason"]) == ("True", "ReadinessGatesNotReady")
    assert opened["Ready"]["status"] == "True"


@pytest.mark.parametrize(("state", "reason"), [(DONE, "PodCompleted"), (FAILED, "PodFailed")])
def test_a_finished_pod_is_not_ready_and_says_how_it_ended(
    pod: Callable[..., Json], state: Terminated, reason: str
) -> None:
    """Its conditions carry the reason that `kubectl` and the Job controller look for."""
    conditions = pod_status(pod(restartPolicy="Never"), _seen(_state(state)), [], NOW)["conditions"]

    ready = next(one for one in conditions if one["type"] == "Ready")
    assert (ready["status"], ready["reason"]) == ("False", reason)


def test_a_container_status_tells_its_present_and_its_last_end(pod: Callable[..., Json]) -> None:
    """State, last state, restarts and identity are all a person at `kubectl describe` needs."""
    ended = Terminated(137, BEFORE, NOW, signal=9, message="killed", container_id="process://7.1")
    state = ContainerState(
        "main", "localhost/checkout:v1", CRASHING, ended, restarts=2, image_id="sha256:1", container_id="process://7.1"
    )

    assert pod_status(pod(), _seen(state), [], NOW)["containerStatuses"] == [
        {
            "name": "main",
            "image": "localhost/checkout:v1",
            "imageID": "sha256:1",
            "containerID": "process://7.1",
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {
                "terminated": {
                    "exitCode": 137,
                    "reason": "Error",
                    "signal": 9,
                    "message": "killed",
                    "startedAt": BEFORE,
                    "finishedAt": NOW,
                    "containerID": "process://7.1",
                }
            },
            "restartCount": 2,
            "ready": False,
            "started": False,
        }
    ]


def test_the_status_has_both_addresses_in_both_spellings(pod: Callable[..., Json]) -> None:
    """Older clients read `podIP`, newer ones `podIPs`; without an address there is neither."""
    status = pod_status(pod(), _seen(_state(RUNNING)), [], NOW)
    nowhere = pod_status(pod(), Observation((), (_state(WAITING),), BEFORE), [], NOW)

    assert (status["podIP"], status["podIPs"]) == ("127.77.1.0", [{"ip": "127.77.1.0"}])
    assert (status["hostIP"], status["hostIPs"]) == ("127.77.255.1", [{"ip": "127.77.255.1"}])
    assert not {"podIP", "podIPs", "hostIP"} & nowhere.keys()
