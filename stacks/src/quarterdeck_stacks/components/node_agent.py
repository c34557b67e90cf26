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
from pulumi_kubernetes.core.v1 import PodSpecArgs, PodTemplateSpecArgs, ServiceAccount
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
    annotations: Mapping[str, str] | None = None,
    opts: pulumi.ResourceOptions,
) -> DaemonSet:
    """Make the DaemonSet *name* of *pod*, replaced on a tenth of the nodes at a time."""
    labels = {APP_NAME: name}
    return DaemonSet(
        name,
        metadata=metadata(name, NODE_NAMESPACE, app=name),
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


def node_account(name: str, parent: pulumi.Resource, namespaces: Namespaces) -> ServiceAccount:
    """Make the account of the agent *name*, whose token no pod gets by itself."""
    return ServiceAccount(
        name,
        metadata=metadata(name, NODE_NAMESPACE, app=name),
        automount_service_account_token=False,
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[namespaces[NODE_NAMESPACE]]),
    )
