"""A service with its Deployment in a cluster in memory, and the controllers that run it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from quarterdeck_scripts.kube.fake import FakeCluster
from quarterdeck_scripts.kube.fake_controllers import Controllers

if TYPE_CHECKING:
    from quarterdeck_scripts.kube.client import Json


@pytest.fixture
def controllers() -> Controllers:
    """Return the controllers of `cluster`; pods of the image `checkout:bad` crash."""
    return Controllers({"localhost/checkout:bad": "CrashLoopBackOff"})


@pytest.fixture
def cluster(controllers: Controllers) -> FakeCluster:
    """Return a cluster with one node and the namespaces `shop` and `quarterdeck`."""
    cluster = FakeCluster([{"kind": "Node", "metadata": {"name": "n1"}}], controllers)
    for name in ("shop", "quarterdeck"):
        cluster.request("POST", "/api/v1/namespaces", body={"metadata": {"name": name}})
    return cluster


@pytest.fixture
def checkout(cluster: FakeCluster) -> Json:
    """Deploy the service `checkout` at v1, with three pods; return its Deployment."""
    labels = {"app.kubernetes.io/name": "checkout", "quarterdeck.dev/track": "stable"}
    container = {"name": "checkout", "image": "localhost/checkout:v1", "env": [{"name": "OLD", "value": "1"}]}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "checkout", "labels": {**labels, "app.kubernetes.io/version": "v1"}},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": {**labels, "app.kubernetes.io/version": "v1"}},
                "spec": {"containers": [container]},
            },
        },
    }
    where = "/apis/apps/v1/namespaces/shop/deployments"
    cluster.request("POST", where, body=deployment)
    return cluster.request("GET", f"{where}/checkout")
