"""Prometheus: configuration and rules named by content, roles no wider than what it discovers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pulumi
from pulumi_kubernetes.core.v1 import ContainerArgs, ServiceAccount
from pulumi_kubernetes.rbac.v1 import (
    ClusterRole,
    ClusterRoleBinding,
    PolicyRuleArgs,
    Role,
    RoleBinding,
    RoleRefArgs,
    SubjectArgs,
)

from quarterdeck_contract.kubernetes import SYSTEM_NAMESPACE
from quarterdeck_contract.prometheus import FEATURE_FLAGS
from quarterdeck_stacks.components.objects import POD_IP, cluster_metadata, content_named, from_field, metadata, packed
from quarterdeck_stacks.components.server import Mount, SecretMount, Server, ServerShape, Standing
from quarterdeck_stacks.scraping import (
    CONFIG_DIRECTORY,
    REMOTE_WRITE_DIRECTORY,
    REPLICA_VARIABLE,
    RULES_DIRECTORY,
    Scraping,
)
from quarterdeck_stacks.settings import PROMETHEUS_PORT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quarterdeck_stacks.components.namespaces import Namespaces

NAME = "prometheus"
DATA_DIRECTORY = "/prometheus"
GRACE_SECONDS = 300
"""Until a server that ends has written what it holds: what it has not, it reads back from its log when it starts."""

_SEES_PODS = PolicyRuleArgs(api_groups=[""], resources=["pods"], verbs=["get", "list", "watch"])
_SEES_NODES = [
    PolicyRuleArgs(api_groups=[""], resources=["nodes"], verbs=["get", "list", "watch"]),
    # The kubelet asks the API server whether who reads its page may read this.
    PolicyRuleArgs(api_groups=[""], resources=["nodes/metrics"], verbs=["get"]),
]


@dataclass(frozen=True, slots=True)
class Beside:
    """What keeps a Prometheus' samples for longer, beside it."""

    arguments: tuple[str, ...] = ()
    """Prometheus' own, that let it."""
    sidecars: tuple[ContainerArgs, ...] = ()
    """Containers, which may mount its data."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    """Of the service account: who the pods are to a cloud."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Of the pods."""


