"""What a cluster says of one service that is rolled out: read, never changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_contract.errors import QuarterdeckError, RefusedError
from quarterdeck_contract.kubernetes import APP_NAME, APP_VERSION, KEPT_OF, ROLLOUT_STATE, TRACK, TRACK_CANARY
from quarterdeck_scripts.kube import in_place, traffic, workloads
from quarterdeck_scripts.kube.client import ApiError, Json, list_all, path
from quarterdeck_scripts.kube.known import Known
from quarterdeck_scripts.kube.pods import created, label
from quarterdeck_scripts.kube.revisions import present_number, template_hash
from quarterdeck_scripts.kube.trimmed import trimmed
from quarterdeck_scripts.rollout.acting import lens
from quarterdeck_scripts.rollout.acting.configuration import config_maps_of
from quarterdeck_scripts.rollout.acting.copies import Restoration, is_of, kept_for, of_template, restoration
from quarterdeck_scripts.rollout.steps.actions import Side, Situation
from quarterdeck_scripts.rollout.steps.state import read_state

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from quarterdeck_scripts.kube.client import Cluster
    from quarterdeck_scripts.kube.revisions import Revision
    from quarterdeck_scripts.ports import Prometheus

_NOT_FOUND = 404

_CLOCKS = 30.0
"""Seconds by which this machine's clock and Prometheus' may differ."""


class ServiceView:
    """One service's workloads, what keeps their templates, their pods and their Service."""

    def __init__(
        self, cluster: Cluster, namespace: str, service: str, cluster_uid: str, *, remembers: bool = False
    ) -> None:
        """*remembers* is for whoever looks time and again: of many pods only what changed is asked for then."""
        self._cluster = cluster
        self._namespace = namespace
        self._service = service
        self._cluster_uid = cluster_uid
        every = {"labelSelector": f"{APP_NAME}={service}"}
        self._known = Known(cluster, path("Pod", namespace), every, keep=trimmed) if remembers else None
        self._first_seen: Json | None = None
        self._let_in: set[str] = set()
        """Hashes of the templates that the new version's pods had when they were first looked at."""
        self.noted: str | None = None
        """The rollout's state as last seen, or written: the annotation's text."""

    def deployment(self, side: Side) -> Json | None:
        """Return the workload of one side, of whatever kind the stable one is; None when there is none."""
        if side is not Side.STABLE:
            return self._get("Deployment", workloads.canary_name(self._service, lens.TRACKS[side]))
        return next(filter(None, (self._get(kind, self._service) for kind in workloads.KINDS)), None)

    def stable(self) -> Json:
        """Return the stable workload.

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

    def service(self) -> Json:
        """Return the Service that leads to the pods.

        Raises:
            RefusedError: there is none.
        """
        found = self._get("Service", self._service)
        if found is None:
            raise RefusedError(
                f"the Service {self._namespace}/{self._service}, whose selector is switched",
                "none",
                "make it, or roll out with another strategy",
            )
        return found

    def canary_service(self) -> Json | None:
        """Return the Service that a rollout made to lead to the canary's pods alone; None without one."""
        found = self._get("Service", workloads.canary_name(self._service))
        return found if found is not None and traffic.is_made(found) else None

    def routes(self, service: str = "") -> list[Json]:
        """Return the HTTPRoutes that lead to the service, or to another one; none where no such kind is known."""
        try:
            found = list(list_all(self._cluster, path("HTTPRoute", self._namespace)))
        except ApiError as error:
            if error.status == _NOT_FOUND:
                return []
            raise
        names = [route["metadata"]["name"] for route in found if traffic.leads_to(route, service or self._service)]
        routes = [self._get("HTTPRoute", name) for name in names]
        return [{**route, "kind": "HTTPRoute"} for route in routes if route is not None]

    def config_maps(self, template: Json) -> dict[str, Json]:
        """Return the ConfigMaps that pods of *template* read and that are there, by name."""
        names = sorted(set(config_maps_of(template).values()))
        found = {name: self._get("ConfigMap", name) for name in names}
        return {name: each for name, each in found.items() if each is not None}

    def copies(self) -> list[Json]:
        """Return the copies of ConfigMaps that are kept for the service."""
        query = {"labelSelector": f"{KEPT_OF}={self._service}"}
        found = list_all(self._cluster, path("ConfigMap", self._namespace), query)
        return [{**each, "kind": "ConfigMap"} for each in found]

    def kept_for(self, stable: Json, image: str) -> list[Json]:
        """Return the copies that serve to go back from *image*: of the rollout that *stable* says is under way, if any.

        A guard has kept none, whatever another rollout of the same version left.
        """
        return kept_for(self.copies(), image, self._rollout(stable))

    def _rollout(self, stable: Json) -> str:
        """Return the id of the rollout that *stable* says is under way; empty when it says none that is any use."""
        try:
            state = read_state(stable, self._cluster_uid)
        except RefusedError:
            return ""
        return state.id if state else ""

    def served(self) -> list[Json]:
        """Return the copies for the very template that the stable version has, where no rollout is under way.

        It has been gone back to, and whoever lets another version in makes new ones.
        """
        stable = self.stable()
        if ROLLOUT_STATE in (stable["metadata"].get("annotations") or {}):
            return []
        return of_template(self.copies(), stable["spec"]["template"])

    def previous(self, stable: Json, image: str) -> Revision | None:
        """Return the revision to which *stable* goes back from *image*; None when it has another version already.

        Raises:
            RefusedError: the cluster keeps none to go back to.
        """
        if workloads.serving_image(stable) != image:
            return None
        kept, held = self.replica_sets(), in_place.is_held(stable)
        if workloads.rolled_back(stable, kept) and not held:
            return None  # by us, and only the answer was lost
        previous = workloads.previous_revision(stable, kept, without=image if held or self._rollout(stable) else "")
        if previous is None:
            raise RefusedError(
                f"an earlier revision of {self._service} to go back to",
                "none is kept by the cluster (revisionHistoryLimit)",
                "deploy the wanted version by hand",
            )
        return previous

    def restoration(self, image: str) -> Restoration:
        """Return what makes the ConfigMaps as they were that are read by the version before *image*."""
        stable = self.stable()
        previous = self.previous(stable, image)
        template = stable["spec"]["template"] if previous is None else previous.template
        if not config_maps_of(template):
            return Restoration((), (), ())
        copies = self.kept_for(stable, image)
        if not self._rollout(stable):  # they are known by the version alone, which may have come again by hand
            number = present_number(stable, self.replica_sets()) if previous is None else previous.number
            copies = [each for each in copies if is_of(each, number)]
        return restoration(template, self.config_maps(template), copies)

    def pods(self, side: Side | None = None) -> list[Json]:
        """Return the pods of one side by their track, or all, without what nobody reads of them."""
        return list(self.each_pod(side))

    def each_pod(self, side: Side | None = None) -> Iterator[Json]:
        """Yield the same page by page: whoever only counts them never has all."""
        return self._labelled({TRACK: lens.TRACKS[side]} if side else {})

    def of_version(self, version: str) -> list[Json]:
        """Return the pods of one version, whatever side they are on."""
        return list(self._labelled({APP_VERSION: version}))

    def pods_listed(self) -> list[Json]:
        """Return all pods, listed anew: for whoever changes some because of what others are."""
        return list(self._listed({}))

    def _labelled(self, labels: Mapping[str, str]) -> Iterator[Json]:
        """Yield the service's pods that have *labels*."""
        if self._known is None:
            return self._listed(labels)
        found = self._known.look()
        return (pod for pod in found if all(label(pod, name) == value for name, value in labels.items()))

    def _listed(self, labels: Mapping[str, str]) -> Iterator[Json]:
        selector = ",".join(f"{name}={value}" for name, value in {APP_NAME: self._service, **labels}.items())
        return map(trimmed, list_all(self._cluster, path("Pod", self._namespace), {"labelSelector": selector}))

    def replica_sets(self) -> list[Json]:
        """Return what keeps the templates of earlier revisions: ReplicaSets, or ControllerRevisions."""
        query = {"labelSelector": f"{APP_NAME}={self._service}"}
        kind = "ReplicaSet" if self.stable()["kind"] == "Deployment" else "ControllerRevision"
        return list(list_all(self._cluster, path(kind, self._namespace), query))

    def status(self, side: Side) -> workloads.WorkloadStatus | None:
        """Return how far one side is; None when there is nothing of it."""
        deployment = self.deployment(side)
        if deployment is None and side is Side.CANARY:
            deployment = self.deployment(Side.STABLE)
            if deployment is None or not in_place.is_held(deployment):
                return None
            return workloads.held_status(deployment, self.pods())
        return None if deployment is None else workloads.status_of(deployment, self.each_pod(side))

    def inspect(self, *, any_state: bool = False) -> Situation:
        """Return what a flow has to know before it goes on, and remember the stable version for `changed`.

        Args:
            any_state: leave out a state that cannot be used, where none is needed.

        Raises:
            RefusedError: no workload, or a state that is not this cluster's.
        """
        stable, canary = self.stable(), self.deployment(Side.CANARY)
        self.remember(stable)
        unusable = False
        try:
            state = read_state(stable, self._cluster_uid)
        except RefusedError:
            if not any_state:
                raise
            state, unusable = None, True
        status = workloads.status_of(stable, ())
        let_in = workloads.serving_image(canary) if canary else None
        if canary is None and in_place.is_held(stable):
            let_in = in_place.held_for(stable)
        service = self._get("Service", self._service)
        return Situation(
            state=state,
            stable_image=workloads.serving_image(stable),
            stable_settled=status.done and status.desired > 0,
            canary_image=let_in,
            kind=stable["kind"],
            replicas=status.desired,
            directed=None if service is None or traffic.has_its_own(service) else traffic.is_switched(service),
            weighed=self.canary_service() is not None,
            baseline=self.deployment(Side.BASELINE) is not None,
            unusable=unusable,
            unfit=in_place.unfit(stable),
        )

    def remember(self, stable: Json) -> None:
        """Take *stable* for what nobody else has changed."""
        self._first_seen = stable
        self.noted = (stable["metadata"].get("annotations") or {}).get(ROLLOUT_STATE)

    def lens(self, prometheus: Prometheus, now: float, max_wait: float) -> lens.Lens:
        """Return *prometheus* as it is to be asked about the two sides that are there now.

        Args:
            prometheus: whom to ask.
            now: Unix seconds.
            max_wait: seconds that will be judged at most.

        Raises:
            QuarterdeckError: there is no new version to judge.
        """
        stable, canary = self.stable(), self.deployment(Side.CANARY)
        service = self._get("Service", self._service)
        if canary is None and in_place.is_held(stable):
            version = label({"metadata": stable["spec"]["template"]["metadata"]}, APP_VERSION)
            new = [pod for pod in self.pods() if label(pod, APP_VERSION) == version]
            if new:
                return lens.Lens(prometheus, lens.By.VERSION, version, min(map(created, new)))
        if canary is None:
            raise QuarterdeckError("a canary to measure", "none: somebody deleted it", "start the rollout again")
        version, since = workloads.version_of(workloads.serving_image(canary)), created(canary)
        if service is not None and traffic.track_of(service) == TRACK_CANARY:
            # What is compared has to be over before the switch, even at the last look of a run begun now.
            back = max(0.0, now - since) + max_wait + _CLOCKS
            return lens.Lens(prometheus, lens.By.TIME, version, since, back)
        by = lens.By.TRACK if self.deployment(Side.BASELINE) is None else lens.By.BASELINE
        return lens.Lens(prometheus, by, version, since)

    def _get(self, kind: str, name: str) -> Json | None:
        try:
            return self._cluster.request("GET", path(kind, self._namespace, name))
        except ApiError as error:
            if error.status == _NOT_FOUND:
                return None
            raise

    def changed(self, stable: Json) -> str:
        """Say what somebody else changed about the stable version since `inspect`; nothing if nobody did."""
        seen = self._first_seen or stable
        if stable["metadata"]["uid"] != seen["metadata"]["uid"]:
            return "the Deployment was deleted and made anew"
        if stable["spec"]["template"] != seen["spec"]["template"]:
            return f"its pods' template (now {workloads.serving_image(stable)})"
        return ""

    def renewed(self, pods: Iterable[Json]) -> str:
        """Say which of the new version's *pods* have another template than its first ones; nothing if none has."""
        hashes = {pod["metadata"]["name"]: template_hash(pod) for pod in pods}
        self._let_in = self._let_in or set(hashes.values())
        others = [name for name, each in hashes.items() if each not in self._let_in]
        return f"the new version: {others[0]} has another template than its pods had" if others else ""
