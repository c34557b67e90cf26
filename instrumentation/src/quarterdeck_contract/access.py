"""What the operator's commands may do in a cluster: the stack grants it, a rollout asks before it begins.

Per namespace, never cluster-wide; no verb on Secrets, no wildcard. What only some rollouts need has a *part*, so
that nobody is refused for want of a right that would not be used.
"""

from __future__ import annotations

from dataclasses import dataclass

from quarterdeck_contract.kubernetes import SYSTEM_NAMESPACE

ROLE = "quarterdeck-operator"
"""Name of the Roles, one in each namespace below."""

IDENTITY_NAMESPACE = "kube-system"
"""The namespace whose UID is the cluster's identity."""

ALWAYS = ""
"""Part of what every rollout needs."""
TELLING = "telling"
"""Part of what none needs: to be told of in the cluster. Without it the rollout goes on, and says who was not told."""

KEEPING = "keeping"
"""Part of what none needs: to keep evidence. Without it that lacks a thing, which is said, and the rollout goes on."""

FOLLOWING = "following"
"""Part of what none needs: to hear what changed of many pods. Without it all of them are listed at each look, and what
breaks among thousands is named later."""

SWITCHING = "switching"
"""Part of rollouts that switch a Service: blue-green."""

WEIGHING = "weighing"
"""Part of rollouts that weigh routes of the Gateway API."""

OTHER_KINDS = "other kinds"
"""Part of rollouts of StatefulSets and DaemonSets. A first pod of a DaemonSet is renewed by deleting it, and so is a
broken one of a StatefulSet, which its controller would wait for."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Verbs on one resource."""

    group: str
    """API group; empty is the core group."""
    resource: str
    """Plural, with its subresource: `deployments`, `pods/log`."""
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()
    """Only objects of these names; empty is any. `create` and `list` cannot be bound to names."""
    part: str = ALWAYS
    """Which rollouts need it."""


IN_SERVICES = (
    Rule("apps", "deployments", ("get", "create", "patch", "delete")),
    Rule("apps", "replicasets", ("list",)),
    Rule("", "pods", ("list",)),
    Rule("", "events", ("list",)),
    Rule("coordination.k8s.io", "leases", ("get", "create", "update")),
    Rule("autoscaling", "horizontalpodautoscalers", ("list",)),
    Rule("keda.sh", "scaledobjects", ("list",)),
    Rule("policy", "poddisruptionbudgets", ("list",)),
    Rule("", "services", ("get",)),
    Rule("", "configmaps", ("get", "list", "create", "patch", "delete")),
    Rule("", "services", ("patch",), part=SWITCHING),
    Rule("", "services", ("create", "delete"), part=WEIGHING),
    Rule("gateway.networking.k8s.io", "httproutes", ("get", "list", "patch"), part=WEIGHING),
    Rule("apps", "statefulsets", ("get", "patch"), part=OTHER_KINDS),
    Rule("apps", "daemonsets", ("get", "patch"), part=OTHER_KINDS),
    Rule("apps", "controllerrevisions", ("list",), part=OTHER_KINDS),
    Rule("", "pods", ("get", "delete"), part=OTHER_KINDS),
    Rule("", "events", ("create",), part=TELLING),
    Rule("", "pods/log", ("get",), part=KEEPING),
    Rule("", "pods", ("watch",), part=FOLLOWING),
)
"""In each namespace of services."""

IN_SYSTEM = (
    # The log's ConfigMaps are numbered, so they cannot be named.
    Rule("", "configmaps", ("get", "create", "patch")),
)
"""In SYSTEM_NAMESPACE: the audit log, and the environment's facts."""

IN_IDENTITY = (Rule("", "namespaces", ("get",), names=(IDENTITY_NAMESPACE,)),)
"""In IDENTITY_NAMESPACE: the cluster's UID. A namespace belongs to itself, so a Role in it can grant this."""


def rules(namespace: str) -> tuple[Rule, ...]:
    """Return what is granted in *namespace*."""
    return {SYSTEM_NAMESPACE: IN_SYSTEM, IDENTITY_NAMESPACE: IN_IDENTITY}.get(namespace, IN_SERVICES)
