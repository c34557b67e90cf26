"""The ConfigMap `quarterdeck-environment`: what the operator's commands need to know about an environment."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pulumi
from pulumi_kubernetes.core.v1 import ConfigMap

from quarterdeck_contract.environment import configmap_of
from quarterdeck_contract.kubernetes import SYSTEM_NAMESPACE
from quarterdeck_stacks.components.objects import metadata

if TYPE_CHECKING:
    from quarterdeck_contract.environment import EnvironmentFacts
    from quarterdeck_stacks.components.namespaces import Namespaces


class Facts(pulumi.ComponentResource):
    """An environment's facts, in the cluster, so that they need no checkout and survive a lost laptop.

    Its name is fixed, unlike a content-named ConfigMap's: the commands look for it.

    Args:
        facts: what is told.
        uid: the cluster's, where it was asked.
        namespaces: with its own among them; None where another stack has made that.
        opts: of the component.
    """

    def __init__(
        self,
        facts: EnvironmentFacts,
        *,
        uid: pulumi.Output[str] | None = None,
        namespaces: Namespaces | None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("quarterdeck:facts:Facts", "facts", None, opts)
        name = configmap_of(facts.environment)
        ConfigMap(
            name,
            metadata=metadata(name, SYSTEM_NAMESPACE, app="quarterdeck"),
            data=facts.to_data() if uid is None else uid.apply(lambda uid: replace(facts, cluster_uid=uid).to_data()),
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=None if namespaces is None else namespaces[SYSTEM_NAMESPACE]
            ),
        )
        self.register_outputs({})
