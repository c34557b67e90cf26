"""Who describes a Deployment is read off a real API server's `managedFields`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from quarterdeck_scripts.adapters.kubernetes import connect
from quarterdeck_scripts.kube.client import APPLY_PATCH, JSON_PATCH, path
from quarterdeck_scripts.kube.ownership import managers_of, owners

if TYPE_CHECKING:
    from pathlib import Path

    from quarterdeck_scripts.kube.client import Json

pytestmark = pytest.mark.tools

HERE = path("Deployment", "default", "owned")
PULUMI = "pulumi-kubernetes-1f2e3d4c"


def deployment(image: str) -> Json:
    """Return a Deployment as a tool applies it."""
    labels = {"app": "owned"}
    container = {"name": "owned", "image": image, "env": [{"name": "A", "value": "1"}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "owned"},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def test_pulumi_describes_it_also_after_a_rollout_set_the_image(api_server: Path) -> None:
    """The image is the rollout's then; an autoscaler that scales it describes no pods."""
    cluster = connect(api_server)
    query = {"fieldManager": PULUMI}
    cluster.request("PATCH", HERE, query=query, body=deployment("a:v1"), content_type=APPLY_PATCH)
    try:
        image = [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "a:v2"}]
        promoted = {"fieldManager": "quarterdeck-rollout"}
        cluster.request("PATCH", HERE, query=promoted, body=image, content_type=JSON_PATCH)
        scaled = [{"op": "replace", "path": "/spec/replicas", "value": 3}]
        manager = {"fieldManager": "kube-controller-manager"}
        cluster.request("PATCH", f"{HERE}/scale", query=manager, body=scaled, content_type=JSON_PATCH)

        found = cluster.request("GET", HERE)

        assert managers_of(found) == (PULUMI, "quarterdeck-rollout")
        assert [(owner.tool.name, owner.sign) for owner in owners(found)] == [("Pulumi", f"field manager {PULUMI}")]
    finally:
        cluster.request("DELETE", HERE)
