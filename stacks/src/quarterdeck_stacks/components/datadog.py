"""Datadog's agents: one on each node, and one for the cluster that asks the API server for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
import yaml
from pulumi_kubernetes.core.v1 import (
    EnvVarArgs,
    EnvVarSourceArgs,
    SecretKeySelectorArgs,
    ServiceAccount,
)
from pulumi_kubernetes.rbac.v1 import (
    ClusterRole,
    ClusterRoleBinding,
    PolicyRuleArgs,
    Role,
    RoleBinding,
    RoleRefArgs,
    SubjectArgs,
)

from quarterdeck_contract.kubernetes import NODE_NAMESPACE, SYSTEM_NAMESPACE
from quarterdeck_stacks import images
from quarterdeck_stacks.components.datadog_pod import CONFIG, OWN_TOKEN, USER, node_pod
from quarterdeck_stacks.components.exporters import WATCHED
from quarterdeck_stacks.components.node_agent import node_account, on_every_node
from quarterdeck_stacks.components.objects import (
    cluster_metadata,
    content_named,
    from_field,
    metadata,
)
from quarterdeck_stacks.components.server import Mount, Server, ServerShape
from quarterdeck_stacks.datadog import (
    AGENT,
    CLUSTER_AGENT,
    CLUSTER_AGENT_PORT,
    HEALTH_PORT,
)

if TYPE_CHECKING:
    from quarterdeck_stacks.components.namespaces import Namespaces
    from quarterdeck_stacks.settings.monitoring import DatadogSettings

_LEASE = "datadog-leader-election"
_CLUSTER_RULES = [
    # As Datadog's chart has them for what is switched on here; its rules on Secrets are for what is not.
    PolicyRuleArgs(
        api_groups=[""],
        resources=["services", "endpoints", "pods", "nodes", "namespaces", "events"],
        verbs=["get", "list", "watch"],
    ),
    PolicyRuleArgs(api_groups=["discovery.k8s.io"], resources=["endpointslices"], verbs=["get", "list", "watch"]),
    *(
        PolicyRuleArgs(api_groups=[group], resources=list(resources), verbs=["get", "list", "watch"])
        for group, resources in WATCHED.items()
    ),
    PolicyRuleArgs(non_resource_urls=["/version", "/healthz"], verbs=["get"]),
]
_LEADER_RULES = [
    PolicyRuleArgs(
        api_groups=["coordination.k8s.io"], resources=["leases"], resource_names=[_LEASE], verbs=["get", "update"]
    ),
    # Nothing that is made has a name yet, for whoever decides.
    PolicyRuleArgs(api_groups=["coordination.k8s.io"], resources=["leases"], verbs=["create"]),
]
_NODE_RULES = [
    # One by one, which the kubelet distinguishes since Kubernetes 1.33; `nodes/proxy` would allow to run commands.
    PolicyRuleArgs(
        api_groups=[""],
        resources=["nodes/metrics", "nodes/spec", "nodes/stats", "nodes/pods", "nodes/healthz", "nodes/configz"],
        verbs=["get"],
    ),
]


class Datadog(pulumi.ComponentResource):
    """The agents, with keys from a Secret that somebody makes in both namespaces: `api-key`, and `token`.

    The token is what agents show to the cluster agent: any text of 32 characters or more.

    Args:
        settings: Datadog's site, and the Secret's name.
        cluster: the tag `kube_cluster_name`.
        namespaces: the monitoring's and the node agents' are among them.
        opts: of the component.
    """

    def __init__(
        self,
        settings: DatadogSettings,
        *,
        cluster: str,
        namespaces: Namespaces,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("quarterdeck:datadog:Datadog", "datadog", None, opts)
        self._namespaces = namespaces
        self._common = (
            EnvVarArgs(name="DD_SITE", value=settings.site),
            EnvVarArgs(name="DD_CLUSTER_NAME", value=cluster),
            EnvVarArgs(name="DD_HEALTH_PORT", value=str(HEALTH_PORT)),
            EnvVarArgs(name="DD_LOG_FILE", value="/dev/null"),  # it writes to stdout, too
            EnvVarArgs(name="DD_LEADER_ELECTION", value="true"),
            _secret("DD_API_KEY", settings.secret, "api-key"),
            _secret("DD_CLUSTER_AGENT_AUTH_TOKEN", settings.secret, "token"),
        )
        self._for_the_cluster()
        self._for_each_node()
        self.register_outputs({})

    def _for_the_cluster(self) -> None:
        place = pulumi.ResourceOptions(parent=self, depends_on=self._namespaces[SYSTEM_NAMESPACE])
        account = ServiceAccount(
            CLUSTER_AGENT,
            metadata=metadata(CLUSTER_AGENT, SYSTEM_NAMESPACE, app=CLUSTER_AGENT),
            automount_service_account_token=False,
            opts=place,
        )
        made, checks = content_named(
            f"{CLUSTER_AGENT}-checks",
            SYSTEM_NAMESPACE,
            app=CLUSTER_AGENT,
            data={"kubernetes_state_core.yaml": _state_check()},
            opts=place,
        )
        variables = {
            "DD_LEADER_LEASE_NAME": _LEASE,
            "DD_LEADER_ELECTION_DEFAULT_RESOURCE": "lease",
            "DD_KUBE_RESOURCES_NAMESPACE": SYSTEM_NAMESPACE,
            "DD_CLUSTER_AGENT_KUBERNETES_SERVICE_NAME": CLUSTER_AGENT,
            "DD_CLUSTER_CHECKS_ENABLED": "true",
            # They need to read Secrets, to write webhooks, or to see every resource there is.
            "DD_ADMISSION_CONTROLLER_ENABLED": "false",
            "DD_EXTERNAL_METRICS_PROVIDER_ENABLED": "false",
            "DD_ORCHESTRATOR_EXPLORER_ENABLED": "false",
            "DD_COLLECT_KUBERNETES_EVENTS": "false",
            "DD_REMOTE_CONFIGURATION_ENABLED": "false",
            **OWN_TOKEN,
        }
        needs = [account, made, self._bound(CLUSTER_AGENT, SYSTEM_NAMESPACE, _CLUSTER_RULES), self._may_lead()]
        Server(
            ServerShape(
                name=CLUSTER_AGENT,
                image=images.DATADOG_CLUSTER_AGENT,
                port=CLUSTER_AGENT_PORT,
                arguments=(),
                ready="/ready",
                healthy="/live",
                config_maps=(Mount("checks", (checks,), f"{CONFIG}/conf.d/kubernetes_state_core.d"),),
                data="/opt/datadog-agent/run",
                memory=("256Mi", "512Mi"),
                speaks_to_api_server=True,
                address=None,
                is_scraped=False,
                speaks="https",
                probe_port=HEALTH_PORT,
                environment=(
                    *self._common,
                    from_field("DD_POD_NAME", "metadata.name"),
                    *(EnvVarArgs(name=name, value=value) for name, value in variables.items()),
                ),
                writes=(f"{CONFIG}/certificates", "/tmp", "/var/log/datadog"),  # noqa: S108 -- the pod's own volume
                user=USER,
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*self._namespaces[SYSTEM_NAMESPACE], *needs]),
        )

    def _for_each_node(self) -> None:
        account = node_account(AGENT, self, self._namespaces)
        bound = self._bound(AGENT, NODE_NAMESPACE, _NODE_RULES)
        on_every_node(
            AGENT,
            images.DATADOG_AGENT,
            node_pod(self._common),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*self._namespaces[NODE_NAMESPACE], account, bound]),
        )

    def _bound(self, app: str, namespace: str, rules: list[PolicyRuleArgs]) -> ClusterRoleBinding:
        name = f"quarterdeck-{app}"
        role = ClusterRole(
            name, metadata=cluster_metadata(name, app=app), rules=rules, opts=pulumi.ResourceOptions(parent=self)
        )
        return ClusterRoleBinding(
            name,
            metadata=cluster_metadata(name, app=app),
            role_ref=RoleRefArgs(api_group="rbac.authorization.k8s.io", kind="ClusterRole", name=name),
            subjects=[SubjectArgs(kind="ServiceAccount", name=app, namespace=namespace)],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[role]),
        )

    def _may_lead(self) -> RoleBinding:
        place = pulumi.ResourceOptions(parent=self, depends_on=self._namespaces[SYSTEM_NAMESPACE])
        about = metadata(CLUSTER_AGENT, SYSTEM_NAMESPACE, app=CLUSTER_AGENT)
        role = Role(CLUSTER_AGENT, metadata=about, rules=_LEADER_RULES, opts=place)
        return RoleBinding(
            CLUSTER_AGENT,
            metadata=about,
            role_ref=RoleRefArgs(api_group="rbac.authorization.k8s.io", kind="Role", name=CLUSTER_AGENT),
            subjects=[SubjectArgs(kind="ServiceAccount", name=CLUSTER_AGENT, namespace=SYSTEM_NAMESPACE)],
            opts=pulumi.ResourceOptions.merge(place, pulumi.ResourceOptions(depends_on=[role])),
        )


def _state_check() -> str:
    """Return the check that tells the states of objects, of the same resources as kube-state-metrics."""
    collectors = sorted(resource for resources in WATCHED.values() for resource in resources)
    return yaml.safe_dump({"init_config": None, "instances": [{"collectors": collectors, "telemetry": False}]})


def _secret(variable: str, secret: str, key: str) -> EnvVarArgs:
    reference = SecretKeySelectorArgs(name=secret, key=key)
    return EnvVarArgs(name=variable, value_from=EnvVarSourceArgs(secret_key_ref=reference))
