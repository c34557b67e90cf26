"""What a pod's status says: Ready or not, and if not, why. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from quarterdeck_contract.kubernetes import APP_NAME
from quarterdeck_dashboards.quantity import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quarterdeck_scripts.kube.client import Json

FAILURES = frozenset(
    {
        "AdmissionDenied",
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
        "LimitExceeded",
        "OOMKilled",
        "ProgressDeadlineExceeded",
        "QuotaExceeded",
        "RegistryUnavailable",
        "Restarting",
        "RunContainerError",
        "StartError",
        "Unschedulable",
    }
)
"""Reasons that waiting alone seldom mends. One sighting is not proof: a registry or a node may be late, so ask
several times before giving up."""

RETRIED = frozenset({"ErrImagePull", "ImagePullBackOff", "QuotaExceeded", "RegistryUnavailable", "Unschedulable"})
"""Those of FAILURES that the cluster itself tries again some seconds later, with another outcome at times."""

_RESTARTS = 2
"""Restarts after which a container that runs and is not Ready counts as failing: its crashes are so far apart that
no look may ever meet the back-off between them. One may be a dependency that was late."""

_CREATION = (
    ("exceeded quota", "QuotaExceeded"),
    ("denied the request", "AdmissionDenied"),
    ("violates PodSecurity", "AdmissionDenied"),
    ("ValidatingAdmissionPolicy", "AdmissionDenied"),
    ("failed calling webhook", "AdmissionDenied"),
    ("maximum cpu usage", "LimitExceeded"),
    ("maximum memory usage", "LimitExceeded"),
    ("minimum cpu usage", "LimitExceeded"),
    ("minimum memory usage", "LimitExceeded"),
    ("limit to request ratio", "LimitExceeded"),
)
"""Words of the API server in a refusal to make a pod, and the reason they stand for, the first that fits.

Sources: pkg/quota and plugin/pkg/admission/limitranger of kubernetes/kubernetes; staging/src/k8s.io/apiserver, webhook
errors; staging/src/k8s.io/pod-security-admission.
"""

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
    stale: bool = False
    """Whether the pod is of an earlier template: what ails it is not the newest one's doing."""

    @property
    def failure(self) -> bool:
        """Whether waiting alone seldom mends it, and the newest template has to do with it."""
        return self.reason in FAILURES and not self.stale

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


def restarts_of(pod: Json) -> int:
    """Return how often containers of *pod* were started anew; init containers are not counted, they run to an end."""
    return sum(each.get("restartCount", 0) for each in pod.get("status", {}).get("containerStatuses") or [])


def memory_limit_of(pod: Json) -> float:
    """Return how many bytes of memory the container of *pod* that serves may have; 0 without a limit.

    It is the one named as the service, else the first.
    """
    containers = pod["spec"]["containers"]
    serving = next((each for each in containers if each["name"] == label(pod, APP_NAME)), containers[0])
    limit = ((serving.get("resources") or {}).get("limits") or {}).get("memory", "0")
    try:
        return float(parse_quantity(str(limit)))
    except ValueError:  # a spelling that nobody uses, such as 1e9
        return 0.0


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


def creation_failure(message: str, reason: str = "FailedCreate") -> str:
    """Return why a controller could not make a pod, from the API server's *message*; else *reason*.

    >>> creation_failure('pods "a" is forbidden: exceeded quota: requests, requested: cpu=1, used: cpu=9, limited: 9')
    'QuotaExceeded'
    """
    return next((known for words, known in _CREATION if words in message), reason)


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
            reason = "Restarting" if container.get("restartCount", 0) >= _RESTARTS else "NotReady"
            yield PodProblem(name, reason, _history(container) or "its probe does not pass", container["name"])


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
