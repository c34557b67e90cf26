"""Who may roll out services and run their runbooks: a Role in each namespace, bound to groups of users."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
from pulumi_kubernetes.rbac.v1 import PolicyRuleArgs, Role, RoleBinding, RoleRefArgs, SubjectArgs

from quarterdeck_contract.access import IDENTITY_NAMESPACE, ROLE, rules
from quarterdeck_stacks.components.objects import metadata

if TYPE_CHECKING:
    from collections.abc import Iterable

    from quarterdeck_contract.access import Rule
    from quarterdeck_stacks.components.namespaces import Namespaces

_APP = "quarterdeck"
_RBAC = "rbac.authorization.k8s.io"


class Operators(pulumi.ComponentResource):
    """What the commands need in an environment, and nothing else: no Secret, no wildcard, nothing cluster-wide.

    Args:
        where: the namespaces in which there is a Role; of the commands' own ones, one stack of a cluster has it.
        groups: whose members get the Roles; the Roles are there without any, for bindings of one's own.
        namespaces: those of the stack.
        opts: the cluster's provider.
    """

    def __init__(
        self,
        where: Iterable[str],
        groups: Iterable[str],
        *,
        namespaces: Namespaces,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("quarterdeck:operators:Operators", "operators", None, opts)
        subjects = [SubjectArgs(kind="Group", name=group, api_group=_RBAC) for group in groups]
        for namespace in sorted(set(where)):
            # That one is the cluster's own: it is there before the stack is.
            needed = [] if namespace == IDENTITY_NAMESPACE else namespaces[namespace]
            child = pulumi.ResourceOptions(parent=self, depends_on=needed)
            role = Role(
                f"{ROLE}-{namespace}",
                metadata=metadata(ROLE, namespace, app=_APP),
                rules=[_policy(rule) for rule in rules(namespace)],
                opts=child,
            )
            if subjects:
                RoleBinding(
                    f"{ROLE}-{namespace}",
                    metadata=metadata(ROLE, namespace, app=_APP),
                    role_ref=RoleRefArgs(api_group=_RBAC, kind="Role", name=ROLE),
                    subjects=subjects,
                    opts=pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(depends_on=[role])),
                )
        self.register_outputs({})


def _policy(rule: Rule) -> PolicyRuleArgs:
    names = list(rule.names) or None
    return PolicyRuleArgs(
        api_groups=[rule.group], resources=[rule.resource], verbs=list(rule.verbs), resource_names=names
    )
