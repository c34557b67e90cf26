"""Rules and targets for a Prometheus that an operator runs: no Prometheus of the stack's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from quarterdeck_contract.kubernetes import MANAGED_BY, SYSTEM_NAMESPACE
from quarterdeck_stacks.components.objects import MANAGER, OURS_ALONE
from quarterdeck_stacks.operator_objects import API_VERSION, Operated

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quarterdeck_stacks.components.namespaces import Namespaces


class OperatedPrometheus(pulumi.ComponentResource):
    """A PrometheusRule for each of *rules* (file name to text), a PodMonitor, and a ServiceMonitor."""

    def __init__(
        self,
        operated: Operated,
        *,
        rules: Mapping[str, str],
        namespaces: Namespaces,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("quarterdeck:operated:OperatedPrometheus", "operated", None, opts)
        self._labels = {MANAGED_BY: MANAGER, **operated.labels}
        self._opts = pulumi.ResourceOptions(parent=self, depends_on=namespaces[SYSTEM_NAMESPACE])
        for name, spec in operated.rules(rules).items():
            self._make("PrometheusRule", name, spec)
        self._make("PodMonitor", "quarterdeck-services", operated.pods())
        self._make("ServiceMonitor", "quarterdeck-monitoring", operated.services())
        self.register_outputs({})

    def _make(self, kind: str, name: str, spec: dict[str, Any]) -> None:
        CustomResource(
            f"{kind}-{name}",
            api_version=API_VERSION,
            kind=kind,
            metadata=ObjectMetaArgs(name=name, namespace=SYSTEM_NAMESPACE, labels=self._labels, annotations=OURS_ALONE),
            spec=spec,
            opts=self._opts,
        )
