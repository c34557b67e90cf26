"""Pods and containers as the API server describes them, for the pure parts of the pod runner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from quarterdeck_scripts.kube.client import Json


class Objects:
    """ConfigMaps and Secrets, by kind, namespace and name."""

    def __init__(self, *objects: Json) -> None:
        self._objects = {
            (item["kind"], item["metadata"]["namespace"], item["metadata"]["name"]): item for item in objects
        }

    def get(self, kind: str, namespace: str, name: str) -> Json | None:
        """Return the object; None when there is none."""
        return self._objects.get((kind, namespace, name))


@pytest.fixture
def objects() -> type[Objects]:
    """Return what makes a lookup of given objects."""
    return Objects


@pytest.fixture
def pod() -> Callable[..., Json]:
    """Return a function that describes a pod; its arguments are fields of the spec."""

    def describe(*containers: Json, **spec: Any) -> Json:
        return {
            "metadata": {
                "name": "checkout-1",
                "namespace": "shop",
                "uid": "0b5f7f8e-0000-4000-8000-000000000000",
                "generation": 3,
                "labels": {"app": "checkout", "tier": "one"},
                "annotations": {"note": 'a "quoted" word'},
            },
            "spec": {
                "nodeName": "local-1",
                "serviceAccountName": "checkout",
                "restartPolicy": "Always",
                "containers": [*containers] or [{"name": "main", "image": "localhost/checkout:v1"}],
                **spec,
            },
            "status": {"phase": "Pending", "qosClass": "BestEffort"},
        }

    return describe
