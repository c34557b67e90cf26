"""The generated inhibitions and routes in a real Alertmanager: what is quiet while what fires, and who is told."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.programs import free_port

from quarterdeck_dashboards.alertmanager import config
from quarterdeck_dashboards.catalogue import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.tools

CATALOGUE = """\
version: 1
runbook_base_url: https://example.org/runbooks/
services:
  - {name: checkout, namespace: shop, owner: payments, image: a/b:v1, tier: 1}
"""

SERVICE = {"cluster": "prod", "namespace": "shop", "service": "checkout"}
POD = {**SERVICE, "pod": "checkout-1", "area": "kubernetes"}
CERTIFICATE = {"cluster": "prod", "instance": "https://shop.example", "area": "backing"}
CLAIM = {"cluster": "prod", "namespace": "shop", "persistentvolumeclaim": "data", "area": "kubernetes"}
MONITORING = {"cluster": "prod", "namespace": "quarterdeck", "service": "prometheus", "area": "monitoring"}


def _alert(name: str, labels: dict[str, str], severity: str = "ticket", **more: str) -> dict[str, str]:
    return {"alertname": name, "severity": severity, **labels, **more}


FIRING = {
    "down": _alert("ServiceDown", SERVICE, "page"),
    "burning": _alert("ErrorBudgetBurn", SERVICE, "page", slo="fast"),
    "silent": _alert("TelemetryAbsent", SERVICE),
    "full": _alert("WorkersSaturated", SERVICE, pool="requests"),
    "other service": _alert("WorkersSaturated", {**SERVICE, "service": "orders"}, pool="requests"),
    "other cluster": _alert("WorkersSaturated", {**SERVICE, "cluster": "dev"}, pool="requests"),
    "crash loop": _alert("ContainerCrashLooping", POD, container="checkout"),
    "not ready": _alert("PodNotReady", POD, node="node-1"),
    "replicas": _alert("DeploymentReplicasMissing", {**SERVICE, "area": "kubernetes"}, deployment="checkout"),
    "node": _alert("NodeNotReady", {"cluster": "prod", "node": "node-2", "area": "kubernetes"}),
    "pod on that node": _alert("PodNotReady", {**POD, "service": "orders", "pod": "orders-1"}, node="node-2"),
    "pod on another": _alert("PodNotReady", {**POD, "service": "orders", "pod": "orders-2"}, node="node-3"),
    "volume full": _alert("VolumeFull", CLAIM, "page"),
    "volume filling": _alert("VolumeFilling", CLAIM),
    "other volume filling": _alert("VolumeFilling", {**CLAIM, "persistentvolumeclaim": "logs"}),
    "certificate": _alert("CertificateExpiring", CERTIFICATE, "page"),
    "certificate's ticket": _alert("CertificateExpiring", CERTIFICATE),
    "another's ticket": _alert("CertificateExpiring", {**CERTIFICATE, "instance": "https://other.example"}),
    "watchdog": _alert("Watchdog", MONITORING),
}
QUIET = {
    "burning",
    "silent",
    "full",
    "not ready",
    "replicas",
    "pod on that node",
    "volume filling",
    "certificate's ticket",
}
RECEIVERS = {
    "down": "owner-payments",
    "replicas": "owner-payments",
    "volume full": "owner-payments",
    "node": "platform",
    "certificate": "platform",
    "watchdog": "watchdog",
}


@pytest.fixture
def firing(
    tool: Callable[[str], Path], tmp_path: Path, until: Callable[[Callable[[], Any], str], Any]
) -> Iterator[dict[str, dict[str, Any]]]:
    """Return what an Alertmanager with the generated configuration says of each alert."""
    address = f"127.0.0.1:{free_port()}"
    (tmp_path / "alertmanager.yml").write_text(config(parse(CATALOGUE, "services.yaml")))
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                tool("alertmanager"),
                f"--config.file={tmp_path}/alertmanager.yml",
                f"--storage.path={tmp_path}/data",
                f"--web.listen-address={address}",
                "--cluster.listen-address=",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        with httpx.Client(base_url=f"http://{address}", timeout=10) as client:
            until(lambda: _is_ready(client), "Alertmanager to be ready")
            sent = client.post("/api/v2/alerts", json=[{"labels": labels} for labels in FIRING.values()])
            assert sent.status_code == httpx.codes.OK, sent.text
            until(lambda: len(_told(client)) == len(FIRING), "all alerts")
            # What inhibits learns of alerts after those who ask for them do.
            until(lambda: _quiet(_told(client)) >= QUIET, lambda: f"{QUIET} to be quiet, not {_quiet(_told(client))}")
            yield _told(client)
    finally:
        process.kill()
        process.wait()


def _told(client: httpx.Client) -> dict[str, dict[str, Any]]:
    """Return what Alertmanager says of each alert that it knows."""
    found = {frozenset(alert["labels"].items()): alert for alert in client.get("/api/v2/alerts").json()}
    known = {name: frozenset(labels.items()) for name, labels in FIRING.items()}
    return {name: found[labels] for name, labels in known.items() if labels in found}


def _quiet(told: dict[str, dict[str, Any]]) -> set[str]:
    return {name for name, alert in told.items() if alert["status"]["inhibitedBy"]}


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/-/ready").is_success
    except httpx.TransportError:
        return False


def test_symptoms_are_quiet_and_everything_else_is_told(firing: dict[str, dict[str, Any]]) -> None:
    """By whoever fires for the same service, pod, node, volume or certificate; of another, nothing is held back."""
    assert _quiet(firing) == QUIET


def test_each_reaches_whose_it_is(firing: dict[str, dict[str, Any]]) -> None:
    """A service's owner, who owns the namespace, the platform, and the watchdog's own receiver."""
    found = {name: [receiver["name"] for receiver in firing[name]["receivers"]] for name in RECEIVERS}

    assert found == {name: [receiver] for name, receiver in RECEIVERS.items()}
