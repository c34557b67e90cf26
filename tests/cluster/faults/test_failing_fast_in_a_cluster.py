"""What real controllers and a real scheduler say of pods that cannot be made or placed is named within 30 s."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from tests.programs import until

from quarterdeck_scripts.adapters.kubernetes import connect
from quarterdeck_scripts.kube.client import ApiError, path
from quarterdeck_scripts.kube.workloads import status_of
from quarterdeck_scripts.rollout.acting.lookout import Lookout
from quarterdeck_scripts.rollout.acting.sightings import Patience
from quarterdeck_scripts.rollout.acting.view import ServiceView

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from quarterdeck_scripts.kube.client import Cluster, Json

pytestmark = pytest.mark.tools

NARROW = "narrow"
LABELS = {"app.kubernetes.io/name": "service", "app.kubernetes.io/version": "v1", "quarterdeck.dev/track": "stable"}


@pytest.fixture
def narrow(plane: Path) -> Iterator[Cluster]:
    """Return a cluster with a namespace that has room for one pod, empty afterwards."""
    cluster = connect(plane)
    try:
        cluster.request("POST", path("Namespace"), body={"metadata": {"name": NARROW}})
        quota = {"metadata": {"name": "one"}, "spec": {"hard": {"pods": "1"}}}
        cluster.request("POST", f"/api/v1/namespaces/{NARROW}/resourcequotas", body=quota)
    except ApiError as error:
        if error.status != 409:
            raise
    # Until controllers have seen both, and pods of another test are counted no more, other words would be said.
    where, account = f"/api/v1/namespaces/{NARROW}/resourcequotas/one", f"/api/v1/namespaces/{NARROW}/serviceaccounts"
    until(lambda: cluster.request("GET", where).get("status", {}).get("used") == {"pods": "0"}, "room for a pod")
    until(lambda: cluster.request("GET", account)["items"], "an account for pods")
    yield cluster
    for kind in ("Deployment", "StatefulSet"):
        cluster.request("DELETE", path(kind, NARROW), body={"propagationPolicy": "Background"})
    until(lambda: not cluster.request("GET", path("Pod", NARROW))["items"], "no pod to be left")


def workload(kind: str, replicas: int, **pod: object) -> Json:
    """Return a workload whose pods serve at once."""
    container = {"name": "service", "image": "service:v1"}
    spec: Json = {
        "replicas": replicas,
        "selector": {"matchLabels": LABELS},
        "template": {"metadata": {"labels": LABELS}, "spec": {"containers": [container], **pod}},
    }
    spec |= {"serviceName": "service", "podManagementPolicy": "Parallel"} if kind == "StatefulSet" else {}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "service"}, "spec": spec}


def named(cluster: Cluster, kind: str) -> tuple[str, int]:
    """Look each second, as a rollout does, until a failure is believed; return it, and after how many seconds.

    The seconds are those of the looks: a busy machine's looks take longer.
    """
    view = ServiceView(cluster, NARROW, "service", "uid")
    lookout = Lookout(cluster, NARROW, view, Patience())
    for second in range(120):
        status = status_of({**cluster.request("GET", path(kind, NARROW, "service")), "kind": kind}, view.pods())
        failure = lookout.waiting(status, second)
        if failure:
            return failure, second
        time.sleep(1)
    return "", second


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_a_quota_is_named(narrow: Cluster, kind: str) -> None:
    """A Deployment's own condition says so, of a StatefulSet an event alone."""
    narrow.request("POST", path(kind, NARROW), body=workload(kind, 3))

    failure, seconds = named(narrow, kind)

    assert failure.startswith("no pod: QuotaExceeded (")
    assert "exceeded quota: one, requested: pods=1, used: pods=1, limited: pods=1" in failure
    assert seconds < 30


def test_a_pod_that_no_node_has_room_for_is_named(narrow: Cluster) -> None:
    """In the scheduler's words."""
    narrow.request("POST", path("Deployment", NARROW), body=workload("Deployment", 1, nodeSelector={"disk": "none"}))

    failure, seconds = named(narrow, "Deployment")

    assert ": Unschedulable (0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector" in failure
    assert seconds < 30
