"""Each strategy with a real control plane's controllers: what is held stays, what is let go or taken back moves."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from tests.cluster.faults.conftest import HTTP_ROUTE, RATE, Shop
from tests.unit.scripts_rollout.conftest import V1, V2

from quarterdeck_contract.kubernetes import HELD, ROLLOUT_STATE
from quarterdeck_scripts.kube.client import MERGE_PATCH, path
from quarterdeck_scripts.kube.pods import is_ready
from quarterdeck_scripts.kube.workloads import KINDS
from quarterdeck_scripts.rollout.steps import flow
from quarterdeck_scripts.rollout.steps.state import Ending

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from quarterdeck_scripts.kube.client import Json
    from quarterdeck_scripts.rollout.steps.actions import Outcome

pytestmark = pytest.mark.tools


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
def market(shop: Callable[..., Any]) -> Iterator[Callable[..., Market]]:
    """Return how a market is opened, where `checkout` serves at v1 with three pods."""
    with contextlib.ExitStack() as stack:

        def opened(kind: str = "Deployment", **rollout: str) -> Market:
            market: Market = stack.enter_context(shop(kind=kind, of=Market, **rollout))
            return market

        yield opened


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
    shop.behave(V2, rate=RATE)
    before = left(shop)

    outcome = run(shop)

    assert outcome.ending is Ending.INCONCLUSIVE, outcome.reason
    assert 3 in shop.beside
    assert shop.images() == [V1] * 3
    assert left(shop) == before


@pytest.mark.parametrize("failing", [0.0, 0.2])
def test_routes_are_weighed_and_put_back(market: Callable[..., Market], failing: float) -> None:
    """Whatever the server fills in; requests are shared by the weights within two points, or everything is back."""
    shop = market(weights="[50]")
    there = path(HTTP_ROUTE, "shop", "front")
    shop.behave(V2, rate=RATE, failing=failing)
    before, route = left(shop), shop.cluster.request("GET", there)["spec"]

    session = shop.session()
    plan = session.plan(V2, session.view().inspect())
    record = session.record(plan)
    outcome, _ = session.run(flow.start(plan), record)

    assert outcome.ending is (Ending.ROLLED_BACK if failing else Ending.PROMOTED), outcome.reason
    assert shop.images() == [V1 if failing else V2] * 3
    assert left(shop) == before
    assert shop.cluster.request("GET", there)["spec"] == route
    assert [each["metadata"]["name"] for each in shop._items("Service")] == ["checkout"]
    if not failing:  # one that fails is found out within two scrapes, which are too few to be shared exactly
        first, last = (record.readings[number].tallies[0] for number in (1, -1))  # a side's first scrape is its own
        canary = last.canary.requests - first.canary.requests
        stable = last.stable.requests - first.stable.requests
        assert 100 * canary / (canary + stable) == pytest.approx(50, abs=2)
