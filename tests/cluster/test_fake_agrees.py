"""The API server in memory and a real one are told the same sentences, and must give the same answers."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from tests.programs import until

from quarterdeck_scripts.adapters.kubernetes import connect
from quarterdeck_scripts.kube.client import (
    APPLY_PATCH,
    JSON_PATCH,
    MERGE_PATCH,
    ApiError,
    Cluster,
    list_all,
    path,
)
from quarterdeck_scripts.kube.fake import FakeCluster

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from quarterdeck_scripts.kube.client import Json

_numbers = itertools.count(1)


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.tools)])
def cluster(request: pytest.FixtureRequest) -> Cluster:
    """Return each of the two."""
    if request.param == "fake":
        return FakeCluster()
    kubeconfig: Path = request.getfixturevalue("api_server")
    return connect(kubeconfig)


@pytest.fixture
def namespace(cluster: Cluster) -> str:
    """Return the name of a new namespace."""
    name = f"agrees-{next(_numbers)}"
    cluster.request("POST", path("Namespace"), body={"metadata": {"name": name}})
    return name


def configmap(name: str, data: dict[str, str], **metadata: object) -> Json:
    """Return a ConfigMap to create."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}, "data": data}


def pod(name: str, **labels: str) -> Json:
    """Return a pod on a node of its own, to create."""
    spec = {"containers": [{"name": "app", "image": "app:v1"}], "nodeName": "node-1"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}


def refusal(cluster: Cluster, method: str, where: str, **arguments: object) -> tuple[int, str]:
    """Return the status and reason by which a request is refused."""
    with pytest.raises(ApiError) as caught:
        cluster.request(method, where, **arguments)  # type: ignore[arg-type]
    return caught.value.status, caught.value.reason


