"""The control plane's logs of a cluster on Azure, the audit log among them, kept in a workspace of Log Analytics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
from pulumi_azure_native import monitor, operationalinsights

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quarterdeck_stacks.settings.cloud import CloudSettings

CATEGORIES = ("kube-apiserver", "kube-audit-admin", "kube-controller-manager", "kube-scheduler", "guard")
"""`kube-audit-admin` is the audit log without what only reads, which is nine tenths of it; `guard` says who came in."""

_RETENTION = range(30, 731)
"""Days that a workspace can keep logs."""


class Logs(pulumi.ComponentResource):
    """Where a cluster's control plane writes to."""

    def __init__(
        self,
        name: str,
        cluster: pulumi.Input[str],
        group: pulumi.Input[str],
        cloud: CloudSettings,
        *,
        tags: Mapping[str, str],
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__("quarterdeck:azure_logs:Logs", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        workspace = operationalinsights.Workspace(
            name,
            workspace_name=name,
            resource_group_name=group,
            retention_in_days=min(max(cloud.audit_days, _RETENTION.start), _RETENTION.stop - 1),
            sku=operationalinsights.WorkspaceSkuArgs(name="PerGB2018"),
            tags=dict(tags),
            opts=child,
        )
        monitor.DiagnosticSetting(
            name,
            name=name,
            resource_uri=cluster,
            workspace_id=workspace.id,
            # Tables of their own, which can be kept and paid for apart.
            log_analytics_destination_type="Dedicated",
            logs=[monitor.DiagnosticsLogSettingsArgs(category=category, enabled=True) for category in CATEGORIES],
            opts=child,
        )
        self.register_outputs({"workspace": workspace.id})