class Prometheus(pulumi.ComponentResource):
    """Prometheus, which finds pods in the namespaces of *scraping* and evaluates *rules* (file name to text).

    Args:
        scraping: what it is configured with.
        rules: file name to text, in as many ConfigMaps as they need.
        image: with its tag.
        url: where the operator's commands reach it.
        address: the loopback address it asks for; None where pods have a network of their own.
        standing: how many there are, and on what.
        memory: request and limit of each.
        beside: what runs beside each, and may read its data.
        namespaces: where pods are looked for.
        opts: of the component.
    """

    def __init__(
        self,
        scraping: Scraping,
        *,
        rules: Mapping[str, str],
        image: str,
        url: str,
        address: str | None,
        namespaces: Namespaces,
        standing: Standing | None = None,
        memory: tuple[str, str] = ("512Mi", "2Gi"),
        beside: Beside | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("quarterdeck:prometheus:Prometheus", NAME, None, opts)
        self._namespaces = namespaces
        beside = beside or Beside()
        child = self._in(SYSTEM_NAMESPACE)
        account = ServiceAccount(
            NAME,
            metadata=metadata(NAME, SYSTEM_NAMESPACE, app=NAME, annotations=beside.annotations),
            automount_service_account_token=False,
            opts=child,
        )
        seen = sorted({*scraping.namespaces, SYSTEM_NAMESPACE})
        needs: list[pulumi.Resource] = [account, *(self._may_see_pods(namespace, account) for namespace in seen)]
        if scraping.targets.kubelets:
            seeing = [*_SEES_NODES, *([_SEES_PODS] if scraping.changes else [])]
            needs.append(self._may_see_the_cluster(seeing, account))
        config, config_name = content_named(
            f"{NAME}-config", SYSTEM_NAMESPACE, app=NAME, data={"prometheus.yml": scraping.to_yaml()}, opts=child
        )
        made, rule_names = packed(f"{NAME}-rules", SYSTEM_NAMESPACE, app=NAME, data=rules, opts=child)
        Server(
            ServerShape(
                name=NAME,
                image=image,
                port=PROMETHEUS_PORT,
                arguments=(*_arguments(scraping, url, address), *beside.arguments),
                ready="/-/ready",
                healthy="/-/healthy",
                config_maps=(
                    Mount("config", (config_name,), CONFIG_DIRECTORY),
                    Mount("rules", rule_names, RULES_DIRECTORY),
                ),
                data=DATA_DIRECTORY,
                memory=memory,
                speaks_to_api_server=True,
                address=address,
                standing=standing or Standing(),
                environment=(from_field(REPLICA_VARIABLE, "metadata.name"),) if scraping.is_one_of_many else (),
                secrets=_tokens(scraping),
                sidecars=beside.sidecars,
                labels=beside.labels,
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*namespaces[SYSTEM_NAMESPACE], *needs, config, *made]),
        )
        self.register_outputs({"url": url})

    def _may_see_pods(self, namespace: str, account: ServiceAccount) -> RoleBinding:
        """Let Prometheus list and watch the pods of *namespace*, and nothing else."""
        role = Role(
            f"{NAME}-{namespace}",
            metadata=metadata(NAME, namespace, app=NAME),
            rules=[_SEES_PODS],
            opts=self._in(namespace),
        )
        return RoleBinding(
            f"{NAME}-{namespace}",
            metadata=metadata(NAME, namespace, app=NAME),
            role_ref=RoleRefArgs(api_group="rbac.authorization.k8s.io", kind="Role", name=NAME),
            subjects=[SubjectArgs(kind="ServiceAccount", name=NAME, namespace=SYSTEM_NAMESPACE)],
            opts=pulumi.ResourceOptions.merge(self._in(namespace), pulumi.ResourceOptions(depends_on=[account, role])),
        )

    def _may_see_the_cluster(self, rules: list[PolicyRuleArgs], account: ServiceAccount) -> ClusterRoleBinding:
        """Let Prometheus find the kubelets and read their metrics, and the pods of changes where there are any."""
        name = f"quarterdeck-{NAME}"
        role = ClusterRole(
            name,
            metadata=cluster_metadata(name, app=NAME),
            rules=rules,
            opts=pulumi.ResourceOptions(parent=self),
        )
        return ClusterRoleBinding(
            name,
            metadata=cluster_metadata(name, app=NAME),
            role_ref=RoleRefArgs(api_group="rbac.authorization.k8s.io", kind="ClusterRole", name=name),
            subjects=[SubjectArgs(kind="ServiceAccount", name=NAME, namespace=SYSTEM_NAMESPACE)],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[account, role]),
        )

    def _in(self, namespace: str) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, depends_on=self._namespaces[namespace])


def _arguments(scraping: Scraping, url: str, address: str | None) -> tuple[str, ...]:
    # On loopback the pods share one network. Elsewhere, listening on every address of the pod's own is what lets
    # `kubectl port-forward` in, which comes from inside it.
    listens = f"$({POD_IP}):{PROMETHEUS_PORT}" if address else f":{PROMETHEUS_PORT}"
    return (
        f"--config.file={CONFIG_DIRECTORY}/prometheus.yml",
        f"--storage.tsdb.path={DATA_DIRECTORY}",
        f"--web.listen-address={listens}",
        f"--web.external-url={url}",
        f"--enable-feature={','.join(FEATURE_FLAGS)}",
        *(("--web.enable-otlp-receiver",) if scraping.receives else ()),
    )


def _tokens(scraping: Scraping) -> tuple[SecretMount, ...]:
    return tuple(
        SecretMount(f"remote-write-{name}", f"{REMOTE_WRITE_DIRECTORY}/{name}")
        for name, url in sorted(scraping.remote_write.items())
        if url.startswith("https://")
    )
