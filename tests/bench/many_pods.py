"""`rollout status` of a service with 10,000 pods in a real API server: `python tests/bench/many_pods.py [--write]`.

The pods are of 6 KB each, as a cluster's are, and put into etcd directly: making them one by one would take minutes
and measure nothing. Each way of reading is a process of its own: wall-clock time from its start to its end, and the
most memory it held. The typed client does what its documentation shows: one list, then a count.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import ssl
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

sys.path.insert(0, str(Path(__file__).parent.parent.parent))  # a script finds what lies beside itself alone
from tests.programs import started

from quarterdeck_contract.errors import QuarterdeckError
from quarterdeck_scripts.adapters.kubernetes import connect
from quarterdeck_scripts.kube.client import path
from quarterdeck_scripts.local import control_plane as local
from quarterdeck_scripts.local.network import free_ports
from quarterdeck_scripts.local.state import Layout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from quarterdeck_scripts.kube.client import Json

PODS = 10_000
UNREADY = 20
"""Pods that crash: their reasons are told."""
BATCH = 100
"""Pods a transaction of etcd, which takes 128 operations."""
DEADLINE = 120.0
"""Seconds until a server that does not start is given up."""
RUNS = 3
"""Of each way; the median is told."""

CATALOGUE = f"""
version: 1
runbook_base_url: https://example.org/
services:
  - name: checkout
    namespace: shop
    owner: payments
    image: registry.example/checkout:v1
    replicas: {PODS}
    slos:
      - {{name: availability, kind: availability, objective: 99.5, window: 30d}}
    rollout: {{strategy: canary, canary_replicas: 1, max_wait: 5m, ready_within: 1m}}
"""

TYPED = """
from kubernetes import client, config
config.load_kube_config()
pods = client.CoreV1Api().list_namespaced_pod("shop", label_selector="app.kubernetes.io/name=checkout").items
print(sum(any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions) for pod in pods), "Ready")
"""

LABELS = {
    "app.kubernetes.io/name": "checkout",
    "app.kubernetes.io/version": "v1",
    "app.kubernetes.io/part-of": "shop",
    "quarterdeck.dev/track": "stable",
}


@contextmanager
def api_server(folder: Path, tool: Callable[[str], Path]) -> Iterator[tuple[Path, Callable[[Sequence[Json]], None]]]:
    """Run etcd and kube-apiserver; give the administrator's kubeconfig, and how pods are put into etcd."""
    layout = Layout(folder)
    layout.logs.mkdir(parents=True)
    ports = local.Ports(*free_ports(4))
    identities = local.issue_identities(layout, ports, ["127.0.0.1"])
    trust = ssl.create_default_context(cafile=str(identities.authority))
    trust.load_cert_chain(identities.etcd.certificate, identities.etcd.key)
    with ExitStack() as stack:
        etcd = local.etcd(str(tool(local.ETCD)), layout, ports, identities)
        stack.enter_context(started(layout.log(local.ETCD), etcd))
        server = local.api_server(str(tool(local.API_SERVER)), ports, identities)
        stack.enter_context(started(layout.log(local.API_SERVER), server))
        http = stack.enter_context(httpx.Client(base_url=f"https://127.0.0.1:{ports.etcd}", verify=trust, timeout=60))

        def put(pods: Sequence[Json]) -> None:
            writes = [{"requestPut": {"key": _key(pod), "value": _encoded(json.dumps(pod))}} for pod in pods]
            http.post("/v3/kv/txn", json={"success": writes}).raise_for_status()

        _wait(layout.kubeconfig)
        yield layout.kubeconfig, put


def _wait(kubeconfig: Path) -> None:
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            connect(kubeconfig).request("GET", path("Namespace", name="default"), timeout=5)
        except (OSError, QuarterdeckError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def _key(pod: Json) -> str:
    return _encoded(f"/registry/pods/shop/{pod['metadata']['name']}")


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def pod(number: int) -> Json:
    """Return a pod as a cluster has it: of 6 KB, most of which nobody here reads."""
    ready = number >= UNREADY
    state = {"running": {"startedAt": "2026-01-01T00:00:00Z"}} if ready else {"waiting": {"reason": "CrashLoopBackOff"}}
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "checkout-1", "uid": "1", "controller": True}
    conditions = [
        {"type": kind, "status": "True" if ready else "False", "lastTransitionTime": "2026-01-01T00:00:00Z"}
        for kind in ("Ready", "ContainersReady")
    ]
    scheduled = [
        {"type": kind, "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
        for kind in ("Initialized", "PodReadyToStartContainers", "PodScheduled")
    ]
    container = {
        "name": "checkout",
        "image": "registry.example/checkout:v1",
        "env": [{"name": f"SETTING_{n}", "value": f"value-{n}-{'x' * 40}"} for n in range(20)],
        "ports": [{"containerPort": 8080, "protocol": "TCP"}],
        "resources": {"limits": {"cpu": "1", "memory": "256Mi"}, "requests": {"cpu": "100m", "memory": "128Mi"}},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "imagePullPolicy": "IfNotPresent",
        "volumeMounts": [{"name": "token", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}],
    }
    fields = {f'k:{{"name":"SETTING_{n}"}}': {".": {}, "f:name": {}, "f:value": {}} for n in range(20)}
    managed = {"f:spec": {"f:containers": {'k:{"name":"checkout"}': {".": {}, "f:env": {".": {}, **fields}}}}}
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            "name": f"checkout-1-{number:05}",
            "namespace": "shop",
            "uid": str(uuid.UUID(int=number + 1)),
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": LABELS,
            "ownerReferences": [owner],
            "managedFields": [
                {"manager": "kube-controller-manager", "operation": "Update", "apiVersion": "v1", "fieldsV1": managed}
            ],
        },
        "spec": {
            "nodeName": f"node-{number % 100}",
            "containers": [container],
            "volumes": [{"name": "token", "projected": {"defaultMode": 420, "sources": []}}],
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 30,
            "dnsPolicy": "ClusterFirst",
            "securityContext": {},
            "schedulerName": "default-scheduler",
        },
        "status": {
            "phase": "Running",
            "conditions": [*conditions, *scheduled],
            "podIP": f"10.0.{number // 250}.{number % 250}",
            "podIPs": [{"ip": f"10.0.{number // 250}.{number % 250}"}],
            "hostIP": "10.1.0.1",
            "startTime": "2026-01-01T00:00:00Z",
            "qosClass": "Burstable",
            "containerStatuses": [
                {
                    "name": "checkout",
                    "image": "registry.example/checkout:v1",
                    "imageID": f"registry.example/checkout@sha256:{'0' * 64}",
                    "containerID": f"containerd://{'0' * 64}",
                    "ready": ready,
                    "started": ready,
                    "restartCount": 0 if ready else 7,
                    "state": state,
                }
            ],
        },
    }


