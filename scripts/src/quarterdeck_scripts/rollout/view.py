"""What a cluster says of one service that is rolled out: read, never changed."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import RefusedError
from quarterdeck_contract.kubernetes import APP_NAME, TRACK, TRACK_CANARY, TRACK_STABLE
from quarterdeck_scripts.kube import workloads
from quarterdeck_scripts.kube.client import ApiError, Json, list_all, path
from quarterdeck_scripts.kube.pods import is_ready
from quarterdeck_scripts.rollout.actions import Side, Situation
from quarterdeck_scripts.rollout.evidence import PodFact
from quarterdeck_scripts.rollout.state import read_state

if TYPE_CHECKING:
    from collections.abc import Iterable

    from quarterdeck_scripts.kube.client import Cluster

_NOT_FOUND = 404
_TRACKS = {Side.STABLE: TRACK_STABLE, Side.CANARY: TRACK_CANARY}


class ServiceView:
    """One service's two Deployments, their ReplicaSets and pods."""

    def __init__(self, cluster: Cluster, namespace: str, service: str, cluster_uid: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._service = service
        self._cluster_uid = cluster_uid
        self._first_seen: Json | None = None

    def deployment(self, side: Side) -> Json | None:
        """Return a Deployment; None when there is none."""
        name = self._service if side is Side.STABLE else workloads.canary_name(self._service)
        try:
            return self._cluster.request("GET", path("Deployment", self._namespace, name))
        except ApiError as error:
            if error.status == _NOT_FOUND:
                return None
            raise

    def stable(self) -> Json:
        """Return the stable Deployment.

        Raises:
            RefusedError: there is none.
        """
        found = self.deployment(Side.STABLE)
        if found is None:
            raise RefusedError(
                f"the Deployment {self._namespace}/{self._service}",
                "none",
                "deploy the service first, or correct --env",
            )
        return found

    def pods(self, side: Side | None = None) -> list[Json]:
        """Return the pods of one side, or of both."""
        selector = f"{APP_NAME}={self._service}" + (f",{TRACK}={_TRACKS[side]}" if side else "")
        return list(list_all(self._cluster, path("Pod", self._namespace), {"labelSelector": selector}))

    def replica_sets(self) -> list[Json]:
        """Return the ReplicaSets of both sides."""
        query = {"labelSelector": f"{APP_NAME}={self._service}"}
        return list(list_all(self._cluster, path("ReplicaSet", self._namespace), query))

    def status(self, side: Side) -> workloads.WorkloadStatus | None:
        """Return how far a Deployment is; None when there is none."""
        deployment = self.deployment(side)
        return None if deployment is None else workloads.status_of(deployment, self.pods(side))

    def inspect(self, *, any_state: bool = False) -> Situation:
        """Return what a flow has to know before it goes on, and remember the stable version for `changed`.

        Args:
            any_state: leave out a state that cannot be used, where none is needed.

        Raises:
            RefusedError: no Deployment, or a state that is not this cluster's.
        """
        stable, canary = self.stable(), self.deployment(Side.CANARY)
        self._first_seen = stable
        try:
            state = read_state(stable, self._cluster_uid)
        except RefusedError:
            if not any_state:
                raise
            state = None
        return Situation(
            state=state,
            stable_image=workloads.serving_image(stable),
            stable_settled=workloads.status_of(stable, ()).done and stable["spec"].get("replicas", 1) > 0,
            canary_image=None if canary is None else workloads.serving_image(canary),
        )

    def changed(self, stable: Json) -> str:
        """Say what somebody else changed about the stable version since `inspect`; nothing if nobody did."""
        seen = self._first_seen or stable
        if stable["metadata"]["uid"] != seen["metadata"]["uid"]:
            return "the Deployment was deleted and made anew"
        if stable["spec"]["template"] != seen["spec"]["template"]:
            return f"its pods' template (now {workloads.serving_image(stable)})"
        return ""


def pod_facts(pods: Iterable[Json], since: float) -> list[PodFact]:
    """Return what the evidence has to know of *pods*; *since* is the canary's creation, Unix seconds."""
    return [
        PodFact(
            name=pod["metadata"]["name"],
            track=label(pod, TRACK),
            ready=is_ready(pod),
            born_during=label(pod, TRACK) == TRACK_CANARY or created(pod) > since,
        )
        for pod in pods
    ]


def label(found: Json, name: str) -> str:
    """Return the label *name*; empty without one."""
    return str((found["metadata"].get("labels") or {}).get(name, ""))


def created(found: Json) -> float:
    """Return when *found* was created, in Unix seconds by the API server's clock."""
    return datetime.fromisoformat(found["metadata"]["creationTimestamp"]).timestamp()
