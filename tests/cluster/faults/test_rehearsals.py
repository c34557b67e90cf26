"""A rehearsal changes nothing in a real cluster: not an object, not an annotation, not the audit log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.rollouts import Killed

from quarterdeck_scripts.rollout.rehearsal import rehearse
from quarterdeck_scripts.rollout.steps import flow

if TYPE_CHECKING:
    from collections.abc import Callable

    from quarterdeck_scripts.kube.client import Json

pytestmark = [pytest.mark.tools, pytest.mark.timeout(600)]

V1, V2 = "localhost/checkout:v1", "localhost/checkout:v2"

KINDS = (
    "/apis/apps/v1/namespaces/shop/deployments",
    "/apis/apps/v1/namespaces/shop/replicasets",
    "/api/v1/namespaces/shop/pods",
    "/api/v1/namespaces/shop/services",
    "/api/v1/namespaces/shop/configmaps",
    "/api/v1/namespaces/quarterdeck/configmaps",
    "/apis/coordination.k8s.io/v1/namespaces/shop/leases",
)


def everything(shop: Any) -> dict[str, Any]:
    """Return every object that a rollout may change: its specification, its annotations, whether it is going."""
    return {
        f"{kind}/{found['metadata']['name']}": _lasting(found)
        for kind in KINDS
        for found in shop.cluster.request("GET", kind)["items"]
    }


def _lasting(found: Json) -> list[Any]:
    metadata = found["metadata"]
    kept = [metadata.get(key) for key in ("uid", "generation", "annotations", "labels", "deletionTimestamp")]
    return [*kept, found.get("spec"), found.get("data")]


def rehearsed(shop: Any, steps: Callable[[flow.Plan], Any], image: str = "") -> str:
    """Return what a flow would change, having seen that it changed nothing."""
    session = shop.session()
    plan = session.plan(image, session.view().inspect(any_state=True))
    before = everything(shop)
    told = rehearse(session, plan, steps(plan))
    assert everything(shop) == before
    return told


def leave_half_way(shop: Any) -> None:
    """Have a rollout to v2 die while its canary is judged."""

    def die(*_: object) -> None:
        raise Killed

    session = shop.session()
    plan = session.plan(V2, session.view().inspect())
    answer, shop.prometheus._answer = shop.prometheus._answer, die
    with pytest.raises(Killed):
        session.run(flow.start(plan), session.record(plan))
    shop.prometheus._answer = answer


def test_every_flow_can_be_rehearsed(shop: Callable[[], Any]) -> None:
    """A start, its resumption, its abort, which deletes, and an undo: the changes build on each other all the same."""
    with shop() as opened:
        start = rehearsed(opened, flow.start, V2)
        leave_half_way(opened)
        resumed = rehearsed(opened, flow.start, V2)
        abort = rehearsed(opened, flow.abort, V2)
        session = opened.session()
        plan = session.plan(V2, session.view().inspect())
        session.run(flow.abort(plan), session.record(plan), take_over=True)
        opened.deploy_again(V2)
        opened.settle()
        undo = rehearsed(opened, flow.undo)

    image = f"~ spec.template.spec.containers[checkout].image: {V1} → {V2}"
    assert "+ Deployment shop/checkout-canary" in start
    assert image in start
    assert "- Deployment shop/checkout-canary" in start
    assert "+ Deployment" not in resumed
    assert image in resumed
    assert "- Deployment shop/checkout-canary" in abort
    assert f"~ spec.template.spec.containers[checkout].image: {V2} → {V1}" in undo