def fill(kubeconfig: Path, put: Callable[[Sequence[Json]], None], pods: int) -> None:
    """Make a service with *pods* pods, and what its commands ask for besides."""
    cluster = connect(kubeconfig)
    for name in ("shop", "quarterdeck"):
        cluster.request("POST", path("Namespace"), body={"metadata": {"name": name}})
    facts = {
        "environment": "bench",
        "prometheus-url": "http://127.0.0.1:1",
        "alertmanager-url": "http://127.0.0.1:1",
        "catalogue": CATALOGUE,
        "scrape-interval": "15s",
    }
    body = {"metadata": {"name": "quarterdeck-environment"}, "data": facts}
    cluster.request("POST", path("ConfigMap", "quarterdeck"), body=body)
    selector = {name: LABELS[name] for name in ("app.kubernetes.io/name", "quarterdeck.dev/track")}
    containers = [{"name": "checkout", "image": "registry.example/checkout:v1"}]
    template = {"metadata": {"labels": LABELS}, "spec": {"containers": containers}}
    spec = {"replicas": pods, "selector": {"matchLabels": selector}, "template": template}
    deployment = {"metadata": {"name": "checkout", "labels": LABELS}, "spec": spec}
    cluster.request("POST", path("Deployment", "shop"), body=deployment)
    for first in range(0, pods, BATCH):
        put([pod(number) for number in range(first, min(first + BATCH, pods))])


def measured(command: Sequence[str], kubeconfig: Path) -> dict[str, float]:
    """Run *command*; return its seconds, by the clock and of a processor, and the megabytes it held at most."""
    began = time.monotonic()
    with tempfile.TemporaryFile() as output:
        child = subprocess.Popen(
            command,
            env={**os.environ, "KUBECONFIG": str(kubeconfig)},
            stdout=output,
            stderr=output,
            cwd=kubeconfig.parent,
        )
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - began
        output.seek(0)
        assert child.returncode == 0, output.read().decode()
    return {
        "seconds": round(seconds, 2),
        "processor": round(usage.ru_utime + usage.ru_stime, 2),
        "megabytes": round(usage.ru_maxrss * _KILOBYTE / 1e6),
    }


_KILOBYTE = 1024
"""Bytes in the unit of `ru_maxrss` on Linux."""


def measure(tool: Callable[[str], Path], folder: Path, pods: int) -> list[dict[str, Any]]:
    """Return a row for each way of reading."""
    with api_server(folder / "state", tool) as (kubeconfig, put):
        fill(kubeconfig, put, pods)
        context = json.loads(kubeconfig.read_text())["current-context"]
        quarterdeck = str(Path(sys.executable).parent / "quarterdeck")
        ways = {
            "quarterdeck rollout status": [
                *(quarterdeck, "rollout", "status", "checkout"),
                *("--env", "bench", "--context", context, "--output", "json"),
            ],
            "the official client, typed": [sys.executable, "-c", TYPED],
        }
        rows = []
        for way, command in ways.items():
            runs = sorted((measured(command, kubeconfig) for _ in range(RUNS)), key=lambda run: run["seconds"])
            rows.append({"way": way, "pods": pods, **runs[RUNS // 2]})
        return rows


def main() -> None:
    """Measure each way and print it."""
    import results  # noqa: PLC0415 -- found by scripts alone, beside themselves

    from quarterdeck_scripts.tools import install  # noqa: PLC0415 -- tests have their own

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write what was measured into docs/benchmarks.json")
    parser.add_argument("--pods", type=int, default=PODS, help="how many (default %(default)s)")
    options = parser.parse_args()
    tools = install([local.ETCD, local.API_SERVER])
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(tools.__getitem__, Path(folder), options.pods)
    for row in rows:
        print(json.dumps(row), flush=True)  # noqa: T201 -- a script's output
    if options.write:
        results.write("many-pods", rows, key=("way", "pods"))


if __name__ == "__main__":
    main()
