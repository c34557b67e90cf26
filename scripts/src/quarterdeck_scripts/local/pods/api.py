"""What the runner asks of the API server, for the event loop: each request runs in a thread."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from quarterdeck_scripts.kube.client import path

if TYPE_CHECKING:
    from quarterdeck_scripts.kube.client import Cluster, Json
    from quarterdeck_scripts.local.pods.payload import TokenRequest

STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json"
"""Kubernetes' own: conditions are merged by type, so those that others write stay."""
_THREADS = 4
"""Requests at a time. One pod's status takes 5 ms; more threads would only starve the two cores' other work."""


def now() -> str:
    """Return the present time as Kubernetes writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Api:
    """Requests of the pod runner."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="api")

    async def request(
        self, method: str, path: str, body: Json | None = None, content_type: str = "application/json"
    ) -> Json:
        """Send one request; see `Cluster.request`."""
        return await asyncio.get_running_loop().run_in_executor(
            self._executor,
            lambda: self.cluster.request(method, path, body=body, content_type=content_type),
        )

    async def write_status(self, pod: Json, status: Json) -> None:
        """Write the pod's status; refused with 409 when another pod has its name by now."""
        body = {"metadata": {"uid": pod["metadata"]["uid"]}, "status": status}
        await self.request("PATCH", f"{_path(pod)}/status", body, STRATEGIC_MERGE_PATCH)

    async def delete(self, pod: Json) -> None:
        """Take the pod out of the API, which is what ends its deletion."""
        preconditions = {"uid": pod["metadata"]["uid"]}
        await self.request("DELETE", _path(pod), {"gracePeriodSeconds": 0, "preconditions": preconditions})

    async def token(self, pod: Json, wanted: TokenRequest) -> tuple[str, float]:
        """Get a token of the pod's ServiceAccount, valid only while the pod exists; return it and its life in s."""
        metadata = pod["metadata"]
        account = pod["spec"].get("serviceAccountName", "default")
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {
                "audiences": [wanted.audience] if wanted.audience else [],
                "expirationSeconds": wanted.expiry,
                "boundObjectRef": {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "name": metadata["name"],
                    "uid": metadata["uid"],
                },
            },
        }
        collection = f"/api/v1/namespaces/{metadata['namespace']}/serviceaccounts"
        answer = await self.request("POST", f"{collection}/{account}/token", body)
        return str(answer["status"]["token"]), float(answer["spec"]["expirationSeconds"])


def _path(pod: Json) -> str:
    return path("Pod", pod["metadata"]["namespace"], pod["metadata"]["name"])
