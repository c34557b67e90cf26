"""node_exporter on every node: its disks, processors and memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
from pulumi_kubernetes.apps.v1 import (
    DaemonSet,
    DaemonSetSpecArgs,
    DaemonSetUpdateStrategyArgs,
    RollingUpdateDaemonSetArgs,
)
from pulumi_kubernetes.core.v1 import (
    ContainerArgs,
    ContainerPortArgs,
    HostPathVolumeSourceArgs,
    PodSpecArgs,
    PodTemplateSpecArgs,
    ResourceRequirementsArgs,
    ServiceAccount,
    TolerationArgs,
    VolumeArgs,
    VolumeMountArgs,
)
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs

from quarterdeck_contract.kubernetes import APP_NAME, APP_VERSION, MANAGED_BY, NODE_NAMESPACE
from quarterdeck_stacks import images
from quarterdeck_stacks.components.objects import (
    MANAGER,
    http_probe,
    metadata,
    restricted_container,
    restricted_pod,
)
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
        child = pulumi.ResourceOptions(parent=self, depends_on=[namespaces[NODE_NAMESPACE]])
        account = ServiceAccount(
            NODE_EXPORTER,
            metadata=metadata(NODE_EXPORTER, NODE_NAMESPACE, app=NODE_EXPORTER),
            automount_service_account_token=False,
            opts=child,
        )
        labels = {APP_NAME: NODE_EXPORTER}
        DaemonSet(
            NODE_EXPORTER,
            metadata=metadata(NODE_EXPORTER, NODE_NAMESPACE, app=NODE_EXPORTER),
            spec=DaemonSetSpecArgs(
                selector=LabelSelectorArgs(match_labels=labels),
                update_strategy=DaemonSetUpdateStrategyArgs(
                    type="RollingUpdate", rolling_update=RollingUpdateDaemonSetArgs(max_unavailable="10%")
                ),
                template=PodTemplateSpecArgs(
                    metadata=ObjectMetaArgs(
                        labels={
                            **labels,
                            APP_VERSION: images.version_of(images.NODE_EXPORTER),
                            MANAGED_BY: MANAGER,
                        }
                    ),
                    spec=_pod(),
                ),
            ),
            opts=pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(depends_on=[account])),
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
                volume_mounts=[
                    VolumeMountArgs(
                        name=name,
                        mount_path=f"/host/{name}",
                        read_only=True,
                        # So that a disk that is mounted later is seen.
                        mount_propagation="HostToContainer" if name == "root" else None,
                    )
                    for name in _HOST
                ],
            )
        ],
        volumes=[VolumeArgs(name=name, host_path=HostPathVolumeSourceArgs(path=path)) for name, path in _HOST.items()],
    )
