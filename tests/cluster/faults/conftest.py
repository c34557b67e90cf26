"""A rollout in a whole control plane, spoken to through a proxy that strikes at its changes."""

from __future__ import annotations

import contextlib
import json
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from tests import control_plane
from tests.fault_proxy import FaultProxy, Strike, proxied
from tests.programs import until
from tests.unit.scripts_rollout.conftest import HISTORY, SCRAPE, V1, World

from quarterdeck_contract.kubernetes import HELD, ROLLOUT_ASK, ROLLOUT_STATE
from quarterdeck_scripts.adapters.kubernetes import connect
from quarterdeck_scripts.audit import AuditLog
from quarterdeck_scripts.kube.client import MERGE_PATCH, RESOURCES, ApiError, path
from quarterdeck_scripts.kube.pods import is_ready, is_terminating
from quarterdeck_scripts.kube.workloads import KINDS, status_of
from quarterdeck_scripts.ports import FakeClock
from quarterdeck_scripts.workspace import AUDIT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from quarterdeck_scripts.kube.client import Json
    from quarterdeck_scripts.rollout.session import Session

HURRY, FLIGHT = 2.0, 100.0
"""How much faster than it does time passes: while something has to happen in the cluster, and while all pods that
there are to be are Ready, and are only counted."""

QUIET = 0.2
"""Seconds between two looks at whether something still has to happen."""

RATE = 4000.0
"""Requests a second and pod: enough to decide within a few scrapes."""

LABELS = {"app.kubernetes.io/name": "checkout", "quarterdeck.dev/track": "stable"}

HTTP_ROUTE = "HTTPRoute"

BESIDE = ("Service", "ConfigMap", HTTP_ROUTE)
"""What a service has besides its workload and pods."""

OURS = (*(RESOURCES[kind][1] for kind in (*KINDS, *BESIDE)), "pods")
"""The same in paths."""


_CLUSTERS_OWN = "kube-root-ca.crt"
"""The ConfigMap that controllers make in every namespace."""


class HurriedClock(FakeClock):
    """Time passes faster than it does, but it passes: controllers have some of it too."""

    speed = HURRY
    busy: Callable[[], bool] = staticmethod(lambda: False)
    """Says whether something has to happen in the cluster yet."""
    _looked = 0.0

    def sleep(self, seconds: float) -> None:
        """Wait a part of it."""
        if time.monotonic() - self._looked > QUIET:
            self.look()
        time.sleep(seconds / self.speed)
        super().sleep(seconds)

    def look(self) -> None:
        """See how fast time may pass."""
        self.speed = HURRY if self.busy() else FLIGHT
        self._looked = time.monotonic()


@dataclass(frozen=True)
class End:
    """What must not depend on what went wrong."""

    images: tuple[str, ...]
    present: tuple[str, ...]
    """See `Shop.present`."""
    notes: frozenset[str]
    """Annotations of a rollout on the workload."""
    locked: bool
    revisions: int
    """How many templates the workload has had."""
    made: tuple[tuple[str, int], ...]
    """How often each sort of change of the service's objects was carried out."""
    audit_broken: bool


