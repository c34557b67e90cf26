"""metrics-server: what autoscalers and `kubectl top` ask, where the cloud has not its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
from pulumi_kubernetes.apiregistration.v1 import APIService, APIServiceSpecArgs, ServiceReferenceArgs
from pulumi_kubernetes.core.v1 import ServiceAccount
from pulumi_kubernetes.rbac.v1 import (
    ClusterRole,
    ClusterRoleBinding,
    PolicyRuleArgs,
    RoleBinding,
    RoleRefArgs,
    SubjectArgs,
)

from quarterdeck_contract.kubernetes import SYSTEM_NAMESPACE
from quarterdeck_stacks import images
from quarterdeck_stacks.components.objects import cluster_metadata, metadata
from quarterdeck_stacks.components.server import Server, ServerShape, Standing
from quarterdeck_stacks.watch import METRICS_SERVER_PORT

if TYPE_CHECKING:
    from quarterdeck_stacks.components.namespaces import Namespaces

NAME = "metrics-server"
_USER = 1000
_GROUP, _VERSION = "metrics.k8s.io", "v1beta1"
_READS = [
    PolicyRuleArgs(api_groups=[""], resources=["nodes/metrics"], verbs=["get"]),
    PolicyRuleArgs(api_groups=[""], resources=["pods", "nodes"], verbs=["get", "list", "watch"]),
]
_OFFERED = [PolicyRuleArgs(api_groups=[_GROUP], resources=["pods", "nodes"], verbs=["get", "list", "watch"])]


class MetricsServer(pulumi.ComponentResource):
    """metrics-server, and the API that it adds to the cluster.

    Args:
        replicas: how many answer.
        verify_kubelets: whether a kubelet's certificate is checked against the cluster's authority.
        namespaces: its own is among them.
        opts: of the component.
    """

    def __init__(
        self,
        replicas: int,
        *,
        verify_kubelets: bool,
        namespaces: Namespaces,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("quarterdeck:metrics_server:MetricsServer", NAME, None, opts)
        place = pulumi.ResourceOptions(parent=self, depends_on=namespaces[SYSTEM_NAMESPACE])
        account = ServiceAccount(
            NAME,
            metadata=metadata(NAME, SYSTEM_NAMESPACE, app=NAME),
            automount_service_account_token=False,
            opts=place,
        )
        bindings = self._roles(account)
        server = Server(
            ServerShape(
                name=NAME,
                image=images.METRICS_SERVER,
                port=METRICS_SERVER_PORT,
                arguments=(
                    "--cert-dir=/tmp",
                    f"--secure-port={METRICS_SERVER_PORT}",
                    "--kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname",
                    "--kubelet-use-node-status-port",
                    "--metric-resolution=15s",
                    *(() if verify_kubelets else ("--kubelet-insecure-tls",)),
                ),
                ready="/readyz",
                healthy="/livez",
                config_maps=(),
                data="",
                memory=("200Mi", "400Mi"),
                speaks_to_api_server=True,
                address=None,
                is_scraped=False,
                scheme="HTTPS",
                speaks="https",
                standing=Standing(replicas=replicas),
                writes=("/tmp",),  # noqa: S108 -- the pod's own volume
                user=_USER,
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*namespaces[SYSTEM_NAMESPACE], *bindings]),
        )
        APIService(
            NAME,
            metadata=cluster_metadata(f"{_VERSION}.{_GROUP}", app=NAME),
            spec=APIServiceSpecArgs(
                group=_GROUP,
                version=_VERSION,
                group_priority_minimum=100,
                version_priority=100,
                # It makes its certificate itself, anew with each pod.
                insecure_skip_tls_verify=True,
                service=ServiceReferenceArgs(name=NAME, namespace=SYSTEM_NAMESPACE, port=METRICS_SERVER_PORT),
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[server]),
        )
        self.register_outputs({})

    def _roles(self, account: ServiceAccount) -> list[pulumi.Resource]:
        """Let it read kubelets and ask who asks it; let whoever may view a cluster view what it offers."""
        own, offered = f"quarterdeck-{NAME}", f"quarterdeck-{NAME}-reader"
        child = pulumi.ResourceOptions(parent=self)
        role = ClusterRole(own, metadata=cluster_metadata(own, app=NAME), rules=_READS, opts=child)
        # Whoever has one of these roles gets this one with it.
        aggregated = {f"rbac.authorization.k8s.io/aggregate-to-{each}": "true" for each in ("view", "edit", "admin")}
        reader = cluster_metadata(offered, app=NAME, labels=aggregated)
        ClusterRole(offered, metadata=reader, rules=_OFFERED, opts=child)
        subject = SubjectArgs(kind="ServiceAccount", name=NAME, namespace=SYSTEM_NAMESPACE)
        after = pulumi.ResourceOptions(parent=self, depends_on=[account, role])
        return [
            *(
                ClusterRoleBinding(
                    name,
                    metadata=cluster_metadata(name, app=NAME),
                    role_ref=RoleRefArgs(api_group="rbac.authorization.k8s.io", kind="ClusterRole", name=bound),
                    subjects=[subject],
                    opts=after,
                )
                for name, bound in ((own, own), (f"{own}-auth-delegator", "system:auth-delegator"))
            ),
            RoleBinding(
                f"{own}-auth-reader",
                # The cluster keeps there by which authority it knows who asks.
                metadata=metadata(f"{own}-auth-reader", "kube-system", app=NAME),
                role_ref=RoleRefArgs(
                    api_group="rbac.authorization.k8s.io",
                    kind="Role",
                    name="extension-apiserver-authentication-reader",
                ),
                subjects=[subject],
                opts=after,
            ),
        ]
