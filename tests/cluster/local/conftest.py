"""A local environment of the tests' own, and programs for its pods to run."""

from __future__ import annotations

import json
import ssl
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from quarterdeck_scripts.adapters.kubernetes import connect
from quarterdeck_scripts.kube.client import ApiError, path
from quarterdeck_scripts.local import images, lifecycle
from quarterdeck_scripts.local.control_plane import PROGRAMS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from quarterdeck_scripts.kube.client import Cluster, Json

DEADLINE = 120.0
"""Seconds any one condition may take; most take one. Loaded machines are why it is so long."""

CRASH_BACKOFF = 0.5
"""Seconds: a twentieth of the kubelet's, so that a crash loop is seen in two seconds."""

SERVER = '''
"""Answer 200 at /, and 500 where the file given as the first argument exists; tell SIGTERM to the second."""
import http.server, os, pathlib, signal, subprocess, sys

broken, told = map(pathlib.Path, sys.argv[1:3])

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(500 if broken.exists() else 200 if self.path == "/" else 404)
        self.end_headers()
        self.wfile.write(os.environ["HOSTNAME"].encode())

def stop(*_):
    told.touch()
    raise SystemExit(0)

signal.signal(signal.SIGTERM, stop)
if "--worker" in sys.argv:
    subprocess.Popen(["sleep", "1000"], start_new_session="--stray" in sys.argv)
print("serving", flush=True)
http.server.HTTPServer((os.environ["POD_IP"], 8080), Handler).serve_forever()
'''

POD_IP = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}


@dataclass(frozen=True)
class Local:
    """A running environment as a test uses it."""

    state: Path
    cluster: Cluster
    tools: dict[str, Path]
    folder: Path
    """Where tests and their pods leave each other signs."""

    def create(self, item: Json, namespace: str = "default") -> Json:
        """Create an object."""
        return self.cluster.request("POST", _collection(item, namespace), body=item)

    def get(self, kind: str, name: str, namespace: str = "default") -> Json:
        """Return an object as it is now."""
        return self.cluster.request("GET", path(kind, namespace, name))

    def pods(self, app: str) -> list[Json]:
        """Return the pods of an app that are not being deleted."""
        found = self.cluster.request("GET", path("Pod", "default"), query={"labelSelector": f"app={app}"})["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def events(self, name: str, reason: str) -> list[Json]:
        """Return the events of a pod with a reason."""
        selector = f"involvedObject.name={name},reason={reason}"
        return self.cluster.request("GET", path("Event", "default"), query={"fieldSelector": selector})["items"]

    def until(self, what: str, look: Callable[[], Any], deadline: float = DEADLINE) -> Any:
        """Return the first true answer of *look*."""
        end = time.monotonic() + deadline
        while not (found := look()):
            lifecycle.require_running(self.state)
            assert time.monotonic() < end, f"{what}: not within {deadline} s\n{self.shown()}"
            time.sleep(0.05)
        return found

    def until_ready(self, app: str, count: int = 1) -> list[Json]:
        """Return the app's pods once *count* of them are Ready."""

        def look() -> list[Json] | None:
            ready = [pod for pod in self.pods(app) if condition(pod, "Ready") == "True"]
            return ready if len(ready) == count else None

        return self.until(f"{count} pods of {app} to be Ready", look)

    def until_gone(self, kind: str, name: str) -> None:
        """Return once the object does not exist."""

        def look() -> bool:
            try:
                self.get(kind, name)
            except ApiError as error:
                return error.status == 404
            return False

        self.until(f"{kind} {name} to be gone", look)

    def raw(self, target: str) -> tuple[int, str]:
        """Ask the API server as the administrator; return status and text."""
        pki = self.state / "pki"
        context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        answer = httpx.get(f"{self.cluster.server}{target}", verify=context, trust_env=False, timeout=DEADLINE)
        return answer.status_code, answer.text

    def shown(self) -> str:
        """Return what the pods are doing, for a failing assertion."""
        pods = self.cluster.request("GET", path("Pod", "default"))["items"]
        return "\n".join(f"{pod['metadata']['name']}: {json.dumps(pod['status'])}" for pod in pods)


def condition(item: Json, kind: str) -> str | None:
    """Return the status of a condition; None when there is none."""
    conditions = item.get("status", {}).get("conditions", [])
    return next((one["status"] for one in conditions if one["type"] == kind), None)


@pytest.fixture(scope="session")
def local_tools(tool: Callable[[str], Path]) -> dict[str, Path]:
    """Return what a control plane is made of."""
    return {name: tool(name) for name in PROGRAMS}


@pytest.fixture(scope="session")
def local(local_tools: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    """Run an environment for all tests that break none; end it afterwards."""
    folder = tmp_path_factory.mktemp("local")
    (folder / "server.py").write_text(SERVER)
    state = folder / ".quarterdeck" / "local"
    running = lifecycle.up(state, tools=local_tools, crash_backoff=CRASH_BACKOFF)
    try:
        python = [sys.executable, "-I", "-S"]
        images.add(state, "localhost/server:v1", {"config": {"Entrypoint": [*python, str(folder / "server.py")]}})
        images.add(state, "localhost/sh", {"config": {"Entrypoint": ["/bin/sh", "-c"]}})
        yield Local(state, connect(running.kubeconfig), local_tools, folder)
    finally:
        lifecycle.down(state)


@pytest.fixture
def server(local: Local, tmp_path: Path) -> Callable[..., Json]:
    """Return a function that describes a container running the server; its files are below `tmp_path`."""

    def describe(*arguments: str, **fields: Any) -> Json:
        probe = {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1}
        return {
            "name": "server",
            "image": "localhost/server:v1",
            "args": [str(tmp_path / "broken"), str(tmp_path / "told"), *arguments],
            "env": [POD_IP],
            "ports": [{"name": "http", "containerPort": 8080}],
            "readinessProbe": probe,
            **fields,
        }

    return describe


@pytest.fixture
def deployment() -> Callable[..., Json]:
    """Return a function that describes a Deployment of one container."""

    def describe(name: str, container: Json, *, replicas: int = 1, **pod: Any) -> Json:
        labels = {"app": name}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [container], **pod}}
        spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
        return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}

    return describe


@pytest.fixture
def pod() -> Callable[..., Json]:
    """Return a function that describes a Pod of one container."""

    def describe(name: str, container: Json, **spec: Any) -> Json:
        metadata = {"name": name, "labels": {"app": name}, "annotations": spec.pop("annotations", {})}
        grace = {"terminationGracePeriodSeconds": 5}
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": {**grace, "containers": [container], **spec},
        }

    return describe


_PLURALS = {"Job": "jobs", "PodDisruptionBudget": "poddisruptionbudgets", "Deployment": "deployments"}


def _collection(item: Json, namespace: str) -> str:
    version, kind = item["apiVersion"], item["kind"]
    prefix = "/api/v1" if version == "v1" else f"/apis/{version}"
    return f"{prefix}/namespaces/{namespace}/{_PLURALS.get(kind, kind.lower() + 's')}"
