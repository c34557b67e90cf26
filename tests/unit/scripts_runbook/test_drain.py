"""Draining a node: nothing is lost unasked, budgets are honoured, and what is left is named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_contract.errors import QuarterdeckError, RefusedError, UsageError
from quarterdeck_scripts.kube.client import MERGE_PATCH, path

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.scripts_runbook.conftest import Bench

    from quarterdeck_scripts.kube.client import Json
    from quarterdeck_scripts.kube.fake import FakeCluster
    from quarterdeck_scripts.kube.fake_controllers import Controllers

N1 = path("Node", name="n1")

pytestmark = pytest.mark.usefixtures("checkout")


def pods_on(cluster: FakeCluster, node: str) -> list[str]:
    """Return the names of the pods on *node*."""
    query = {"fieldSelector": f"spec.nodeName={node}"}
    return [pod["metadata"]["name"] for pod in cluster.request("GET", path("Pod"), query=query)["items"]]


def add_pod(cluster: FakeCluster, name: str, *, owner: str | None, **more: Any) -> None:
    """Put a Ready pod on the node n1."""
    owners = [{"kind": owner, "name": "o", "uid": "o", "controller": True}] if owner else []
    pod = {
        "metadata": {"name": name, "labels": {}, "ownerReferences": owners, **more.pop("metadata", {})},
        "spec": {"nodeName": "n1", "containers": [{"name": "a", "image": "a:1"}], **more},
    }
    cluster.request("POST", path("Pod", "shop"), body=pod)


def add_budget(cluster: FakeCluster, name: str = "checkout", *, allowed: int = 0) -> None:
    """Protect the service `checkout`."""
    labels = {"app.kubernetes.io/name": "checkout"}
    budget = {"metadata": {"name": name}, "spec": {"minAvailable": 3, "selector": {"matchLabels": labels}}}
    cluster.request("POST", path("PodDisruptionBudget", "shop"), body=budget)
    allow(cluster, allowed, name)


def allow(cluster: FakeCluster, allowed: int, name: str = "checkout") -> None:
    """Set how many disruptions the budget allows, as its controller does."""
    status = {"status": {"disruptionsAllowed": allowed, "currentHealthy": 3, "desiredHealthy": 3 - allowed}}
    where = path("PodDisruptionBudget", "shop", name, "status")
    cluster.request("PATCH", where, body=status, content_type=MERGE_PATCH)


@pytest.fixture
def second_node(cluster: FakeCluster) -> None:
    """Give pods somewhere to go."""
    cluster.request("POST", path("Node"), body={"metadata": {"name": "n2"}})


@pytest.mark.usefixtures("second_node")
class TestDraining:
    def test_all_pods_go_elsewhere(self, bench: Bench, cluster: FakeCluster) -> None:
        """The node is cordoned, its pods run on another, the log names them."""
        before = sorted(pods_on(cluster, "n1"))

        progress = bench.run("drain", "n1", why="broken disk")

        assert pods_on(cluster, "n1") == []
        assert len(pods_on(cluster, "n2")) == 3
        assert cluster.request("GET", N1)["spec"]["unschedulable"] is True
        assert progress.now == {"cordoned": True, "pods": []}
        (entry, _) = bench.audit.verify().entries
        assert entry.before == {"cordoned": False, "pods": [f"shop/{name}" for name in before]}

    def test_pods_are_waited_for_while_they_end(
        self,
        bench: Bench,
        cluster: FakeCluster,
        controllers: Controllers,
        at_each_look: list[Callable[[], None]],
    ) -> None:
        """An eviction that was taken is not a pod that is gone."""
        controllers.linger = True

        def end() -> None:
            assert len(pods_on(cluster, "n1")) == 3
            controllers.linger = False
            controllers.settle(cluster)

        at_each_look += [lambda: None, end]
        bench.run("drain", "n1")

        assert pods_on(cluster, "n1") == []
        assert bench.clock.now() - 1_700_000_000 == 6
        evictions = [where for method, where in cluster.requests if where.endswith("/eviction") and method == "POST"]
        assert len(evictions) == 3

    def test_a_budget_is_waited_for(
        self, bench: Bench, cluster: FakeCluster, at_each_look: list[Callable[[], None]]
    ) -> None:
        """As many go as it allows, the next when it allows more."""
        add_budget(cluster, allowed=1)
        left: list[int] = []

        def allow_one_more() -> None:
            left.append(len(pods_on(cluster, "n1")))
            allow(cluster, 1)

        at_each_look += [allow_one_more] * 4
        bench.run("drain", "n1")

        assert pods_on(cluster, "n1") == []
        assert left == [2, 1, 0]

    def test_a_budget_that_never_allows_is_named_at_the_deadline(self, bench: Bench, cluster: FakeCluster) -> None:
        """With the pods that wait for it; the node stays cordoned, and no pod is lost."""
        add_budget(cluster)

        with pytest.raises(
            QuarterdeckError,
            match=r"(?s)not done within 60 s.*shop/checkout-\S+: waits for PodDisruptionBudget checkout "
            r"\(3 healthy, 3 needed\)",
        ):
            bench.run("drain", "n1", within=60)

        assert len(pods_on(cluster, "n1")) == 3
        assert cluster.request("GET", N1)["spec"]["unschedulable"] is True

    def test_the_nodes_own_pods_stay(self, bench: Bench, cluster: FakeCluster) -> None:
        """Those of DaemonSets, and those the kubelet runs from files; the plan says so."""
        add_pod(cluster, "agent", owner="DaemonSet")
        add_pod(cluster, "proxy", owner="Node", metadata={"annotations": {"kubernetes.io/config.mirror": "x"}})

        plan = bench.plan("drain", "n1")
        bench.run("drain", "n1")

        assert plan.details[-1] == "stays: shop/agent, shop/proxy"
        assert pods_on(cluster, "n1") == ["agent", "proxy"]

    def test_after_a_run_that_died_it_goes_on(self, bench: Bench, cluster: FakeCluster) -> None:
        """The node is cordoned already, one pod is gone already."""
        cluster.request("PATCH", N1, body={"spec": {"unschedulable": True}}, content_type=MERGE_PATCH)
        name = pods_on(cluster, "n1")[0]
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
        cluster.request("POST", path("Pod", "shop", name, "eviction"), body=body)

        plan = bench.plan("drain", "n1")
        bench.run("drain", "n1")

        assert plan.requests == ()
        assert pods_on(cluster, "n1") == []

    def test_somebody_who_uncordons_it_is_not_overruled(
        self, bench: Bench, cluster: FakeCluster, at_each_look: list[Callable[[], None]]
    ) -> None:
        """Two people who work against each other find out."""
        add_budget(cluster)

        def uncordon() -> None:
            cluster.request("PATCH", N1, body={"spec": {"unschedulable": None}}, content_type=MERGE_PATCH)

        at_each_look.append(uncordon)

        with pytest.raises(QuarterdeckError, match="somebody uncordoned it meanwhile"):
            bench.run("drain", "n1")

    def test_a_rehearsal_evicts_nothing(self, bench: Bench, cluster: FakeCluster) -> None:
        """The server is asked about each pod."""
        before = pods_on(cluster, "n1")
        runner = bench.runner("drain", "n1")

        rehearsal = runner.rehearse(runner.plan(bench.options()))

        assert pods_on(cluster, "n1") == before
        assert "unschedulable" not in cluster.request("GET", N1).get("spec", {})
        assert rehearsal.changes == (
            "Node n1",
            '  + spec: {"unschedulable": true}',
            *(f"Pod shop/{name}: evicted" for name in before),
        )

    def test_a_rehearsal_tells_what_the_server_would_not_do_now(self, bench: Bench, cluster: FakeCluster) -> None:
        """A budget that is spent between the look and the question: it is told, and is no failure."""
        add_budget(cluster, allowed=1)
        runner = bench.runner("drain", "n1")
        plan = runner.plan(bench.options())
        allow(cluster, 0)

        rehearsal = runner.rehearse(plan)

        assert len(rehearsal.hindrances) == 3
        assert rehearsal.hindrances[0].endswith("Cannot evict pod as it would violate the pod's disruption budget.")


@pytest.mark.usefixtures("second_node")
class TestRefusal:
    def test_a_pod_that_nobody_would_bring_back(self, bench: Bench, cluster: FakeCluster) -> None:
        """Named, before anything is changed."""
        add_pod(cluster, "by-hand", owner=None)

        with pytest.raises(RefusedError, match="none for shop/by-hand"):
            bench.run("drain", "n1")
        assert "unschedulable" not in cluster.request("GET", N1).get("spec", {})

    def test_data_on_the_node_has_to_be_given_up(self, bench: Bench, cluster: FakeCluster) -> None:
        """With --force it goes, and the plan says what is lost."""
        add_pod(cluster, "cache", owner="ReplicaSet", volumes=[{"name": "tmp", "emptyDir": {}}])

        with pytest.raises(RefusedError, match="emptyDir volumes of shop/cache"):
            bench.plan("drain", "n1")
        assert (
            "evict shop/cache: can be evicted; its emptyDir data is LOST"
            in bench.plan("drain", "n1", force=True).details
        )

    def test_two_budgets_for_one_pod(self, bench: Bench, cluster: FakeCluster) -> None:
        """The eviction API answers 500 to that for ever."""
        add_budget(cluster, "one")
        add_budget(cluster, "two")

        with pytest.raises(RefusedError, match=r"several for shop/checkout-\S+ \(one, two\)"):
            bench.plan("drain", "n1")

    def test_no_such_node(self, bench: Bench) -> None:
        """The known ones are named."""
        with pytest.raises(UsageError, match="n1, n2"):
            bench.plan("drain", "n3")


class TestUndo:
    def test_pods_may_come_again(self, bench: Bench, cluster: FakeCluster) -> None:
        """The node takes pods; doing it twice changes nothing."""
        cluster.request("PATCH", N1, body={"spec": {"unschedulable": True}}, content_type=MERGE_PATCH)

        bench.run("drain", "n1", undo=True)

        assert "unschedulable" not in cluster.request("GET", N1)["spec"]
        assert bench.plan("drain", "n1", undo=True).requests == ()
        assert bench.audit.verify().entries[0].before == {"cordoned": True}


@pytest.mark.parametrize(("selector", "protected"), [({"selector": {}}, True), ({}, False)])
def test_an_empty_selector_protects_all_and_none_protects_nothing(
    bench: Bench, cluster: FakeCluster, selector: Json, *, protected: bool
) -> None:
    """As the API says of PodDisruptionBudgets."""
    budget = {"metadata": {"name": "all"}, "spec": {"minAvailable": 1, **selector}}
    cluster.request("POST", path("PodDisruptionBudget", "shop"), body=budget)

    waits = "waits for PodDisruptionBudget all" in bench.plan("drain", "n1").details[0]
    assert waits is protected
