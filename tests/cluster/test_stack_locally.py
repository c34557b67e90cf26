"""The rendering in the local environment: its paths and addresses are those of processes, not of containers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.programs import until

from quarterdeck_scripts.adapters.kubernetes import connect
from quarterdeck_scripts.kube.client import APPLY_PATCH
from quarterdeck_scripts.local import lifecycle
from quarterdeck_stacks.manifests import clean
from quarterdeck_stacks.project import load_project, load_stack
from quarterdeck_stacks.render import render

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.tools

PROGRAMS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kwok",
    "prometheus",
    "alertmanager",
)
PATHS = {
    "Namespace": "/api/v1/namespaces",
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings",
    "Service": "/api/v1/namespaces/{}/services",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
}


@pytest.fixture
def prefix(root: Path, tmp_path: Path, tool: Callable[[str], Path]) -> Iterator[str]:
    """Return the loopback prefix of a local environment that has the stack's monitoring, and no service's image."""
    state = tmp_path / "local"
    running = lifecycle.up(state, nodes=1, tools={name: tool(name) for name in PROGRAMS})
    try:
        cluster = connect(running.kubeconfig)
        project = load_project(root)
        config = load_stack(project, "local", [f"loopbackPrefix={running.loopback_prefix}", "scrapeInterval=1s"])
        for manifest in sorted(map(clean, render(project, "local", config).objects), key=_order):
            if manifest["kind"] in PATHS:
                collection = PATHS[manifest["kind"]].format(manifest["metadata"].get("namespace"))
                cluster.request(
                    "PATCH",
                    f"{collection}/{manifest['metadata']['name']}",
                    query={"fieldManager": "test-stack"},
                    body=manifest,
                    content_type=APPLY_PATCH,
                )
        yield running.loopback_prefix
    finally:
        lifecycle.down(state)


def _order(manifest: dict[str, Any]) -> int:
    return list(PATHS).index(manifest["kind"]) if manifest["kind"] in PATHS else len(PATHS)


def test_the_monitoring_runs_at_its_addresses_and_sees_itself(prefix: str) -> None:
    """Prometheus reads its configuration, its rules and its kubeconfig by relative paths, and finds both servers."""
    api = f"http://{prefix}.0.90:9090/api/v1"
    until(
        lambda: len(_get(f"{api}/query", query='up{namespace="quarterdeck"} == 1')["result"]) == 2, "both to be scraped"
    )
    until(lambda: bool(_get(f"{api}/alertmanagers")["activeAlertmanagers"]), "Alertmanager")

    found = _get(f"{api}/query", query='up{namespace="quarterdeck"}')["result"]
    assert sorted((each["metric"]["service"], each["metric"]["version"]) for each in found) == [
        ("alertmanager", "v0.28.1"),
        ("prometheus", "v3.16.0"),
    ]
    assert _get(f"{api}/alertmanagers")["activeAlertmanagers"] == [{"url": f"http://{prefix}.0.93:9093/api/v2/alerts"}]
    assert {group["file"].rpartition("/")[2] for group in _get(f"{api}/rules")["groups"]} == {
        "monitoring.yaml",
        "service-checkout.yaml",
    }


def _get(url: str, **query: str) -> Any:
    return httpx.get(url, params=query, timeout=10).raise_for_status().json()["data"]
