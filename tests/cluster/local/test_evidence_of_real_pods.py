"""What is kept of a canary that crashes is what its processes did: events, both runs' logs, configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from quarterdeck_scripts.kube.client import path
from quarterdeck_scripts.kube.logs import PodLogs
from quarterdeck_scripts.local.guard import GuardedCluster
from quarterdeck_scripts.ports import SystemClock
from quarterdeck_scripts.rollout.acting.scene import Limits, Witness

if TYPE_CHECKING:
    from tests.cluster.local.conftest import Local

pytestmark = pytest.mark.tools

NAME = "evident"
LABELS = {"app.kubernetes.io/name": NAME}
BUSY = Limits(seconds=200, call_seconds=60)
"""However late a busy machine answers."""
SCRIPT = r"printf 'caf\351 \377\n'; echo token=$API_TOKEN; exit 3"


def test_a_crashing_canary_is_kept_as_it_was(local: Local) -> None:
    """Through the API server, as from any cluster, and through the guard that the commands have here."""
    container = {
        "name": "app",
        "image": "localhost/sh",
        "args": [SCRIPT],
        "env": [{"name": "API_TOKEN", "value": "pl4nted-in-plain"}],
        "envFrom": [{"configMapRef": {"name": NAME}}],
    }
    template = {"metadata": {"labels": LABELS}, "spec": {"containers": [container]}}
    local.cluster.request(
        "POST", path("ConfigMap", "default"), body={"metadata": {"name": NAME}, "data": {"RETRIES": "0"}}
    )
    body: dict[str, Any] = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME, "labels": LABELS},
        "spec": {"replicas": 1, "selector": {"matchLabels": LABELS}, "template": template},
    }
    local.create(body)

    def crashed() -> str:
        pods = local.cluster.request(
            "GET", path("Pod", "default"), query={"labelSelector": f"{next(iter(LABELS))}={NAME}"}
        )
        found = [
            pod
            for pod in pods["items"]
            for one in pod["status"].get("containerStatuses", [])
            if one["restartCount"] > 1
        ]
        return found[0]["metadata"]["name"] if found else ""

    pod = local.until("the second restart", crashed)
    local.until("the event", lambda: local.events(pod, "BackOff"))

    for cluster in (local.cluster, GuardedCluster(local.cluster, local.state)):
        assert isinstance(cluster, PodLogs)
        witness = Witness(cluster, cluster, SystemClock(), "default", NAME, BUSY)
        scene = witness.look("localhost/before:v1", "localhost/sh")

        assert b"BackOff" in scene.files["events.txt"]
        assert b"restarts=" in scene.files["pods.txt"]
        assert scene.missing == ["changes.txt: no template of localhost/before:v1 is left"]
        previous = scene.files[f"logs/{pod}.app.previous.log"]
        assert b"caf\xe9 \xff\n" in previous
        assert b"token=(not shown)" in previous
        assert b'"RETRIES": "0"' in scene.files["config-maps.json"]
        assert b"pl4nted-in-plain" not in b"".join(scene.files.values())
        assert scene.missing == ["changes.txt: no template of localhost/before:v1 is left"]