class TestWriting:
    def test_a_new_object_gets_a_version_and_an_identity(self, cluster: Cluster, namespace: str) -> None:
        """POST answers with the object as it is stored."""
        made = cluster.request("POST", path("ConfigMap", namespace), body=configmap("a", {"k": "1"}))

        assert made["data"] == {"k": "1"}
        assert made["metadata"]["namespace"] == namespace
        assert made["metadata"]["uid"]
        assert int(made["metadata"]["resourceVersion"]) > 0

    def test_a_name_is_taken_once(self, cluster: Cluster, namespace: str) -> None:
        """A second POST of a name is 409 AlreadyExists."""
        cluster.request("POST", path("ConfigMap", namespace), body=configmap("a", {}))

        assert refusal(cluster, "POST", path("ConfigMap", namespace), body=configmap("a", {})) == (
            409,
            "AlreadyExists",
        )

    def test_a_namespace_has_to_be_there(self, cluster: Cluster) -> None:
        """POST into no namespace is 404."""
        assert refusal(cluster, "POST", path("ConfigMap", "nowhere"), body=configmap("a", {})) == (404, "NotFound")

    def test_what_is_not_there_is_not_found(self, cluster: Cluster, namespace: str) -> None:
        """GET, PATCH and DELETE of no object are 404."""
        nothing = path("ConfigMap", namespace, "nothing")

        assert refusal(cluster, "GET", nothing) == (404, "NotFound")
        assert refusal(cluster, "PATCH", nothing, body={}, content_type=MERGE_PATCH) == (404, "NotFound")
        assert refusal(cluster, "DELETE", nothing) == (404, "NotFound")

    def test_a_put_of_an_older_version_conflicts(self, cluster: Cluster, namespace: str) -> None:
        """PUT and merge patch with a `resourceVersion` that is not the present one are 409."""
        first = cluster.request("POST", path("ConfigMap", namespace), body=configmap("a", {"k": "1"}))
        there = path("ConfigMap", namespace, "a")
        second = cluster.request("PUT", there, body={**first, "data": {"k": "2"}})

        assert second["metadata"]["resourceVersion"] != first["metadata"]["resourceVersion"]
        assert refusal(cluster, "PUT", there, body={**first, "data": {"k": "3"}}) == (409, "Conflict")
        old = {"metadata": {"resourceVersion": first["metadata"]["resourceVersion"]}, "data": {"k": "3"}}
        assert refusal(cluster, "PATCH", there, body=old, content_type=MERGE_PATCH) == (409, "Conflict")
        assert cluster.request("GET", there)["data"] == {"k": "2"}

    def test_a_change_that_changes_nothing_makes_no_version(self, cluster: Cluster, namespace: str) -> None:
        """The version stays when a patch leaves the object as it is."""
        first = cluster.request("POST", path("ConfigMap", namespace), body=configmap("a", {"k": "1"}))
        there = path("ConfigMap", namespace, "a")

        again = cluster.request("PATCH", there, body={"data": {"k": "1"}}, content_type=MERGE_PATCH)

        assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]

    def test_a_merge_patch_removes_by_null(self, cluster: Cluster, namespace: str) -> None:
        """RFC 7386 as the server applies it."""
        cluster.request("POST", path("ConfigMap", namespace), body=configmap("a", {"k": "1", "l": "2"}))

        body = {"data": {"k": None, "m": "3"}}
        changed = cluster.request("PATCH", path("ConfigMap", namespace, "a"), body=body, content_type=MERGE_PATCH)

        assert changed["data"] == {"l": "2", "m": "3"}

    @pytest.mark.parametrize(
        "operation",
        [
            {"op": "test", "path": "/data/k", "value": "2"},
            {"op": "remove", "path": "/data/none"},
            {"op": "add", "path": "/metadata/annotations/a", "value": "b"},
        ],
    )
    def test_a_json_patch_that_cannot_be_applied_changes_nothing(
        self, cluster: Cluster, namespace: str, operation: Json
    ) -> None:
        """A failed test, and a place that is not there, are 422; operations before it are not kept."""
        cluster.request("POST", path("ConfigMap", namespace), body=configmap("a", {"k": "1"}))
        there = path("ConfigMap", namespace, "a")
        operations = [{"op": "add", "path": "/data/new", "value": "1"}, operation]

        assert refusal(cluster, "PATCH", there, body=operations, content_type=JSON_PATCH) == (422, "Invalid")
        assert cluster.request("GET", there)["data"] == {"k": "1"}

    def test_a_json_patch_is_applied_in_order(self, cluster: Cluster, namespace: str) -> None:
        """A test that holds lets the rest through."""
        made = cluster.request("POST", path("ConfigMap", namespace), body=configmap("a", {"k": "1"}))
        operations = [
            {"op": "test", "path": "/metadata/uid", "value": made["metadata"]["uid"]},
            {"op": "test", "path": "/data", "value": {"k": "1"}},
            {"op": "replace", "path": "/data/k", "value": "2"},
            {"op": "add", "path": "/metadata/annotations", "value": {"quarterdeck.dev/x": "y"}},
        ]

        there = path("ConfigMap", namespace, "a")
        changed = cluster.request("PATCH", there, body=operations, content_type=JSON_PATCH)

        assert changed["data"] == {"k": "2"}
        assert changed["metadata"]["annotations"] == {"quarterdeck.dev/x": "y"}

    def test_apply_creates_and_then_merges(self, cluster: Cluster, namespace: str) -> None:
        """Server-side apply needs no object before it, and needs a field manager."""
        there = path("ConfigMap", namespace, "a")
        first = configmap("a", {"k": "1"}, namespace=namespace)
        second = configmap("a", {"l": "2"}, namespace=namespace)

        assert refusal(cluster, "PATCH", there, body=first, content_type=APPLY_PATCH) == (422, "Invalid")
        for manager, body in (("one", first), ("two", second)):
            query = {"fieldManager": manager}
            cluster.request("PATCH", there, query=query, body=body, content_type=APPLY_PATCH)
        assert cluster.request("GET", there)["data"] == {"k": "1", "l": "2"}

    def test_a_dry_run_answers_and_changes_nothing(self, cluster: Cluster, namespace: str) -> None:
        """`dryRun=All` gives the answer the change would have had."""
        dry = {"dryRun": "All"}
        there = path("ConfigMap", namespace, "a")
        made = cluster.request("POST", path("ConfigMap", namespace), query=dry, body=configmap("a", {"k": "1"}))
        assert made["data"] == {"k": "1"}
        assert refusal(cluster, "GET", there) == (404, "NotFound")

        cluster.request("POST", path("ConfigMap", namespace), body=configmap("a", {"k": "1"}))
        body = {"data": {"k": "2"}}
        changed = cluster.request("PATCH", there, query=dry, body=body, content_type=MERGE_PATCH)
        cluster.request("DELETE", there, query=dry)
        assert changed["data"] == {"k": "2"}
        assert cluster.request("GET", there)["data"] == {"k": "1"}

    def test_an_immutable_configmap_keeps_its_data(self, cluster: Cluster, namespace: str) -> None:
        """A sealed ConfigMap refuses another entry: 422."""
        cluster.request("POST", path("ConfigMap", namespace), body=configmap("a", {"k": "1"}))
        there = path("ConfigMap", namespace, "a")
        cluster.request("PATCH", there, body={"immutable": True}, content_type=MERGE_PATCH)

        body = {"data": {"k": "2"}}
        assert refusal(cluster, "PATCH", there, body=body, content_type=MERGE_PATCH) == (422, "Invalid")

    def test_a_specification_has_a_generation_and_a_status_of_its_own(self, cluster: Cluster, namespace: str) -> None:
        """Only the specification counts up; only the subresource writes the status."""
        budget = {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "a"},
            "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "a"}}},
        }
        there = path("PodDisruptionBudget", namespace, "a")
        made = cluster.request("POST", path("PodDisruptionBudget", namespace), body=budget)
        status = {"status": {"disruptionsAllowed": 1, "currentHealthy": 2, "desiredHealthy": 1, "expectedPods": 2}}

        ignored = cluster.request("PATCH", there, body=status, content_type=MERGE_PATCH)
        labelled = cluster.request("PATCH", there, body={"metadata": {"labels": {"a": "b"}}}, content_type=MERGE_PATCH)
        counted = cluster.request("PATCH", there, body={"spec": {"minAvailable": 2}}, content_type=MERGE_PATCH)
        written = cluster.request("PATCH", there + "/status", body=status, content_type=MERGE_PATCH)

        assert made["metadata"]["generation"] == 1
        assert ignored.get("status", {}).get("disruptionsAllowed", 0) == 0
        assert labelled["metadata"]["generation"] == 1
        assert counted["metadata"]["generation"] == 2
        assert written["status"]["disruptionsAllowed"] == 1
        assert written["metadata"]["generation"] == 2