class Shop(World):
    """One service in a real cluster: its controllers and its pods are the cluster's, its traffic is made up."""

    proxy: FaultProxy
    through: Path
    """The kubeconfig that leads through the proxy."""
    _found: dict[str, list[Json]] | None = None
    """What one scrape sees of the cluster."""
    _last: tuple[dict[str, list[Json]], int, float] = {}, -1, 0.0
    """What the last one saw that looked, how many changes had been asked for, and when: monotonic seconds."""

    def __post_init__(self) -> None:
        super().__post_init__()
        # Time flies while they are waited for, too; and made-up pods need not warm up.
        self.catalogue = self.catalogue.replace("ready_within: 1m", "ready_within: 10h, warm_up: 1s")
        self.clock: HurriedClock = HurriedClock(self.begin, self._pass_time)
        self.clock.busy = lambda: not self.is_quiet()

    def pods(self) -> list[Json]:
        """Return every pod of the service."""
        return self._items("Pod")

    def images(self) -> list[str]:
        """Return the image of every pod, sorted, when those that were deleted are gone, which nobody waits for."""
        pods: list[Json] = []

        def are_gone() -> bool:
            pods[:] = self.pods()
            return not any(map(is_terminating, pods))

        until(are_gone, "deleted pods to be gone")
        return sorted(pod["spec"]["containers"][0]["image"] for pod in pods)

    def is_quiet(self) -> bool:
        """Return whether controllers have seen what they are to do, and have made as many pods of it, all Ready."""
        workloads = [{**each, "kind": kind} for kind in {"Deployment", self.kind} for each in self._items(kind)]
        if any(each["status"].get("observedGeneration") != each["metadata"]["generation"] for each in workloads):
            return False
        pods = self.pods()
        there_are_to_be = sum(map(_desired, workloads))
        return len(pods) == there_are_to_be and all(is_ready(pod) and not is_terminating(pod) for pod in pods)

    def session(self, name: str = "checkout") -> Session:
        """Return a session that speaks with the cluster through the proxy."""
        session = super().session(name)
        return replace(session, environment=replace(session.environment, cluster=connect(self.through)))

    def deploy_again(self, image: str, **pod: Any) -> None:
        """Have somebody else deploy *image* with more in its pods' specification, past the proxy."""
        body = deployment(image)
        body["spec"]["template"]["spec"] |= pod
        where = path("Deployment", "shop", "checkout")
        self.cluster.request("PATCH", where, body=body, content_type=MERGE_PATCH)

    def settle(self) -> None:
        """Wait for the pods of what was deployed, and until those before them are gone."""
        until(lambda: settled(self.cluster, self.kind) and self.is_quiet(), "the pods of another version")

    def serve(self, seconds: float) -> None:
        """Let the service serve for so long while nothing happens to its pods."""
        with self._looking_once({}):
            for _ in range(round(seconds / SCRAPE)):
                FakeClock.sleep(self.clock, SCRAPE)

    def end(self) -> End:
        """Return how things are."""
        stable = self.deployment()
        lease = self.cluster.request("GET", path("Lease", "shop", "quarterdeck-rollout-checkout"))
        made = Counter(each.sort for each in self.proxy.changes if each.made and each.sort.endswith(OURS))
        revision = "ReplicaSet" if self.kind == "Deployment" else "ControllerRevision"
        return End(
            tuple(self.images()),
            self.present(),
            frozenset(stable["metadata"].get("annotations") or {}) & {ROLLOUT_STATE, ROLLOUT_ASK, HELD},
            bool(lease["spec"].get("holderIdentity")),
            len(self._items(revision)),
            tuple(sorted(made.items())),
            AuditLog(self.cluster, AUDIT, "anna").verify().broken is not None,
        )

    def present(self) -> tuple[str, ...]:
        """Return the service's objects with their specifications and data, pods left out."""
        every = [_kept(kind, each) for kind in (*KINDS, *BESIDE) for each in self._items(kind)]
        return tuple(sorted(filter(None, every)))

    def _scrape(self, now: float) -> None:
        """Look once at each kind of object; or as often as anything may have changed, where time flies."""
        found, changes, looked = self._last
        known = self.clock.speed == FLIGHT and changes == len(self.proxy.changes)
        if not (known and time.monotonic() - looked < QUIET):
            found = {}
            self._last = found, len(self.proxy.changes), time.monotonic()
        with self._looking_once(found):
            self.clock.look()
            super()._scrape(now)

    @contextmanager
    def _looking_once(self, found: dict[str, list[Json]]) -> Iterator[None]:
        """Look at each kind of object once while the block lasts; *found* keeps what was seen."""
        before, self._found = self._found, found if self._found is None else self._found
        try:
            yield
        finally:
            self._found = before

    def _items(self, kind: str) -> list[Json]:
        if self._found is None:
            return super()._items(kind)
        if kind not in self._found:
            self._found[kind] = super()._items(kind)
        return self._found[kind]


