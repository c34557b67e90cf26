"""What agents on every node have in common: their DaemonSet and their account, in the namespace that is theirs."""

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
    HostPathVolumeSourceArgs,
    PodSpecArgs,
    PodTemplateSpecArgs,
    ServiceAccount,
    VolumeArgs,
    VolumeMountArgs,
)
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs

from quarterdeck_contract.kubernetes import APP_NAME, APP_VERSION, MANAGED_BY, NODE_NAMESPACE
from quarterdeck_stacks.components.objects import MANAGER, metadata
from quarterdeck_stacks.images import version_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quarterdeck_stacks.components.namespaces import Namespaces


def on_every_node(
    name: str,
    image: str,
    pod: PodSpecArgs,
    *,
    namespace: str = NODE_NAMESPACE,
    annotations: Mapping[str, str] | None = None,
    opts: pulumi.ResourceOptions,
) -> DaemonSet:
    """Make the DaemonSet *name* of *pod*, replaced on a tenth of the nodes at a time."""
    labels = {APP_NAME: name}
    return DaemonSet(
        name,
        metadata=metadata(name, namespace, app=name),
        spec=DaemonSetSpecArgs(
            selector=LabelSelectorArgs(match_labels=labels),
            update_strategy=DaemonSetUpdateStrategyArgs(
                type="RollingUpdate", rolling_update=RollingUpdateDaemonSetArgs(max_unavailable="10%")
            ),
            template=PodTemplateSpecArgs(
                metadata=ObjectMetaArgs(
                    labels={**labels, APP_VERSION: version_of(image), MANAGED_BY: MANAGER}, annotations=annotations
                ),
                spec=pod,
            ),
        ),
        opts=opts,
    )


def shown(name: str, path: str, *, follows: bool) -> VolumeMountArgs:
    """Return the mount of a node's folder, the volume *name*, at *path*, read-only.

    Args:
        name: of the volume.
        path: in the container.
        follows: whether what the node mounts in it later is seen, too.
    """
    propagation = "HostToContainer" if follows else None
    return VolumeMountArgs(name=name, mount_path=path, read_only=True, mount_propagation=propagation)


def of_the_node(folders: Mapping[str, str]) -> list[VolumeArgs]:
    """Return a volume for each of *folders*: its name to the node's folder that it shows."""
    return [VolumeArgs(name=name, host_path=HostPathVolumeSourceArgs(path=path)) for name, path in folders.items()]


def node_account(name: str, parent: pulumi.Resource, namespaces: Namespaces) -> ServiceAccount:
    """Make the account of the agent *name*, whose token no pod gets by itself."""
    return ServiceAccount(
        name,
        metadata=metadata(name, NODE_NAMESPACE, app=name),
        automount_service_account_token=False,
        opts=pulumi.ResourceOptions(parent=parent, depends_on=namespaces[NODE_NAMESPACE]),
    )
