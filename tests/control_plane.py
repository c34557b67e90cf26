"""A whole control plane with kwok's nodes, whose pods are Ready as soon as they are scheduled: nothing runs in them.

For tests of what controllers make of objects: quotas, roll-outs, claims, deletions. What runs in pods is tested in
the local environment, whose pods are processes.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from tests.programs import started, until

from quarterdeck_scripts.adapters.kubernetes import connect
from quarterdeck_scripts.adapters.readiness import api_server_ready
from quarterdeck_scripts.local import control_plane as local
from quarterdeck_scripts.local.network import LOOPBACK, free_ports
from quarterdeck_scripts.local.state import Layout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from quarterdeck_scripts.kube.client import Cluster, Json

_STAGES = """\
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: node-initialise}
spec:
  resourceRef: {apiGroup: v1, kind: Node}
  selector:
    matchExpressions:
      - {key: '.status.conditions.[] | select( .type == "Ready" ) | .status', operator: NotIn, values: ["True"]}
  next:
    statusTemplate: |
      {{ $now := Now }}
      conditions:
        - {type: Ready, status: "True", reason: KubeletReady, message: kwok's, lastHeartbeatTime: {{ $now | Quote }},
           lastTransitionTime: {{ $now | Quote }}}
      phase: Running
---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: pod-run}
spec:
  resourceRef: {apiGroup: v1, kind: Pod}
  selector:
    matchExpressions:
      - {key: .metadata.deletionTimestamp, operator: DoesNotExist}
      - {key: .status.podIP, operator: DoesNotExist}
  next:
    statusTemplate: |
      {{ $now := Now }}
      conditions:
        {{ range (list "Initialized" "ContainersReady" "Ready") }}
        - {type: {{ . }}, status: "True", lastTransitionTime: {{ $now | Quote }}}
        {{ end }}
      containerStatuses:
        {{ range .spec.containers }}
        - {name: {{ .name | Quote }}, image: {{ .image | Quote }}, imageID: "", ready: true, started: true,
           restartCount: 0, state: {running: {startedAt: {{ $now | Quote }}}}}
        {{ end }}
      hostIP: {{ NodeIPWith .spec.nodeName | Quote }}
      podIP: {{ PodIPWith .spec.nodeName (or .spec.hostNetwork false) .metadata.uid .metadata.name .metadata.namespace
        | Quote }}
      phase: Running
      startTime: {{ $now | Quote }}
---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: pod-delete}
spec:
  resourceRef: {apiGroup: v1, kind: Pod}
  selector:
    matchExpressions:
      - {key: .metadata.deletionTimestamp, operator: Exists}
  next:
    finalizers: {empty: true}
    delete: true
"""


@contextmanager
def running(folder: Path, tool: Callable[[str], Path], nodes: int = 3) -> Iterator[Path]:
    """Run the control plane with its files in *folder*; yield the administrator's kubeconfig."""
    folder.mkdir(parents=True, exist_ok=True)
    layout = Layout(folder)
    layout.logs.mkdir()
    ports = local.Ports(*free_ports(4))
    identities = local.issue_identities(layout, ports, ["127.0.0.1"])
    stages = folder / "stages.yaml"
    stages.write_text(_STAGES)
    program = {name: str(tool(name)) for name in local.PROGRAMS}
    with ExitStack() as stack:

        def start(name: str, command: list[str]) -> None:
            stack.enter_context(started(layout.log(name), command))

        start(local.ETCD, local.etcd(program[local.ETCD], layout, ports, identities))
        start(local.API_SERVER, local.api_server(program[local.API_SERVER], ports, identities))
        # As it says itself: what controllers need, and what is in every cluster, is made by then.
        ready = partial(api_server_ready, LOOPBACK, ports.api_server, identities.authority, identities.admin)
        until(ready, "the API server to be ready")
        cluster = connect(layout.kubeconfig)
        manager = local.controller_manager(program[local.CONTROLLER_MANAGER], identities)
        # Their addresses are no loopback addresses: endpoints can be written.
        start(local.CONTROLLER_MANAGER, [f for f in manager if not f.startswith("--controllers=")])
        start(local.SCHEDULER, local.scheduler(program[local.SCHEDULER], identities))
        start(
            local.KWOK,
            [
                program[local.KWOK],
                f"--kubeconfig={layout.kubeconfig}",
                "--manage-all-nodes=true",
                "--node-lease-duration-seconds=40",
                f"--config={stages}",
            ],
        )
        for each in _furniture(nodes):
            collection = {"Node": "/api/v1/nodes", "StorageClass": "/apis/storage.k8s.io/v1/storageclasses"}
            where = collection.get(each["kind"], "/api/v1/persistentvolumes")
            cluster.request("POST", where, body=each)
        until(lambda: all(map(_is_ready, cluster.request("GET", "/api/v1/nodes")["items"])), "every node to be Ready")
        until(lambda: "default" in _names(cluster, "/api/v1/namespaces/default/serviceaccounts"), "its account")
        yield layout.kubeconfig


def _furniture(nodes: int) -> Iterator[Json]:
    """Yield what clusters come with: nodes in two zones, a class of volumes, and volumes of it."""
    capacity = {"cpu": "64", "memory": "256Gi", "ephemeral-storage": "500Gi", "pods": "250"}
    for number in range(nodes):
        name = f"node-{number}"
        labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
        yield {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": {**labels, "topology.kubernetes.io/zone": f"zone-{number % 2}"}},
            "status": {"capacity": capacity, "allocatable": capacity},
        }
    yield {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "Immediate",
    }
    for number in range(100):
        yield {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": f"volume-{number}"},
            "spec": {
                "capacity": {"storage": "2Ti"},
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": "standard",
                "persistentVolumeReclaimPolicy": "Retain",
                "hostPath": {"path": f"/nowhere/{number}"},
            },
        }


def _is_ready(node: Json) -> bool:
    conditions = node.get("status", {}).get("conditions", [])
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    return ready and not node["spec"].get("taints")  # which are taken away a moment later: none is scheduled before


def _names(cluster: Cluster, collection: str) -> set[str]:
    return {each["metadata"]["name"] for each in cluster.request("GET", collection)["items"]}
