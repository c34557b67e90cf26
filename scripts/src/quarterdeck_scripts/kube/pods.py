"""What a pod's status says: Ready or not, and if not, why. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quarterdeck_scripts.kube.client import Json

FAILURES = frozenset(
    {
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ErrImagePull",
        "Error",
        "Evicted",
        "FailedCreate",
        "ImageInspectError",
        "ImagePullBackOff",
        "InvalidImageName",
        "OOMKilled",
        "ProgressDeadlineExceeded",
        "QuotaExceeded",
        "RunContainerError",
        "StartError",
        "Unschedulable",
    }
)
"""Reasons that waiting alone seldom mends. One sighting is not proof: a registry or a node may be late, so ask
several times before giving up."""

_STARTING = frozenset({"ContainerCreating", "PodInitializing"})
"""Reasons every healthy pod passes through."""


@dataclass(frozen=True, slots=True)
class PodProblem:
    """Why one pod is not Ready; `pod` is empty for what keeps a workload from having pods at all."""

    pod: str
    reason: str
    """As the cluster spells it, or `NotReady`, `NotScheduled`, `Terminating`."""
    message: str
    container: str = ""
    """Empty when the reason is the whole pod's."""

    @property
    def failure(self) -> bool:
        """Whether waiting alone seldom mends it."""
        return self.reason in FAILURES

    def __str__(self) -> str:
        where = f"pod {self.pod}" if self.pod else "no pod"
        if self.container:
            where += f", container {self.container}"
        return f"{where}: {self.reason}" + (f" ({self.message})" if self.message else "")


def is_ready(pod: Json) -> bool:
    """Return whether *pod* serves: its condition Ready is true and it is not being deleted."""
    return not is_terminating(pod) and condition(pod, "Ready").get("status") == "True"


def is_terminating(pod: Json) -> bool:
    """Return whether *pod* is being deleted."""
    return "deletionTimestamp" in pod["metadata"]


def is_finished(pod: Json) -> bool:
    """Return whether *pod* ran to its end and will not run again."""
    return pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}


def label(found: Json, name: str) -> str:
    """Return the label *name* of any object; empty without one."""
    return str((found["metadata"].get("labels") or {}).get(name, ""))


def created(found: Json) -> float:
    """Return when any object was created, in Unix seconds by the API server's clock."""
    return datetime.fromisoformat(found["metadata"]["creationTimestamp"]).timestamp()


def condition(found: Json, kind: str) -> Json:
    """Return the condition of that type of any object; `{}` when it has none."""
    conditions: list[Json] = found.get("status", {}).get("conditions") or []
    return next((each for each in conditions if each["type"] == kind), {})


def problems_of(pod: Json) -> tuple[PodProblem, ...]:
    """Return why *pod* is not Ready: at least one problem when it is not, none when it is."""
    name = pod["metadata"]["name"]
    if is_ready(pod):
        return ()
    if is_terminating(pod):
        return (PodProblem(name, "Terminating", "being deleted"),)
    status = pod.get("status", {})
    if status.get("phase") == "Failed":
        return (PodProblem(name, status.get("reason") or "Error", status.get("message", "")),)
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        return (PodProblem(name, scheduled.get("reason", "Unschedulable"), scheduled.get("message", "")),)
    if not pod["spec"].get("nodeName"):
        return (PodProblem(name, "NotScheduled", "no scheduler has placed it yet"),)
    found = tuple(_container_problems(pod))
    return found or (PodProblem(name, "NotReady", condition(pod, "Ready").get("message", "")),)


def _container_problems(pod: Json) -> Iterator[PodProblem]:
    status = pod.get("status", {})
    name = pod["metadata"]["name"]
    initialising = False
    for container in status.get("initContainerStatuses") or []:
        problem = _waiting_or_ended(name, container, initialising=True)
        if problem:
            yield problem
        initialising = initialising or problem is not None
    if initialising:
        return  # the others wait for the init containers, and say no more than that
    for container in status.get("containerStatuses") or []:
        problem = _waiting_or_ended(name, container)
        if problem:
            yield problem
        elif not container.get("ready"):
            yield PodProblem(name, "NotReady", _history(container) or "its probe does not pass", container["name"])


def _waiting_or_ended(pod: str, container: Json, *, initialising: bool = False) -> PodProblem | None:
    state = container.get("state", {})
    if "waiting" in state:
        reason = state["waiting"].get("reason", "Waiting")
        message = "" if reason in _STARTING else state["waiting"].get("message", "")
        return PodProblem(pod, reason, "; ".join(filter(None, (message, _history(container)))), container["name"])
    if "terminated" in state and not (initialising and state["terminated"].get("exitCode") == 0):
        ended = state["terminated"]
        return PodProblem(pod, ended.get("reason", "Error"), f"exit code {ended.get('exitCode')}", container["name"])
    return None


def _history(container: Json) -> str:
    """Return how often the container was restarted and how it ended last; empty when it never was."""
    restarts = container.get("restartCount", 0)
    if not restarts:
        return ""
    last = container.get("lastState", {}).get("terminated")
    ended = f", last with exit code {last.get('exitCode')} ({last.get('reason', 'Error')})" if last else ""
    return f"restarted {restarts} times{ended}"
