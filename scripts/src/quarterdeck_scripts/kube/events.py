"""What events say that no status does: pods that could not be made, and nodes that are being made for pods. Pure.

A Deployment's own condition says why it gets no pods; a StatefulSet's or a DaemonSet's says nothing. That a node is
on its way is told by whoever makes it: want of room is no failure then.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from quarterdeck_scripts.kube.pods import PodProblem, creation_failure

if TYPE_CHECKING:
    from collections.abc import Iterable

    from quarterdeck_scripts.kube.client import Json

FAILED_CREATE = "FailedCreate"
"""Reason of a controller's event on a pod that it could not make."""

NODE_COMING = frozenset({"TriggeredScaleUp", "Nominated"})
"""Reasons of an event on a pod that a node is being made for: cluster-autoscaler's and Karpenter's.

Sources: cluster-autoscaler/FAQ.md of kubernetes/autoscaler; pkg/controllers/provisioning/scheduling/events.go of
kubernetes-sigs/karpenter.
"""


def not_made(workload: Json, events: Iterable[Json]) -> tuple[PodProblem, ...]:
    """Return why the controller of *workload* made no pod of its newest template: the last such event's words.

    Args:
        workload: with its `managedFields`, whose times are the API server's.
        events: on it, with the reason FAILED_CREATE.
    """
    changed = max((entry.get("time", "") for entry in workload["metadata"].get("managedFields") or ()), default="")
    since = datetime.fromisoformat(changed).timestamp() if changed else 0.0
    recent = [(_last(event), event) for event in events if _last(event) >= since]
    if not recent:
        return ()
    message = max(recent, key=lambda each: each[0])[1].get("message", "")
    return (PodProblem("", creation_failure(message, FAILED_CREATE), message),)


def with_nodes_coming(problems: Iterable[PodProblem], events: Iterable[Json]) -> tuple[PodProblem, ...]:
    """Return *problems*, those of pods that a node is being made for no longer as want of room.

    Args:
        problems: of pods.
        events: on these pods, with reasons of NODE_COMING.
    """
    coming = {event["involvedObject"]["name"]: event for event in events}
    return tuple(
        replace(problem, reason=coming[problem.pod]["reason"], message=coming[problem.pod].get("message", ""))
        if problem.reason == "Unschedulable" and problem.pod in coming
        else problem
        for problem in problems
    )


def _last(event: Json) -> float:
    """Return when *event* happened last, in Unix seconds by its writer's clock; 0 when it does not say."""
    series = event.get("series") or {}
    text = series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime")
    return datetime.fromisoformat(text).timestamp() if text else 0.0
