"""Namespaces, with the PodSecurity level `restricted` enforced in each but the node agents' own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
from pulumi_kubernetes.core.v1 import Namespace, NamespacePatch
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs, ObjectMetaPatchArgs

from quarterdeck_contract.kubernetes import MANAGED_BY, NODE_NAMESPACE, SYSTEM_NAMESPACE
from quarterdeck_stacks.components.objects import MANAGER, OURS_ALONE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_LEVELS = {NODE_NAMESPACE: "privileged"}
"""Where the level is not `restricted`: its agents mount folders of the node, which `baseline` refuses, too. What else
`restricted` asks for, they keep."""


class Namespaces(pulumi.ComponentResource):
    """The namespaces that an environment's objects are in; each object depends on its own.

    With *protect*, Pulumi refuses to delete the monitoring's: its volumes would go with it. *marks* are further labels.
    """

    def __init__(
        self,
        names: Iterable[str],
        *,
        protect: bool = False,
        marks: Mapping[str, str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("quarterdeck:namespaces:Namespaces", "namespaces", None, opts)
        self._marks = dict(marks or {})
        self._protect = protect
        self.names = sorted(set(names))
        self._made = {name: [self._make(name)] for name in self.names}
        self.register_outputs({"names": self.names})

    def __getitem__(self, name: str) -> list[pulumi.Resource]:
        """Return what an object in the namespace *name* depends on."""
        return [*self._made[name]]

    def guard(self, name: str, policies: Iterable[pulumi.Resource]) -> None:
        """Have what is registered in the namespace *name* from now on wait for *policies*: no pod is ever without."""
        self._made[name] += policies

    def _make(self, name: str) -> pulumi.Resource:
        opts = pulumi.ResourceOptions(parent=self, protect=self._protect and name == SYSTEM_NAMESPACE)
        level = _labels(_LEVELS.get(name, "restricted"))
        if name == "default":
            # Every cluster has it: the labels are ours to add, the namespace is not ours to make or to delete.
            return NamespacePatch(name, metadata=ObjectMetaPatchArgs(name=name, labels=level), opts=opts)
        labels = {**level, MANAGED_BY: MANAGER, **self._marks}
        return Namespace(name, metadata=ObjectMetaArgs(name=name, labels=labels, annotations=OURS_ALONE), opts=opts)


def _labels(level: str) -> dict[str, str]:
    return {
        **{f"pod-security.kubernetes.io/{mode}": level for mode in ("enforce", "audit", "warn")},
        # The rules of the cluster's own version: a pinned one would be forgotten, and hide what a new one refuses.
        "pod-security.kubernetes.io/enforce-version": "latest",
    }
