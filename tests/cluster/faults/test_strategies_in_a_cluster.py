"""Each strategy with a real control plane's controllers: what is held stays, what is let go or taken back moves."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from tests.cluster.faults.conftest import Shop, deployment
from tests.fault_proxy import proxied
from tests.programs import until
from tests.unit.scripts_rollout.conftest import HISTORY, SCRAPE

from quarterdeck_contract.kubernetes import HELD, ROLLOUT_STATE
from quarterdeck_scripts.adapters.kubernetes import connect
from quarterdeck_scripts.kube.client import MERGE_PATCH, ApiError, path
from quarterdeck_scripts.kube.pods import is_ready
from quarterdeck_scripts.kube.workloads import KINDS, status_of
from quarterdeck_scripts.ports import FakeClock
from quarterdeck_scripts.rollout.steps import flow
from quarterdeck_scripts.rollout.steps.state import Ending

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from quarterdeck_scripts.kube.client import Json
    from quarterdeck_scripts.rollout.steps.actions import Outcome

pytestmark = pytest.mark.tools

V1, V2 = "localhost/checkout:v1", "localhost/checkout:v2"
RATE = 4000.0
"""Requests a second and pod: enough to decide within a few scrapes."""


class Market(Shop):
    """A shop whose workload is of any kind, and whose new pods may be broken."""

    broken = False
    """Whether pods of v2 are never Ready."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.beside: set[int] = set()
        """How many pods of v2 there were at a scrape, while there were others."""

    def pods(self) -> list[Json]:
        """Return every pod of the service, and break what is to be broken."""
        pods = super().pods()
        new = [pod for pod in pods if pod["spec"]["containers"][0]["image"] == V2]
        if 0 < len(new) < len(pods):
            self.beside.add(len(new))
        for pod in new if self.broken else ():
            if is_ready(pod):
                waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
                statuses = [{**each, "ready": False, "state": waiting} for each in pod["status"]["containerStatuses"]]
                conditions = [
                    {**each, "status": "False"} if each["type"] == "Ready" else each
                    for each in pod["status"]["conditions"]
                ]
                body = {"status": {"conditions": conditions, "containerStatuses": statuses}}
                where = path("Pod", "shop", pod["metadata"]["name"], "status")
                self.cluster.request("PATCH", where, body=body, content_type=MERGE_PATCH)
        return pods


@pytest.fixture
def market(plane: Path, tmp_path: Path) -> Iterator[Callable[..., Market]]:
    """Return how a market is opened, where `checkout` serves at v1 with three pods."""
    with contextlib.ExitStack() as stack:

        def opened(kind: str = "Deployment", **rollout: str) -> Market:
            cluster: Any = connect(plane)
            _empty(cluster)
            body = {**deployment(V1), "kind": kind}
            if kind != "Deployment":
                body["spec"] = {key: value for key, value in body["spec"].items() if key != "replicas"}
            if kind == "StatefulSet":
                body["spec"] |= {"replicas": 3, "serviceName": "checkout"}
            cluster.request("POST", path(kind, "shop"), body=body)
            until(lambda: _settled(cluster, kind), "the stable pods")
            stack.enter_context(contextlib.chdir(tmp_path))
            proxy, through = stack.enter_context(proxied(plane, tmp_path, None))
            market = Market(cluster, None, tmp_path / ".quarterdeck")  # type: ignore[arg-type]  # the cluster has its own
            market.proxy, market.through, market.kind = proxy, through, kind
            for key, value in rollout.items():
                market.catalogue = market.catalogue.replace("strategy: canary", f"strategy: canary, {key}: {value}")
            if "strategy" in rollout:
                market.catalogue = market.catalogue.replace("strategy: canary, ", "")
            (market.folder / "local").mkdir(parents=True)
            market.behave(V1, rate=RATE)
            for _ in range(round(HISTORY / SCRAPE)):
                FakeClock.sleep(market.clock, SCRAPE)
            return market

        yield opened


HTTP_ROUTE = "HTTPRoute"

_CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def _has_routes(cluster: Any) -> bool:
    return any(each["spec"]["names"]["kind"] == HTTP_ROUTE for each in cluster.request("GET", _CRD)["items"])


@pytest.fixture
def routes(plane: Path) -> None:
    """Have the cluster know HTTPRoutes, in the form that matters here, the defaults of a backend among it."""
    cluster = connect(plane)
    if _has_routes(cluster):
        return
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
    body = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"httproutes.{group}", "annotations": approved},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [version]},
    }
    cluster.request("POST", _CRD, body=body)

    def served() -> bool:
        try:
            cluster.request("GET", path(HTTP_ROUTE, "shop"))
        except ApiError:
            return False
        return True

    until(served, "HTTPRoutes")


def _settled(cluster: Any, kind: str) -> bool:
    status = status_of(cluster.request("GET", path(kind, "shop", "checkout")), ())
    return status.done and status.desired > 0


def _empty(cluster: Any) -> None:
    """Remove what an earlier test left."""
    for kind in (*KINDS, "Lease", *([HTTP_ROUTE] if _has_routes(cluster) else [])):
        cluster.request("DELETE", path(kind, "shop"), body={"propagationPolicy": "Background"})
    for kind in (*KINDS, "ReplicaSet", "Pod", "ControllerRevision"):
        until(lambda kind=kind: not cluster.request("GET", path(kind, "shop"))["items"], f"no {kind} to be left")  # type: ignore[misc]  # a default binds it


