"""The objects that make an empty API server a cluster: nodes, and roles for the parts that are not Kubernetes'."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from quarterdeck_contract.kubernetes import DOMAIN, MANAGED_BY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quarterdeck_scripts.kube.client import Json

NODE_LABEL = f"{DOMAIN}/node"
NODE_LABEL_VALUE = "process"
"""On a node whose pods are processes of this machine. kwok manages these nodes and no others."""

KWOK_USER = "quarterdeck:kwok"
POD_RUNNER_USER = "quarterdeck:pod-runner"
KUBELET_CLIENT = "quarterdeck:kube-apiserver-kubelet-client"
"""As whom the API server asks the pod runner for logs."""

NODE_CAPACITY = {"cpu": "16", "memory": "64Gi", "ephemeral-storage": "100Gi", "pods": "110"}
"""What the scheduler may promise on each node. More than the machine may have: requests are made for
production, and here nobody enforces limits."""


def node_name(number: int) -> str:
    """Return the name of the *number*th node, from 1.

    >>> node_name(1)
    'local-1'
    """
    return f"local-{number}"


def node_address(prefix: str, number: int) -> str:
    """Return the address of the *number*th node, from 1; pods never have the third number 255.

    >>> node_address("127.77", 1)
    '127.77.255.1'
    """
    return f"{prefix}.255.{number}"


def node(number: int, address: str, kubelet_port: int) -> Json:
    """Return the *number*th Node. Its Ready condition comes from kwok."""
    name = node_name(number)
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                NODE_LABEL: NODE_LABEL_VALUE,
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": _ARCHITECTURES.get(platform.machine(), platform.machine()),
                "topology.kubernetes.io/region": "local",
                "topology.kubernetes.io/zone": name,
            },
        },
        "status": {
            "addresses": [
                {"type": "InternalIP", "address": address},
                {"type": "Hostname", "address": name},
            ],
            "capacity": NODE_CAPACITY,
            "allocatable": NODE_CAPACITY,
            "daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet_port}},
        },
    }


def roles() -> Iterator[Json]:
    """Yield the ClusterRoles of kwok and of the pod runner, and who has them."""
    read = ["get", "list", "watch"]
    events = _rule("", ["events"], ["create", "patch"])
    yield from _granted(
        KWOK_USER,
        [
            _rule("", ["nodes"], read),
            _rule("", ["nodes/status"], ["get", "patch", "update"]),
            _rule("", ["pods"], ["list", "watch"]),  # it insists on watching them; it may not touch them
            _rule("coordination.k8s.io", ["leases"], [*read, "create", "update", "patch"]),
            events,
        ],
    )
    yield from _granted(
        POD_RUNNER_USER,
        [
            _rule("", ["pods"], [*read, "delete"]),
            _rule("", ["pods/status"], ["patch"]),
            _rule("", ["configmaps", "secrets"], read),
            _rule("", ["serviceaccounts/token"], ["create"]),
            events,
        ],
    )


def _rule(group: str, resources: list[str], verbs: list[str]) -> Json:
    return {"apiGroups": [group], "resources": resources, "verbs": verbs}


def _granted(user: str, rules: list[Json]) -> Iterator[Json]:
    metadata = {"name": user, "labels": {MANAGED_BY: "quarterdeck"}}
    group = "rbac.authorization.k8s.io"
    yield {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": metadata, "rules": rules}
    yield {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": user},
        "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
    }


_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
"""The machine's word for its processor to Kubernetes' word."""
