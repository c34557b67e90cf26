"""A rollout in a whole control plane, spoken to through a proxy that strikes at one change."""

from __future__ import annotations

import contextlib
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from tests import control_plane
from tests.fault_proxy import FaultProxy, Strike, proxied
from tests.programs import until
from tests.unit.scripts_rollout.conftest import HISTORY, SCRAPE, V1, World

from quarterdeck_contract.kubernetes import ROLLOUT_STATE
from quarterdeck_scripts.adapters.kubernetes import connect
from quarterdeck_scripts.audit import AuditLog
from quarterdeck_scripts.kube.client import MERGE_PATCH, path
from quarterdeck_scripts.kube.pods import is_ready
from quarterdeck_scripts.kube.workloads import status_of
from quarterdeck_scripts.ports import FakeClock
from quarterdeck_scripts.workspace import AUDIT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from quarterdeck_scripts.kube.client import Json
    from quarterdeck_scripts.rollout.session import Session

HURRY, FLIGHT = 4.0, 100.0
"""How much faster than it does time passes: while something has to happen in the cluster, and while two versions
stand side by side, all Ready, and are only counted."""

RATE = 4000.0
"""Requests a second and pod: enough to decide within a few scrapes."""

LABELS = {"app.kubernetes.io/name": "checkout", "quarterdeck.dev/track": "stable"}


class HurriedClock(FakeClock):
    """Time passes faster than it does, but it passes: controllers have some of it too."""

    speed = HURRY

    def sleep(self, seconds: float) -> None:
        """Wait a part of it."""
        time.sleep(seconds / self.speed)
        super().sleep(seconds)


@dataclass(frozen=True)
class End:
    """What must not depend on what went wrong."""

    images: tuple[str, ...]
    deployments: tuple[str, ...]
    state_left: bool
    locked: bool
    generation: int
    """Of the stable Deployment: how often its specification or an annotation was changed."""
    revisions: int
    """How many templates it has had."""
    made: int
    """Deployments that were created."""
    audit_broken: bool


class Shop(World):
    """One service in a real cluster: its controllers and its pods are the cluster's, its traffic is made up."""

    proxy: FaultProxy
    through: Path
    """The kubeconfig that leads through the proxy."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.catalogue = self.catalogue.replace("ready_within: 1m", "ready_within: 30m")
        self.clock: HurriedClock = HurriedClock(self.begin, self._pass_time)

    def pods(self) -> list[Json]:
        """Return every pod of the service; time flies while they are only counted."""
        pods = super().pods()
        beside = len({pod["spec"]["containers"][0]["image"] for pod in pods}) > 1 and all(map(is_ready, pods))
        self.clock.speed = FLIGHT if beside else HURRY
        return pods

    def session(self, name: str = "checkout") -> Session:
        """Return a session that speaks with the cluster through the proxy."""
        session = super().session(name)
        return replace(session, environment=replace(session.environment, cluster=connect(self.through)))

    def deploy_again(self, image: str) -> None:
        """Have somebody else deploy *image*, past the proxy."""
        where = path("Deployment", "shop", "checkout")
        self.cluster.request("PATCH", where, body=deployment(image), content_type=MERGE_PATCH)
        until(lambda: _settled(self.cluster), "the pods of another version")

    def end(self) -> End:
        """Return how things are."""
        stable = self.deployment()
        lease = self.cluster.request("GET", path("Lease", "shop", "quarterdeck-rollout-checkout"))
        changes = self.proxy.changes
        return End(
            tuple(self.images()),
            tuple(self.deployments()),
            ROLLOUT_STATE in (stable["metadata"].get("annotations") or {}),
            bool(lease["spec"].get("holderIdentity")),
            stable["metadata"]["generation"],
            len(self.cluster.request("GET", path("ReplicaSet", "shop"))["items"]),
            sum(each.name.startswith("POST deployments") and each.status == 201 for each in changes),
            AuditLog(self.cluster, AUDIT, "anna").verify().broken is not None,
        )


@pytest.fixture(scope="session")
def plane(tool: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Run a control plane; return the administrator's kubeconfig."""
    with control_plane.running(tmp_path_factory.mktemp("plane") / "state", tool) as kubeconfig:
        cluster = connect(kubeconfig)
        for name in ("shop", "quarterdeck"):
            cluster.request("POST", path("Namespace"), body={"metadata": {"name": name}})
        selector = {"app.kubernetes.io/name": "checkout"}
        service = {"metadata": {"name": "checkout"}, "spec": {"selector": selector, "ports": [{"port": 80}]}}
        cluster.request("POST", path("Service", "shop"), body=service)
        yield kubeconfig


@pytest.fixture(scope="module")
def shop(plane: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return how a shop is opened, where `checkout` serves at v1 with three pods and has been scraped for a while."""

    @contextmanager
    def opened(strike: Strike | None = None) -> Iterator[Shop]:
        folder = tmp_path_factory.mktemp("shop")
        cluster: Any = connect(plane)
        _empty(cluster)
        cluster.request("POST", path("Deployment", "shop"), body=deployment(V1))
        until(lambda: _settled(cluster), "the stable pods")
        with contextlib.chdir(folder), proxied(plane, folder, strike) as (proxy, through):
            shop = Shop(cluster, None, folder / ".quarterdeck")  # type: ignore[arg-type]  # the cluster has its own
            shop.proxy, shop.through = proxy, through
            (shop.folder / "local").mkdir(parents=True)
            shop.behave(V1, rate=RATE)
            for _ in range(round(HISTORY / SCRAPE)):
                FakeClock.sleep(shop.clock, SCRAPE)
            yield shop

    return opened


def deployment(image: str) -> Json:
    """Return the stable Deployment."""
    labels = {**LABELS, "app.kubernetes.io/version": image.rpartition(":")[2]}
    container = {"name": "checkout", "image": image, "env": [{"name": "A", "value": "1"}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "checkout", "namespace": "shop", "labels": labels},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": LABELS},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def _settled(cluster: Any) -> bool:
    return status_of(cluster.request("GET", path("Deployment", "shop", "checkout")), ()).done


def _empty(cluster: Any) -> None:
    """Remove what an earlier test left."""
    for kind in ("Deployment", "Lease"):
        cluster.request("DELETE", path(kind, "shop"), body={"propagationPolicy": "Background"})
    cluster.request("DELETE", path("ConfigMap", "quarterdeck"))
    for kind in ("Deployment", "ReplicaSet", "Pod"):
        until(lambda kind=kind: not cluster.request("GET", path(kind, "shop"))["items"], f"no {kind} to be left")  # type: ignore[misc]  # a default binds it