@pytest.fixture(scope="session")
def plane(tool: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Run a control plane that knows HTTPRoutes; return the administrator's kubeconfig."""
    with control_plane.running(tmp_path_factory.mktemp("plane") / "state", tool) as kubeconfig:
        cluster = connect(kubeconfig)
        for name in ("shop", "quarterdeck"):
            cluster.request("POST", path("Namespace"), body={"metadata": {"name": name}})
        cluster.request("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", body=routes())
        until(lambda: _are_served(cluster, HTTP_ROUTE), "HTTPRoutes")
        yield kubeconfig


@pytest.fixture(scope="module")
def shop(plane: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return how a shop is opened, where `checkout` serves at v1 with three pods and has been scraped for a while."""

    @contextmanager
    def opened(
        strike: Strike | None = None,
        *,
        kind: str = "Deployment",
        history: float = HISTORY,
        of: type[Shop] = Shop,
        **rollout: str,
    ) -> Iterator[Shop]:
        """Open one, in front of which *strike* strikes, with a workload of *kind*; *rollout* is the catalogue's."""
        folder = tmp_path_factory.mktemp("shop")
        cluster: Any = connect(plane)
        _empty(cluster)
        selector = {"app.kubernetes.io/name": "checkout"}
        spec = {"selector": selector, "clusterIP": "None", "ports": [{"port": 80}]}
        cluster.request("POST", path("Service", "shop"), body={"metadata": {"name": "checkout"}, "spec": spec})
        if "weights" in rollout:
            refs = [{"name": "checkout", "port": 80}, {"name": "legacy", "port": 80, "weight": 2}]
            body = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": HTTP_ROUTE, "metadata": {"name": "front"}}
            body["spec"] = {"rules": [{"backendRefs": refs}]}
            cluster.request("POST", path(HTTP_ROUTE, "shop"), body=body)
        cluster.request("POST", path(kind, "shop"), body=deployment(V1, kind))
        until(lambda: settled(cluster, kind), "the stable pods")
        with contextlib.chdir(folder), proxied(plane, folder, strike) as (proxy, through):
            shop = of(cluster, None, folder / ".quarterdeck")  # type: ignore[arg-type]  # the cluster has its own
            shop.proxy, shop.through, shop.kind = proxy, through, kind
            asked = "".join(f"{key}: {value}, " for key, value in {"strategy": "canary", **rollout}.items())
            shop.catalogue = shop.catalogue.replace("strategy: canary, ", asked)
            if "max_wait" in rollout:
                shop.catalogue = shop.catalogue.replace("max_wait: 5m, ", "")
            (shop.folder / "local").mkdir(parents=True)
            shop.behave(V1, rate=RATE)
            shop.serve(history)
            yield shop

    return opened


def deployment(image: str, kind: str = "Deployment") -> Json:
    """Return the stable Deployment, or a workload of another *kind*."""
    labels = {**LABELS, "app.kubernetes.io/version": image.rpartition(":")[2]}
    container = {"name": "checkout", "image": image, "env": [{"name": "A", "value": "1"}]}
    spec: Json = {
        "selector": {"matchLabels": LABELS},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
    }
    spec |= {} if kind == "DaemonSet" else {"replicas": 3}
    spec |= {"serviceName": "checkout"} if kind == "StatefulSet" else {}
    metadata = {"name": "checkout", "namespace": "shop", "labels": labels}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": spec}


def routes() -> Json:
    """Return the definition of HTTPRoutes, in the form that matters here, the defaults of a backend among it."""
    backend = {
        "type": "object",
        "properties": {
            "group": {"type": "string", "default": ""},
            "kind": {"type": "string", "default": "Service"},
            "name": {"type": "string"},
            "port": {"type": "integer"},
            "weight": {"type": "integer", "default": 1, "minimum": 0, "maximum": 1_000_000},
        },
    }
    rule = {"type": "object", "properties": {"backendRefs": {"type": "array", "items": backend}}}
    spec = {"type": "object", "properties": {"rules": {"type": "array", "items": rule}}}
    group, names = "gateway.networking.k8s.io", {"kind": HTTP_ROUTE, "plural": "httproutes", "singular": "httproute"}
    approved = {"api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/gateway-api/pull/891"}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"httproutes.{group}", "annotations": approved},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [version]},
    }


def settled(cluster: Any, kind: str = "Deployment") -> bool:
    """Return whether the stable workload is."""
    status = status_of(cluster.request("GET", path(kind, "shop", "checkout")), ())
    return status.done and status.desired > 0


def _desired(workload: Json) -> int:
    """Return how many pods *workload* is to have; one that is paused, as many as it has."""
    spec, status = workload["spec"], workload.get("status", {})
    if workload["kind"] == "Deployment" and spec.get("paused"):
        return int(status.get("replicas", 0))
    return int(spec.get("replicas", status.get("desiredNumberScheduled", 0)))


def _kept(kind: str, found: Json) -> str:
    """Return what a rollout has to leave as it was, or make another, as text."""
    name = found["metadata"]["name"]
    return "" if name == _CLUSTERS_OWN else f"{kind} {name}: {json.dumps(found.get('spec') or found.get('data'))}"


def _are_served(cluster: Any, kind: str) -> bool:
    try:
        cluster.request("GET", path(kind, "shop"))
    except ApiError:
        return False
    return True


def _empty(cluster: Any) -> None:
    """Remove what an earlier test left."""
    for kind in (*KINDS, "Service", "Lease", HTTP_ROUTE):
        cluster.request("DELETE", path(kind, "shop"), body={"propagationPolicy": "Background"})
    others = {"fieldSelector": f"metadata.name!={_CLUSTERS_OWN}"}
    for namespace in ("quarterdeck", "shop"):
        cluster.request("DELETE", path("ConfigMap", namespace), query=others)
    for kind in (*KINDS, "Service", "ReplicaSet", "ControllerRevision", "Pod"):
        until(lambda kind=kind: not cluster.request("GET", path(kind, "shop"))["items"], f"no {kind} to be left")  # type: ignore[misc]  # a default binds it