def run(market: Market) -> Outcome:
    """Run `rollout start`."""
    session = market.session()
    plan = session.plan(V2, session.view().inspect())
    outcome, _ = session.run(flow.start(plan), session.record(plan))
    return outcome


def left(market: Market) -> dict[str, Any]:
    """Return all that a rollout may leave."""
    workload = market.deployment()
    annotations = workload["metadata"].get("annotations") or {}
    return {
        "spec": {key: value for key, value in workload["spec"].items() if key != "template"},
        "notes": {ROLLOUT_STATE, HELD} & set(annotations),
        "selector": market.cluster.request("GET", path("Service", "shop", "checkout"))["spec"]["selector"],
        "deployments": market.deployments(),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_held_update_is_let_go(market: Callable[..., Market], kind: str) -> None:
    """One pod is new until the verdict; then all are, and the specification says nothing of the hold."""
    shop = market(kind, strategy="rolling")
    shop.behave(V2, rate=RATE)
    before = left(shop)

    outcome = run(shop)

    assert outcome.ending is Ending.PROMOTED, outcome.reason
    assert shop.images() == [V2] * 3
    assert left(shop) == before
    assert 1 in shop.beside


@pytest.mark.parametrize("kind", KINDS)
def test_a_held_update_is_taken_back(market: Callable[..., Market], kind: str) -> None:
    """No more than one pod was ever new, and the whole template is as it was."""
    shop = market(kind, strategy="rolling")
    shop.behave(V2, rate=RATE, failing=0.2)
    before, template = left(shop), shop.deployment()["spec"]["template"]

    outcome = run(shop)

    assert outcome.ending is Ending.ROLLED_BACK, outcome.reason
    assert shop.images() == [V1] * 3
    assert left(shop) == before
    assert shop.deployment()["spec"]["template"] == template
    assert shop.beside == {1}


def test_a_broken_pod_does_not_stop_a_stateful_set_from_going_back(market: Callable[..., Market]) -> None:
    """Its controller waits for the broken pod to become Ready before it replaces it, so the rollout deletes it."""
    shop = market("StatefulSet", strategy="rolling")
    shop.broken = True
    before = left(shop)

    outcome = run(shop)

    assert outcome.ending is Ending.ROLLED_BACK
    assert "CrashLoopBackOff" in outcome.reason
    assert shop.images() == [V1] * 3
    assert left(shop) == before


def test_a_fresh_baseline_comes_and_goes(market: Callable[..., Market]) -> None:
    """It is compared with the canary, and gone afterwards."""
    shop = market(baseline="fresh")
    shop.behave(V2, rate=RATE)
    before = left(shop)

    outcome = run(shop)

    assert outcome.ending is Ending.PROMOTED, outcome.reason
    assert shop.images() == [V2] * 3
    assert left(shop) == before


def test_blue_and_green_change_places_and_back(market: Callable[..., Market]) -> None:
    """Pods so young have no past to compare with: when the time is up, everything is back, the Service too."""
    shop = market(strategy="blue-green", max_wait="1m")
    shop.catalogue = shop.catalogue.replace("max_wait: 5m, ", "")
    shop.behave(V2, rate=RATE)
    before = left(shop)

    outcome = run(shop)

    assert outcome.ending is Ending.INCONCLUSIVE, outcome.reason
    assert 3 in shop.beside
    assert shop.images() == [V1] * 3
    assert left(shop) == before


@pytest.mark.usefixtures("routes")
@pytest.mark.parametrize("failing", [0.0, 0.2])
def test_routes_are_weighed_and_put_back(market: Callable[..., Market], failing: float) -> None:
    """Whatever the server fills in; requests are shared by the weights within two points, or everything is back."""
    shop = market(weights="[50]")
    refs = [{"name": "checkout", "port": 80}, {"name": "legacy", "port": 80, "weight": 2}]
    body = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": HTTP_ROUTE, "metadata": {"name": "front"}}
    there = path(HTTP_ROUTE, "shop")
    shop.cluster.request("POST", there, body={**body, "spec": {"rules": [{"backendRefs": refs}]}})
    shop.behave(V2, rate=RATE, failing=failing)
    before, route = left(shop), shop.cluster.request("GET", f"{there}/front")["spec"]

    session = shop.session()
    plan = session.plan(V2, session.view().inspect())
    record = session.record(plan)
    outcome, _ = session.run(flow.start(plan), record)

    assert outcome.ending is (Ending.ROLLED_BACK if failing else Ending.PROMOTED), outcome.reason
    assert shop.images() == [V1 if failing else V2] * 3
    assert left(shop) == before
    assert shop.cluster.request("GET", f"{there}/front")["spec"] == route
    assert [each["metadata"]["name"] for each in shop._items("Service")] == ["checkout"]
    if not failing:  # one that fails is found out within two scrapes, which are too few to be shared exactly
        first, last = (record.readings[number].tallies[0] for number in (1, -1))  # a side's first scrape is its own
        canary = last.canary.requests - first.canary.requests
        stable = last.stable.requests - first.stable.requests
        assert 100 * canary / (canary + stable) == pytest.approx(50, abs=2)
