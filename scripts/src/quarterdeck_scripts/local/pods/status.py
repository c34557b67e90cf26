"""From container states to a pod's status, as the kubelet does it. Pure.

Source: pkg/kubelet/kubelet_pods.go (`getPhase`) and pkg/kubelet/status/generate.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from quarterdeck_scripts.kube.client import Json

POD_INITIALIZING = "PodInitializing"
CONTAINER_CREATING = "ContainerCreating"
CRASH_LOOP = "CrashLoopBackOff"
IMAGE_ERROR = "ErrImagePull"
IMAGE_BACK_OFF = "ImagePullBackOff"
IMAGE_NEVER = "ErrImageNeverPull"
CONFIG_ERROR = "CreateContainerConfigError"
CREATE_ERROR = "CreateContainerError"
"""Reasons of waiting, in the kubelet's words: what people and `workloads.status_of` look for."""

FINISHED = ("Succeeded", "Failed")
"""Phases that a pod never leaves."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Not running, and meant to."""

    reason: str
    message: str = ""

    def to_json(self) -> Json:
        """Return it as it stands in `containerStatuses[].state`."""
        return {"waiting": _filled(reason=self.reason, message=self.message)}


@dataclass(frozen=True, slots=True)
class Running:
    """A process lives."""

    started_at: str

    def to_json(self) -> Json:
        """Return it as it stands in `containerStatuses[].state`."""
        return {"running": {"startedAt": self.started_at}}


@dataclass(frozen=True, slots=True)
class Terminated:
    """A process ended."""

    exit_code: int
    """128 + signal when a signal ended it, as container runtimes report it."""
    started_at: str
    finished_at: str
    reason: str = ""
    signal: int = 0
    message: str = ""
    container_id: str = ""

    def to_json(self) -> Json:
        """Return it as it stands in `containerStatuses[].state`."""
        return {
            "terminated": {
                "exitCode": self.exit_code,
                "reason": self.reason or ("Completed" if self.exit_code == 0 else "Error"),
                "startedAt": self.started_at,
                "finishedAt": self.finished_at,
                **_filled(signal=self.signal, message=self.message, containerID=self.container_id),
            }
        }


@dataclass(frozen=True, slots=True)
class ContainerState:
    """One container as observed."""

    name: str
    image: str
    state: Waiting | Running | Terminated
    last: Terminated | None = None
    """The end before the present state; also what `kubectl logs --previous` speaks of."""
    restarts: int = 0
    ready: bool = False
    started: bool = False
    """Its startup probe has passed, or it has none and runs."""
    image_id: str = ""
    container_id: str = ""

    @property
    def ended(self) -> Terminated | None:
        """How it ended, when it is not running and has run."""
        if isinstance(self.state, Terminated):
            return self.state
        return self.last if isinstance(self.state, Waiting) else None

    def to_json(self) -> Json:
        """Return the entry of `containerStatuses`."""
        return {
            "name": self.name,
            "image": self.image,
            "imageID": self.image_id,
            "state": self.state.to_json(),
            "lastState": self.last.to_json() if self.last else {},
            "restartCount": self.restarts,
            "ready": self.ready,
            "started": self.started,
            **_filled(containerID=self.container_id),
        }


@dataclass(frozen=True, slots=True)
class Observation:
    """What the runner knows of a pod, beyond the API object."""

    init_containers: Sequence[ContainerState]
    containers: Sequence[ContainerState]
    started_at: str
    """When the runner took the pod up."""
    host_ip: str = ""
    pod_ip: str = ""
    over: bool = False
    """The pod was told to end, so no container will be started again whatever its policy."""


def restarts(pod: Json, container: Json, exit_code: int) -> bool:
    """Say whether the container is started again after ending with *exit_code*."""
    policy = container.get("restartPolicy") or pod["spec"].get("restartPolicy", "Always")
    return policy == "Always" or (policy == "OnFailure" and exit_code != 0)


def is_sidecar(container: Json) -> bool:
    """Say whether an init container is one that goes on running beside the others."""
    return bool(container.get("restartPolicy") == "Always")


def phase(pod: Json, seen: Observation) -> str:
    """Return the pod's phase. A finished pod stays as it is."""
    if (before := pod.get("status", {}).get("phase")) in FINISHED:
        return str(before)
    blocked = _initialisation(pod, seen)
    if blocked:
        return blocked
    counts = Counter(_kind(state) for state in seen.containers)
    if counts["waiting"]:
        return "Pending"
    if counts["running"] or any(isinstance(sidecar.state, Running) for sidecar in _sidecars(pod, seen)):
        return "Running"
    ends = [end for state in seen.containers if (end := state.ended)]
    again = not seen.over and any(
        restarts(pod, spec, state.ended.exit_code)
        for spec, state in zip(pod["spec"]["containers"], seen.containers, strict=True)
        if state.ended
    )
    if again:
        return "Running"
    return "Succeeded" if all(end.exit_code == 0 for end in ends) else "Failed"


def _kind(state: ContainerState) -> str:
    if isinstance(state.state, Running):
        return "running"
    return "stopped" if state.ended else "waiting"


