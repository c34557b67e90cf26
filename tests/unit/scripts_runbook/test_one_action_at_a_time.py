"""An action has its subject for itself: neither another action nor a rollout changes it meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_contract.errors import QuarterdeckError, RefusedError
from quarterdeck_scripts.kube.client import path
from quarterdeck_scripts.rollout.acting.lock import LeaseLock, holder_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from quarterdeck_scripts.kube.fake import FakeCluster
    from quarterdeck_scripts.kube.fake_controllers import Controllers

pytestmark = pytest.mark.usefixtures("checkout")


def test_a_service_under_rollout_is_left_alone(bench: Any, cluster: FakeCluster) -> None:
    """The lock is the rollout's own; its holder is named, and nothing is changed or written down."""
    LeaseLock(cluster, "shop", "checkout", holder="ben@shore", clock=bench.clock).acquire()
    before = cluster.request("GET", path("Deployment", "shop", "checkout"))

    with pytest.raises(
        RefusedError, match=r"the rollout lock of checkout to be free[^F]*Found it is held by ben@shore"
    ):
        bench.run("restart", "checkout")

    assert cluster.request("GET", path("Deployment", "shop", "checkout")) == before
    assert bench.outcomes() == []


def test_it_is_held_while_the_action_waits_and_given_back(
    bench: Any, cluster: FakeCluster, controllers: Controllers, at_each_look: list[Callable[[], None]]
) -> None:
    """Renewed as long as it takes."""
    held: list[tuple[str, str]] = []

    def look() -> None:
        found = holder_of(cluster, "shop", "checkout")
        held.append((found.name, found.renewed))

    def let_run() -> None:
        controllers.faults.clear()
        controllers.settle(cluster)

    at_each_look.extend([look, look, look, let_run])
    controllers.faults["localhost/checkout:v1"] = "ContainerCreating"

    bench.run("scale", "checkout", replicas=4)

    assert [name for name, _ in held] == ["alice@bridge"] * 3
    assert len({renewed for _, renewed in held}) > 1
    assert holder_of(cluster, "shop", "checkout").name == ""


def test_it_is_given_back_when_the_action_fails(bench: Any, cluster: FakeCluster, controllers: Controllers) -> None:
    """The next one need not wait for it to lapse."""
    controllers.faults["localhost/checkout:v1"] = "ContainerCreating"

    with pytest.raises(QuarterdeckError, match="not done within 5 s"):
        bench.run("restart", "checkout", within=5)

    assert holder_of(cluster, "shop", "checkout").name == ""


def test_a_node_has_a_lock_of_its_own(bench: Any, cluster: FakeCluster) -> None:
    """Two drains of one node are one too many; a service of its name is another thing."""
    bench.lock("drain", "n1", "ben@shore").acquire()

    with pytest.raises(RefusedError, match="the node lock of n1 to be free"):
        bench.run("drain", "n1")

    assert cluster.request("GET", path("Lease", "quarterdeck", "quarterdeck-node-n1"))["spec"]["holderIdentity"]