class TestReading:
    def test_a_list_is_selected_by_labels(self, cluster: Cluster, namespace: str) -> None:
        """Equality and set terms, joined by commas."""
        for name, labels in {"a": {"app": "x"}, "b": {"app": "y", "old": "1"}, "c": {}}.items():
            cluster.request("POST", path("ConfigMap", namespace), body=configmap(name, {}, labels=labels))

        def names(selector: str) -> list[str]:
            query = {"labelSelector": selector}
            return [found["metadata"]["name"] for found in list_all(cluster, path("ConfigMap", namespace), query)]

        assert names("app=x") == ["a"]
        assert names("app!=x") == ["b", "c"]
        assert names("app in (x, y),!old") == ["a"]
        assert names("app notin (x),app") == ["b"]
        assert names("!app") == ["c"]

    def test_pods_are_selected_by_node(self, cluster: Cluster, namespace: str) -> None:
        """`spec.nodeName` is a field to ask about; one that is not is 400."""
        cluster.request("POST", path("Pod", namespace), body=pod("a"))

        def count(fields: str) -> int:
            return len(list(list_all(cluster, path("Pod", namespace), {"fieldSelector": fields})))

        assert count("spec.nodeName=node-1") == 1
        assert count("spec.nodeName!=node-1") == 0
        assert count("spec.nodeName=node-1,status.phase=Pending") == 1
        unknown = {"fieldSelector": "spec.hostname=a"}
        assert refusal(cluster, "GET", path("Pod", namespace), query=unknown) == (400, "BadRequest")

    def test_a_page_continues_where_it_ended(self, cluster: Cluster, namespace: str) -> None:
        """`limit` and `continue`; items name neither kind nor version."""
        for name in "abc":
            cluster.request("POST", path("ConfigMap", namespace), body=configmap(name, {}))
        there = path("ConfigMap", namespace)

        first = cluster.request("GET", there, query={"limit": "2"})
        token = first["metadata"]["continue"]
        second = cluster.request("GET", there, query={"limit": "2", "continue": token})

        assert first["kind"] == "ConfigMapList"
        assert [found["metadata"]["name"] for found in first["items"]] == ["a", "b"]
        assert first["metadata"]["remainingItemCount"] == 1
        assert [found["metadata"]["name"] for found in second["items"]] == ["c"]
        assert not second["metadata"].get("continue")
        assert "kind" not in second["items"][0]

    def test_a_watch_tells_what_happened_since(self, cluster: Cluster, namespace: str) -> None:
        """Every change in order; an object that is no longer selected counts as deleted."""
        there = path("ConfigMap", namespace)
        since = cluster.request("GET", there)["metadata"]["resourceVersion"]
        cluster.request("POST", there, body=configmap("a", {}, labels={"app": "x"}))
        cluster.request("POST", there, body=configmap("b", {}))
        body = {"metadata": {"labels": {"app": None}}}
        cluster.request("PATCH", path("ConfigMap", namespace, "a"), body=body, content_type=MERGE_PATCH)

        def told(selector: str) -> list[tuple[str, str]]:
            query = {"resourceVersion": since, "labelSelector": selector}
            events = cluster.watch(there, query=query, timeout=1)
            return [(event["type"], event["object"]["metadata"]["name"]) for event in events]

        # On a busy machine the second may be over before a watch has begun.
        all_there_is = [("ADDED", "a"), ("ADDED", "b"), ("MODIFIED", "a")]
        until(lambda: told("") == all_there_is, lambda: f"{all_there_is}, not {told('')}")
        until(lambda: told("app=x") == [("ADDED", "a"), ("DELETED", "a")], lambda: f"two, not {told('app=x')}")

    def test_who_asks_is_known(self, cluster: Cluster) -> None:
        """A SelfSubjectReview names the user."""
        answer = cluster.request("POST", path("SelfSubjectReview"), body={"metadata": {}})

        assert answer["status"]["userInfo"]["username"]