def _sidecars(pod: Json, seen: Observation) -> list[ContainerState]:
    specs = pod["spec"].get("initContainers", [])
    return [state for spec, state in zip(specs, seen.init_containers, strict=True) if is_sidecar(spec)]


def _initialisation(pod: Json, seen: Observation) -> str:
    """Return the phase that the init containers keep the pod in; empty when they are done."""
    begun = any(not isinstance(state.state, Waiting) or state.last for state in seen.containers)
    pending = False
    for spec, state in zip(pod["spec"].get("initContainers", []), seen.init_containers, strict=True):
        if is_sidecar(spec):
            pending = pending or not (state.started or begun)
        elif (end := state.ended) is None:
            pending = True
        elif end.exit_code != 0 and (seen.over or not restarts(pod, spec, end.exit_code)):
            return "Failed"
        else:
            pending = pending or (end.exit_code != 0 and not begun)
    return "Pending" if pending else ""


def pod_status(pod: Json, seen: Observation, conditions: Iterable[Json], now: str) -> Json:
    """Return the status to write: everything that is a kubelet's to say.

    Args:
        pod: the API object; its conditions by other writers are kept by not being named.
        seen: what the runner knows.
        conditions: those written last, for their transition times.
        now: RFC 3339, for what changes.
    """
    generation = pod["metadata"].get("generation", 0)
    reached = phase(pod, seen)
    wanted = _conditions(pod, seen, reached)
    return {
        "observedGeneration": generation,
        "phase": reached,
        "conditions": with_transition_times(wanted, conditions, generation, now),
        "startTime": seen.started_at,
        "initContainerStatuses": [state.to_json() for state in seen.init_containers],
        "containerStatuses": [state.to_json() for state in seen.containers],
        **_filled(
            hostIP=seen.host_ip,
            hostIPs=[{"ip": seen.host_ip}] if seen.host_ip else None,
            podIP=seen.pod_ip,
            podIPs=[{"ip": seen.pod_ip}] if seen.pod_ip else None,
        ),
    }


def with_transition_times(wanted: Iterable[Json], before: Iterable[Json], generation: int, now: str) -> list[Json]:
    """Return *wanted* with `lastTransitionTime` kept from *before* where the status did not change."""
    since = {(old["type"], old["status"]): old.get("lastTransitionTime") or now for old in before}
    return [
        {
            **condition,
            "lastTransitionTime": since.get((condition["type"], condition["status"]), now),
            "observedGeneration": generation,
        }
        for condition in wanted
    ]


def _conditions(pod: Json, seen: Observation, reached: str) -> list[Json]:
    ready = _containers_ready(pod, seen, reached)
    return [
        _condition("PodReadyToStartContainers", holds=bool(seen.pod_ip) and reached not in FINISHED),
        _initialized(pod, seen, reached),
        {**ready, "type": "ContainersReady"},
        {**(ready if ready["status"] == "False" else _gates(pod)), "type": "Ready"},
        _condition("PodScheduled", holds=True),
    ]


def _initialized(pod: Json, seen: Observation, reached: str) -> Json:
    if reached == "Succeeded":
        return _condition("Initialized", holds=True, reason="PodCompleted")
    begun = any(not isinstance(state.state, Waiting) or state.last for state in seen.containers)
    incomplete = [
        state.name
        for spec, state in zip(pod["spec"].get("initContainers", []), seen.init_containers, strict=True)
        if not (state.started if is_sidecar(spec) else state.ready)
    ]
    if begun or not incomplete:
        return _condition("Initialized", holds=True)
    message = f"containers with incomplete status: [{' '.join(incomplete)}]"
    return _condition("Initialized", holds=False, reason="ContainersNotInitialized", message=message)


def _containers_ready(pod: Json, seen: Observation, reached: str) -> Json:
    if reached in FINISHED:
        return _condition("", holds=False, reason="PodCompleted" if reached == "Succeeded" else "PodFailed")
    unready = [state.name for state in (*_sidecars(pod, seen), *seen.containers) if not state.ready]
    if not unready:
        return _condition("", holds=True)
    message = f"containers with unready status: [{' '.join(unready)}]"
    return _condition("", holds=False, reason="ContainersNotReady", message=message)


def _gates(pod: Json) -> Json:
    """Return whether the conditions that the pod names as readiness gates hold; others write them."""
    held = {c["type"] for c in pod.get("status", {}).get("conditions", []) if c["status"] == "True"}
    closed = [gate["conditionType"] for gate in pod["spec"].get("readinessGates", [])]
    closed = [name for name in closed if name not in held]
    if not closed:
        return _condition("", holds=True)
    message = ", ".join(f'the status of pod readiness gate "{name}" is not "True"' for name in closed)
    return _condition("", holds=False, reason="ReadinessGatesNotReady", message=message)


def _condition(name: str, *, holds: bool, reason: str = "", message: str = "") -> Json:
    """Return a condition. Without a reason the fields are null, which in a patch takes an old one away."""
    return {
        "type": name,
        "status": "True" if holds else "False",
        "reason": reason or None,
        "message": message or None,
    }


def _filled(**fields: Any) -> Json:
    return {name: value for name, value in fields.items() if value}
