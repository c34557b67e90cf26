"""node_exporter on every node: its disks, processors and memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
from pulumi_kubernetes.core.v1 import (
    ContainerArgs,
    ContainerPortArgs,
    PodSpecArgs,
    ResourceRequirementsArgs,
    TolerationArgs,
)

from quarterdeck_contract.kubernetes import NODE_NAMESPACE
from quarterdeck_stacks import images
from quarterdeck_stacks.components.node_agent import node_account, of_the_node, on_every_node, shown
from quarterdeck_stacks.components.objects import http_probe, restricted_container, restricted_pod
from quarterdeck_stacks.targets import NODE_EXPORTER, NODE_EXPORTER_PORT

if TYPE_CHECKING:
    from quarterdeck_stacks.components.namespaces import Namespaces

_USER = 65534
_OF_A_NETWORK = ("arp", "conntrack", "ipvs", "netclass", "netdev", "netstat", "sockstat", "softnet", "udp_queues")
"""Collectors that would tell of the pod's own network. Whoever wants the node's runs this on the node's network, where
no policy holds; what pods send and receive, cAdvisor tells."""
_NOT_DISKS = r"^/(dev|proc|run|sys|var/lib/(containerd|docker|kubelet))($|/)"
"""Mounts that are no disk of the node, or a pod's own."""
_HOST = {"proc": "/proc", "sys": "/sys", "root": "/"}
"""Volume to the node's folder that it shows, below /host."""


class NodeExporter(pulumi.ComponentResource):
    """node_exporter, without the node's network or processes: the folders are all that it needs, and read-only."""

    def __init__(self, *, namespaces: Namespaces, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("quarterdeck:node_exporter:NodeExporter", NODE_EXPORTER, None, opts)
        account = node_account(NODE_EXPORTER, self, namespaces)
        on_every_node(
            NODE_EXPORTER,
            images.NODE_EXPORTER,
            _pod(),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*namespaces[NODE_NAMESPACE], account]),
        )
        self.register_outputs({})


def _pod() -> PodSpecArgs:
    return PodSpecArgs(
        service_account_name=NODE_EXPORTER,
        automount_service_account_token=False,
        enable_service_links=False,
        security_context=restricted_pod(_USER),
        # A node that nothing else may run on is still a node whose disk fills.
        tolerations=[TolerationArgs(operator="Exists")],
        containers=[
            ContainerArgs(
                name=NODE_EXPORTER,
                image=images.NODE_EXPORTER,
                args=[
                    f"--web.listen-address=:{NODE_EXPORTER_PORT}",
                    "--path.procfs=/host/proc",
                    "--path.sysfs=/host/sys",
                    "--path.rootfs=/host/root",
                    # Where disks have their properties, which it otherwise looks for in the pod.
                    "--path.udev.data=/host/root/run/udev/data",
                    f"--collector.filesystem.mount-points-exclude={_NOT_DISKS}",
                    *(f"--no-collector.{name}" for name in _OF_A_NETWORK),
                ],
                ports=[ContainerPortArgs(name="http", container_port=NODE_EXPORTER_PORT)],
                readiness_probe=http_probe("/", NODE_EXPORTER_PORT, period=10, failures=3),
                liveness_probe=http_probe("/", NODE_EXPORTER_PORT, period=10, failures=6),
                resources=ResourceRequirementsArgs(
                    requests={"cpu": "50m", "memory": "32Mi"}, limits={"memory": "128Mi"}
                ),
                security_context=restricted_container(),
                # So that a disk that is mounted later is seen.
                volume_mounts=[shown(name, f"/host/{name}", follows=name == "root") for name in _HOST],
            )
        ],
        volumes=of_the_node(_HOST),
    )
