"""How much the services of one namespace may ask for together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
from pulumi_kubernetes.core.v1 import ResourceQuota, ResourceQuotaSpecArgs

from quarterdeck_stacks.components.objects import metadata

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quarterdeck_stacks.components.namespaces import Namespaces

NAME = "requests"


class Quota(pulumi.ComponentResource):
    """What pods of *namespace* may request in sum: a runaway autoscaler or a forgotten change stops there."""

    def __init__(
        self, namespace: str, hard: Mapping[str, str], *, namespaces: Namespaces, opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__("quarterdeck:quota:Quota", namespace, None, opts)
        ResourceQuota(
            f"{NAME}-{namespace}",
            metadata=metadata(NAME, namespace, app="quarterdeck"),
            spec=ResourceQuotaSpecArgs(hard=dict(hard)),
            opts=pulumi.ResourceOptions(parent=self, depends_on=namespaces[namespace]),
        )
        self.register_outputs({})
