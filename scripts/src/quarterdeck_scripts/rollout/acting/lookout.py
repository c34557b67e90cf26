"""Sees why a version's new pods will not serve: from their status, and from events where that is silent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_scripts.kube import events
from quarterdeck_scripts.kube.client import list_all, path
from quarterdeck_scripts.kube.pods import problems_of
from quarterdeck_scripts.rollout.acting.sightings import Patience, Sightings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from quarterdeck_scripts.kube.client import Cluster, Json
    from quarterdeck_scripts.kube.pods import PodProblem
    from quarterdeck_scripts.kube.workloads import WorkloadStatus
    from quarterdeck_scripts.rollout.acting.view import ServiceView

_WANT_OF_ROOM = "Unschedulable"


class Lookout:
    """Watches the new pods of one service, for as long as one step takes."""

    EVERY = 5.0
    """Seconds between two looks while nothing else is looked at: a failure is believed by the third, and named well
    within 30 s; and an API server is asked once in so long."""

    def __init__(self, cluster: Cluster, namespace: str, view: ServiceView, patience: Patience) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._view = view
        self._sightings = Sightings(patience)
        self._next_events = 0.0
        self._not_made: tuple[PodProblem, ...] = ()

    def waiting(self, status: WorkloadStatus, now: float) -> str:
        """Return the failure that keeps a workload from being done, once it is to be believed; else nothing.

        Args:
            status: of the workload.
            now: monotonic seconds.
        """
        problems = status.problems
        if status.updated < status.desired and not problems:
            problems = self._those_not_made(now)
        return self._see(problems, now, status.updated)

    def judging(self, pods: Iterable[Json], now: float) -> str:
        """Return the failure that the new *pods* have, once it is to be believed; else nothing."""
        pods = list(pods)
        return self._see([problem for pod in pods for problem in problems_of(pod)], now, len(pods))

    def _see(self, problems: Iterable[PodProblem], now: float, of: int) -> str:
        problems = tuple(problems)
        believed = self._sightings.see(problems, now, of)
        if not believed or all(problem.reason != _WANT_OF_ROOM for problem in problems):
            return believed
        explained = events.with_nodes_coming(problems, self._nodes_coming())
        for before, after in zip(problems, explained, strict=True):
            if before != after:
                self._sightings.forget(before.pod)
        return self._sightings.see(explained, now, of)

    def _those_not_made(self, now: float) -> tuple[PodProblem, ...]:
        """Return why no pods are made, for kinds whose status does not say so; events are read every few seconds."""
        if now >= self._next_events:
            self._next_events = now + self.EVERY
            workload = self._view.stable()
            kind, name = workload["kind"], workload["metadata"]["name"]
            about = f"involvedObject.kind={kind},involvedObject.name={name},reason={events.FAILED_CREATE}"
            self._not_made = () if kind == "Deployment" else events.not_made(workload, self._events(about))
        return self._not_made

    def _nodes_coming(self) -> list[Json]:
        return [
            event
            for reason in sorted(events.NODE_COMING)
            for event in self._events(f"involvedObject.kind=Pod,reason={reason}")
        ]

    def _events(self, fields: str) -> Iterator[Json]:
        return list_all(self._cluster, path("Event", self._namespace), {"fieldSelector": fields})
