"""A workload's own update: held at its first new pods, let go, or taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from quarterdeck_contract.kubernetes import HELD
from quarterdeck_scripts.kube import in_place
from quarterdeck_scripts.kube.client import JSON_PATCH, path
from quarterdeck_scripts.kube.fake import FakeCluster
from quarterdeck_scripts.kube.fake_controllers import Controllers
from quarterdeck_scripts.kube.revisions import previous_revision
from quarterdeck_scripts.kube.workloads import hold_patch, promote_patch, status_of, undo_patch

if TYPE_CHECKING:
    from quarterdeck_scripts.kube.client import Json

V1, V2 = "localhost/checkout:v1", "localhost/checkout:v2"

KINDS = ["Deployment", "StatefulSet", "DaemonSet"]

LABELS = {"app.kubernetes.io/name": "checkout", "quarterdeck.dev/track": "stable"}


class Place:
    """A cluster of three nodes with one workload of three pods."""

    def __init__(self, kind: str, **spec: object) -> None:
        """*spec* is added to the workload's."""
        self.kind = kind
        self.controllers = Controllers()
        nodes = [{"kind": "Node", "metadata": {"name": f"n{number}"}} for number in range(3)]
        self.cluster = FakeCluster([*nodes, {"kind": "Namespace", "metadata": {"name": "shop"}}], self.controllers)
        template = {
            "metadata": {"labels": {**LABELS, "app.kubernetes.io/version": "v1"}},
            "spec": {"containers": [{"name": "checkout", "image": V1}]},
        }
        body = {
            "apiVersion": "apps/v1",
            "kind": kind,
            "metadata": {"name": "checkout", "labels": dict(LABELS)},
            "spec": {"replicas": 3, "selector": {"matchLabels": LABELS}, "template": template, **spec},
        }
        self.cluster.request("POST", path(kind, "shop"), body=body)

    def now(self) -> Json:
        """Return the workload as it is."""
        return self.cluster.request("GET", path(self.kind, "shop", "checkout"))

    def patch(self, operations: list[Json]) -> None:
        """Change it."""
        where = path(self.kind, "shop", "checkout")
        self.cluster.request("PATCH", where, body=operations, content_type=JSON_PATCH)

    def delete_a_pod(self) -> None:
        """Delete the first pod of the old version."""
        old = [pod for pod in self.pods() if pod["spec"]["containers"][0]["image"] == V1]
        self.cluster.request("DELETE", path("Pod", "shop", old[0]["metadata"]["name"]))

    def pods(self) -> list[Json]:
        """Return its pods."""
        items: list[Json] = self.cluster.request("GET", path("Pod", "shop"))["items"]
        return items

    def versions(self) -> list[str]:
        """Return the version of every pod, sorted."""
        return sorted(pod["spec"]["containers"][0]["image"].partition(":")[2] for pod in self.pods())

    def kept(self) -> list[Json]:
        """Return what the cluster keeps of its templates."""
        kind = "ReplicaSet" if self.kind == "Deployment" else "ControllerRevision"
        items: list[Json] = self.cluster.request("GET", path(kind, "shop"))["items"]
        return items

    def hold(self) -> None:
        """Begin the update to v2 and hold it at one pod."""
        self.patch(hold_patch(self.now(), V2, 1))
        if self.kind == "DaemonSet":
            self.delete_a_pod()
        elif self.kind == "Deployment":
            self.patch(in_place.freeze(self.now()))


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest) -> Place:
    """Return a place for each kind of workload."""
    return Place(request.param)


def test_a_held_update_has_one_new_pod(place: Place) -> None:
    """A Deployment adds it to the old ones; the others have no more pods than before."""
    place.hold()

    assert place.versions() == {"Deployment": ["v1", "v1", "v1", "v2"]}.get(place.kind, ["v1", "v1", "v2"])
    assert in_place.is_held(place.now())
    assert in_place.is_steady(place.now())
    assert not status_of(place.now(), place.pods()).done


def test_let_go_it_updates_the_rest(place: Place) -> None:
    """And its specification says nothing of the hold any more."""
    before = {key: value for key, value in place.now()["spec"].items() if key != "template"}
    place.hold()

    place.patch(promote_patch(place.now(), V2))

    after = place.now()
    assert place.versions() == ["v2", "v2", "v2"]
    assert {key: value for key, value in after["spec"].items() if key != "template"} == before
    assert HELD not in after["metadata"].get("annotations", {})
    assert status_of(after, place.pods()).done


def test_taken_back_it_is_as_it_was(place: Place) -> None:
    """The whole specification comes back in one change."""
    before = place.now()["spec"]
    place.hold()

    revision = previous_revision(place.now(), place.kept())
    assert revision
    place.patch(undo_patch(place.now(), revision, place.kept()))

    assert place.now()["spec"] == before
    assert place.versions() == ["v1", "v1", "v1"]
    assert status_of(place.now(), place.pods()).done


def test_an_owners_own_settings_come_back() -> None:
    """Fields that the hold changes are put back to what they were, not to the API's defaults."""
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 2, "maxUnavailable": 1}}
    place = Place("Deployment", strategy=strategy, minReadySeconds=0, progressDeadlineSeconds=77)

    place.patch(hold_patch(place.now(), V2, 1))
    assert place.now()["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    place.patch(in_place.release(place.now()))

    spec = place.now()["spec"]
    assert (spec["strategy"], spec["minReadySeconds"], spec["progressDeadlineSeconds"]) == (strategy, 0, 77)
    assert "paused" not in spec


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_anybodys_update_can_be_held(kind: str) -> None:
    """What was begun without a rollout stays where it is found, and is let go as it was."""
    place = Place(kind)
    place.controllers.faults[V2] = "CrashLoopBackOff"
    before = {key: value for key, value in place.now()["spec"].items() if key != "template"}
    place.patch(promote_patch(place.now(), V2))
    begun = place.versions()

    place.patch(hold_patch(place.now(), V2, 1))
    place.controllers.faults.clear()
    place.controllers.settle(place.cluster)
    assert place.versions() == begun
    assert "v1" in begun
    place.patch(promote_patch(place.now(), V2))

    assert place.versions() == ["v2", "v2", "v2"]
    assert {key: value for key, value in place.now()["spec"].items() if key != "template"} == before


@pytest.mark.parametrize(
    ("kind", "spec", "found"),
    [
        ("Deployment", {"strategy": {"type": "Recreate"}}, "strategy: Recreate"),
        ("Deployment", {"paused": True}, "it is paused"),
        ("StatefulSet", {"updateStrategy": {"type": "OnDelete"}}, "updateStrategy: OnDelete"),
        (
            "StatefulSet",
            {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}},
            "updateStrategy: RollingUpdate, partition 2",
        ),
        ("DaemonSet", {"updateStrategy": {"type": "OnDelete"}}, "updateStrategy: OnDelete"),
        ("StatefulSet", {}, ""),
    ],
)
def test_what_is_not_updated_a_few_pods_at_a_time_is_named(kind: str, spec: Json, found: str) -> None:
    """Whoever set that does not want two versions side by side, or holds it already."""
    assert in_place.unfit(Place(kind, **spec).now()) == found