class TestEviction:
    @pytest.fixture
    def evict(self, cluster: Cluster, namespace: str) -> Callable[..., Json]:
        """Return a function that evicts the pod `a`, which is Ready."""
        cluster.request("POST", path("Pod", namespace), body=pod("a", app="a"))
        ready = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}
        cluster.request("PATCH", path("Pod", namespace, "a", "status"), body=ready, content_type=MERGE_PATCH)

        def evict(**options: object) -> Json:
            body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "a"}, "deleteOptions": options}
            return cluster.request("POST", path("Pod", namespace, "a", "eviction"), body=body)

        return evict

    @staticmethod
    def _budget(cluster: Cluster, namespace: str, name: str, allowed: int) -> None:
        budget = {"metadata": {"name": name}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "a"}}}}
        cluster.request("POST", path("PodDisruptionBudget", namespace), body=budget)
        status = {
            "observedGeneration": 1,
            "disruptionsAllowed": allowed,
            "currentHealthy": 1 + allowed,
            "desiredHealthy": 1,
            "expectedPods": 2,
        }
        where = path("PodDisruptionBudget", namespace, name, "status")
        cluster.request("PATCH", where, body={"status": status}, content_type=MERGE_PATCH)

    def test_an_evicted_pod_ends_in_its_own_time(
        self, cluster: Cluster, namespace: str, evict: Callable[..., Json]
    ) -> None:
        """A pod on a node is terminating until its kubelet says it is gone."""
        evict()

        assert "deletionTimestamp" in cluster.request("GET", path("Pod", namespace, "a"))["metadata"]
        cluster.request("DELETE", path("Pod", namespace, "a"), query={"gracePeriodSeconds": "0"})
        assert refusal(cluster, "GET", path("Pod", namespace, "a")) == (404, "NotFound")

    def test_a_dry_run_evicts_nothing(self, cluster: Cluster, namespace: str, evict: Callable[..., Json]) -> None:
        """The body's own `dryRun` counts as the query's does."""
        evict(dryRun=["All"])

        assert "deletionTimestamp" not in cluster.request("GET", path("Pod", namespace, "a"))["metadata"]

    def test_another_pod_of_the_name_is_left_alone(self, evict: Callable[..., Json]) -> None:
        """The precondition on the identity is 409 when it does not hold."""
        with pytest.raises(ApiError) as caught:
            evict(preconditions={"uid": "another"})

        assert (caught.value.status, caught.value.reason) == (409, "Conflict")

    def test_a_spent_budget_refuses(self, cluster: Cluster, namespace: str, evict: Callable[..., Json]) -> None:
        """429, and the pod stays."""
        self._budget(cluster, namespace, "budget", 0)

        with pytest.raises(ApiError) as caught:
            evict()

        assert (caught.value.status, caught.value.reason) == (429, "TooManyRequests")
        assert "deletionTimestamp" not in cluster.request("GET", path("Pod", namespace, "a"))["metadata"]

    def test_a_budget_is_spent(self, cluster: Cluster, namespace: str, evict: Callable[..., Json]) -> None:
        """An eviction takes one of the disruptions allowed."""
        self._budget(cluster, namespace, "budget", 1)

        evict()

        budget = cluster.request("GET", path("PodDisruptionBudget", namespace, "budget"))
        assert budget["status"].get("disruptionsAllowed", 0) == 0

    def test_two_budgets_for_one_pod_are_an_error(
        self, cluster: Cluster, namespace: str, evict: Callable[..., Json]
    ) -> None:
        """500: the eviction API does not support it."""
        self._budget(cluster, namespace, "one", 1)
        self._budget(cluster, namespace, "two", 1)

        with pytest.raises(ApiError) as caught:
            evict()

        assert caught.value.status == 500
        assert "more than one PodDisruptionBudget" in caught.value.message
