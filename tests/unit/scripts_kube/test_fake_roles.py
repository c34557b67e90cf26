"""A cluster in memory refuses what Roles do not grant, and says which right a request needs, as RBAC does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_contract.access import Rule
from quarterdeck_scripts.kube.client import ApiError, path
from quarterdeck_scripts.kube.fake import FakeCluster
from quarterdeck_scripts.kube.fake_roles import AsRole, Use
from quarterdeck_scripts.kube.logs import FakeLogs, PodLogs

if TYPE_CHECKING:
    from quarterdeck_scripts.kube.client import Json

RULES = (
    Rule("", "pods", ("list", "watch")),
    Rule("", "pods/log", ("get",)),
    Rule("", "configmaps", ("get",), names=("facts",)),
    Rule("apps", "deployments", ("get", "create")),
)


def granted(namespace: str) -> tuple[Rule, ...]:
    """Return what holds in *namespace*."""
    in_shop = RULES if namespace == "shop" else ()
    return (Rule("", "namespaces", ("get",), names=("shop",)), *in_shop) if namespace else ()


@pytest.fixture
def cluster() -> FakeCluster:
    """Return a cluster with a ConfigMap."""
    return FakeCluster([{"kind": "ConfigMap", "metadata": {"name": "facts", "namespace": "shop"}}])


def allowed(somebody: AsRole, method: str, where: str, body: Json | None = None) -> bool:
    """Return whether a request is carried out, whatever comes of it."""
    try:
        somebody.request(method, where, body=body)
    except ApiError as error:
        return error.status != 403
    return True


def test_what_is_granted_is_carried_out_and_noted(cluster: FakeCluster) -> None:
    """By verb, group, resource, namespace and name."""
    somebody = AsRole(cluster, granted)

    assert allowed(somebody, "GET", path("Pod", "shop"))
    assert allowed(somebody, "GET", path("ConfigMap", "shop", "facts"))
    assert allowed(somebody, "GET", path("Namespace", name="shop"))
    assert allowed(somebody, "POST", path("Deployment", "shop"), {"metadata": {"name": "a"}})
    assert list(somebody.watch(path("Pod", "shop"), query={}, timeout=1)) == []
    assert somebody.used == {
        Use("list", "", "pods", "shop"),
        Use("watch", "", "pods", "shop"),
        Use("get", "", "configmaps", "shop", "facts"),
        Use("get", "", "namespaces", "shop", "shop"),
        Use("create", "apps", "deployments", "shop"),
    }


@pytest.mark.parametrize(
    ("method", "where"),
    [
        ("GET", path("Pod")),
        ("GET", path("Pod", "default")),
        ("GET", path("Pod", "shop", "a")),
        ("GET", path("ConfigMap", "shop", "others")),
        ("GET", path("ConfigMap", "shop")),
        ("GET", path("Namespace", name="default")),
        ("GET", path("Secret", "shop", "a")),
        ("PATCH", path("Deployment", "shop", "a")),
        ("PUT", path("Deployment", "shop", "a")),
        ("DELETE", path("Deployment", "shop", "a")),
        ("DELETE", path("Pod", "shop")),
        ("POST", path("Pod", "shop", "a", "eviction")),
    ],
)
def test_everything_else_is_refused(cluster: FakeCluster, method: str, where: str) -> None:
    """Another verb, name, namespace, or a subresource; nothing reaches the cluster."""
    somebody = AsRole(cluster, granted)

    assert not allowed(somebody, method, where, {"metadata": {"name": "a"}})
    assert cluster.requests == []
    assert somebody.used == set()


def test_reviews_of_access_say_the_same(cluster: FakeCluster) -> None:
    """Anybody may ask; a cluster that says no besides is believed."""
    somebody = AsRole(cluster, granted)

    def may(**attributes: str) -> Any:
        review = {"spec": {"resourceAttributes": {"namespace": "shop", **attributes}}}
        return somebody.request("POST", path("SelfSubjectAccessReview"), body=review)["status"]["allowed"]

    assert may(verb="list", resource="pods")
    assert may(verb="get", resource="pods", subresource="log")
    assert may(verb="get", resource="configmaps", name="facts")
    assert not may(verb="get", resource="configmaps")
    assert not may(verb="get", group="apps", resource="pods")
    assert allowed(somebody, "POST", path("SelfSubjectReview"), {"metadata": {}})


def test_logs_are_read_where_the_cluster_has_them_and_that_is_granted() -> None:
    """A cluster without logs has none for somebody with Roles either."""

    class WithLogs(FakeCluster):
        log = FakeLogs({("a", "app", False): b"hello\n"}).log

    somebody: Any = AsRole(WithLogs(), granted)

    assert isinstance(somebody, PodLogs)
    assert not isinstance(AsRole(FakeCluster(), granted), PodLogs)
    assert somebody.log("shop", "a", "app", most=100) == b"hello\n"
    with pytest.raises(ApiError) as refused:
        somebody.log("default", "a", "app", most=100)
    assert refused.value.status == 403
