"""What the actions on a service share: its Deployment with all that belongs to it, and when it is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import QuarterdeckError, RefusedError, UsageError
from quarterdeck_contract.kubernetes import ROLLOUT_STATE
from quarterdeck_scripts.kube.client import ApiError, list_all, path
from quarterdeck_scripts.kube.pods import problems_of
from quarterdeck_scripts.kube.revisions import revisions
from quarterdeck_scripts.kube.selectors import label_query
from quarterdeck_scripts.kube.workloads import WorkloadStatus, status_of

if TYPE_CHECKING:
    from quarterdeck_scripts.kube.client import Cluster, Json
    from quarterdeck_scripts.kube.pods import PodProblem
    from quarterdeck_scripts.runbook.model import Plan, Subject

_NOT_FOUND = 404
_TOLD = 10
"""Pods named in one message; the others are counted."""


@dataclass(frozen=True, slots=True)
class ServiceSeen:
    """A service's stable Deployment, with what belongs to it."""

    deployment: Json
    replica_sets: tuple[Json, ...]
    """Those its selector selects; which of them are its own, their owners say."""
    pods: tuple[Json, ...]
    """Those its selector selects."""
    autoscalers: tuple[Json, ...]
    """HorizontalPodAutoscalers that set its number of pods."""

    @property
    def subject(self) -> str:
        """As it is called in messages."""
        metadata = self.deployment["metadata"]
        return f"Deployment {metadata['namespace']}/{metadata['name']}"

    @property
    def path(self) -> str:
        """Its API path."""
        metadata = self.deployment["metadata"]
        return path("Deployment", metadata["namespace"], metadata["name"])

    @property
    def status(self) -> WorkloadStatus:
        """How far it is."""
        return status_of(self.deployment, self.pods)

    @property
    def newest_pods(self) -> tuple[Json, ...]:
        """Pods of the present template: those that have to become Ready."""
        template = self.deployment["spec"]["template"]
        newest = {
            each.replica_set for each in revisions(self.deployment, self.replica_sets) if each.template == template
        }
        return tuple(
            pod
            for pod in self.pods
            if any(owner["name"] in newest for owner in pod["metadata"].get("ownerReferences") or [])
        )

    @property
    def failures(self) -> tuple[PodProblem, ...]:
        """Problems that waiting does not mend, of the newest pods and of a Deployment that gets none.

        Want of room is not among them: a rolling update makes room itself, and nodes may be added.
        """
        own = [problem for problem in self.status.problems if not problem.pod and self.status.observed]
        pods = [problem for pod in self.newest_pods for problem in problems_of(pod)]
        return tuple(problem for problem in (*own, *pods) if problem.failure and problem.reason != "Unschedulable")


def observe_service(cluster: Cluster, subject: Subject) -> ServiceSeen:
    """Read a service's stable Deployment and what belongs to it.

    Raises:
        UsageError: there is no such Deployment.
    """
    try:
        deployment = cluster.request("GET", path("Deployment", subject.namespace, subject.name))
    except ApiError as error:
        if error.status != _NOT_FOUND:
            raise
        raise UsageError(
            f"the {subject} in the cluster {cluster.server}",
            "none",
            "deploy the service first, or name another with --service or --env",
        ) from error
    query = {"labelSelector": label_query(deployment["spec"]["selector"])}
    return ServiceSeen(
        deployment,
        tuple(list_all(cluster, path("ReplicaSet", subject.namespace), query)),
        tuple(list_all(cluster, path("Pod", subject.namespace), query)),
        tuple(
            found
            for found in list_all(cluster, path("HorizontalPodAutoscaler", subject.namespace))
            if (found["spec"]["scaleTargetRef"]["kind"], found["spec"]["scaleTargetRef"]["name"])
            == ("Deployment", subject.name)
        ),
    )


def refuse_during_rollout(seen: ServiceSeen) -> None:
    """Refuse while a rollout is judged: it would be judged on pods that somebody else changes.

    Raises:
        RefusedError: a rollout is under way.
    """
    if ROLLOUT_STATE in (seen.deployment["metadata"].get("annotations") or {}):
        name = seen.deployment["metadata"]["name"]
        raise RefusedError(
            f"no rollout of {name} to be under way",
            "one is",
            f"see `quarterdeck rollout status {name}`; `quarterdeck rollout abort {name}` puts everything back",
        )


def refuse_paused(seen: ServiceSeen) -> None:
    """Refuse a Deployment that would take a new template and do nothing about it.

    Raises:
        RefusedError: it is paused.
    """
    if seen.deployment["spec"].get("paused"):
        raise RefusedError(
            f"the {seen.subject} to act on a change",
            "it is paused (`spec.paused`)",
            "find out who paused it, and resume it with `kubectl rollout resume`",
        )


def missing_of(seen: ServiceSeen) -> tuple[str, ...]:
    """Return what is still wrong; empty when every pod asked for is there, new and Ready, and no other is left."""
    status = seen.status
    if status.done:
        return ()
    problems = [str(problem) for problem in status.problems]
    more = [f"and {len(problems) - _TOLD} more"] if len(problems) > _TOLD else []
    seen_by = [] if status.observed else ["the controller has not seen the change yet"]
    return (str(status), *seen_by, *problems[:_TOLD], *more)


def overturned(plan: Plan, seen: ServiceSeen, found: str) -> QuarterdeckError:
    """Return the error that says that somebody else changed what the plan had set."""
    return QuarterdeckError(
        f"the {seen.subject} to stay as this run set it ({plan.summary})",
        found,
        "find out who works on it too (managedFields names the tool), then run this again",
    )
