"""Prometheus: configuration and rules named by content, roles no wider than what it discovers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
from pulumi_kubernetes.core.v1 import ServiceAccount
from pulumi_kubernetes.rbac.v1 import PolicyRuleArgs, Role, RoleBinding, RoleRefArgs, SubjectArgs

from quarterdeck_contract.kubernetes import SYSTEM_NAMESPACE
from quarterdeck_contract.prometheus import FEATURE_FLAGS
from quarterdeck_stacks.components.objects import POD_IP, content_named, metadata
from quarterdeck_stacks.components.server import Mount, Server, ServerShape
from quarterdeck_stacks.scraping import CONFIG_DIRECTORY, RULES_DIRECTORY, Scraping
from quarterdeck_stacks.settings import PROMETHEUS_PORT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quarterdeck_stacks.components.namespaces import Namespaces

NAME = "prometheus"
IMAGE = "quay.io/prometheus/prometheus:v3.16.0"
DATA_DIRECTORY = "/prometheus"


class Prometheus(pulumi.ComponentResource):
    """One Prometheus, which finds pods in the namespaces of *scraping* and evaluates *rules* (file name to text)."""

    def __init__(
        self,
        scraping: Scraping,
        *,
        rules: Mapping[str, str],
        url: str,
        address: str | None,
        namespaces: Namespaces,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("quarterdeck:prometheus:Prometheus", NAME, None, opts)
        self._namespaces = namespaces
        child = self._in(SYSTEM_NAMESPACE)
        account = ServiceAccount(
            NAME,
            metadata=metadata(NAME, SYSTEM_NAMESPACE, app=NAME),
            automount_service_account_token=False,
            opts=child,
        )
        seen = sorted({*scraping.namespaces, SYSTEM_NAMESPACE})
        needs: list[pulumi.Resource] = [account, *(self._may_see_pods(namespace, account) for namespace in seen)]
        mounts: list[Mount] = []
        for volume, files, path in (
            ("config", {"prometheus.yml": scraping.to_yaml()}, CONFIG_DIRECTORY),
            ("rules", rules, RULES_DIRECTORY),
        ):
            made, name = content_named(f"{NAME}-{volume}", SYSTEM_NAMESPACE, app=NAME, data=files, opts=child)
            needs.append(made)
            mounts.append(Mount(volume, name, path))
        Server(
            _shape(tuple(mounts), url, address),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[namespaces[SYSTEM_NAMESPACE], *needs]),
        )
        self.register_outputs({"url": url})

    def _may_see_pods(self, namespace: str, account: ServiceAccount) -> RoleBinding:
        """Let Prometheus list and watch the pods of *namespace*, and nothing else."""
        role = Role(
            f"{NAME}-{namespace}",
            metadata=metadata(NAME, namespace, app=NAME),
            rules=[PolicyRuleArgs(api_groups=[""], resources=["pods"], verbs=["get", "list", "watch"])],
            opts=self._in(namespace),
        )
        return RoleBinding(
            f"{NAME}-{namespace}",
            metadata=metadata(NAME, namespace, app=NAME),
            role_ref=RoleRefArgs(api_group="rbac.authorization.k8s.io", kind="Role", name=NAME),
            subjects=[SubjectArgs(kind="ServiceAccount", name=NAME, namespace=SYSTEM_NAMESPACE)],
            opts=pulumi.ResourceOptions.merge(self._in(namespace), pulumi.ResourceOptions(depends_on=[account, role])),
        )

    def _in(self, namespace: str) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, depends_on=[self._namespaces[namespace]])


def _shape(config_maps: tuple[Mount, ...], url: str, address: str | None) -> ServerShape:
    return ServerShape(
        name=NAME,
        image=IMAGE,
        port=PROMETHEUS_PORT,
        arguments=(
            f"--config.file={CONFIG_DIRECTORY}/prometheus.yml",
            f"--storage.tsdb.path={DATA_DIRECTORY}",
            f"--web.listen-address=$({POD_IP}):{PROMETHEUS_PORT}",
            f"--web.external-url={url}",
            f"--enable-feature={','.join(FEATURE_FLAGS)}",
        ),
        ready="/-/ready",
        healthy="/-/healthy",
        config_maps=config_maps,
        data=DATA_DIRECTORY,
        memory=("512Mi", "2Gi"),
        speaks_to_api_server=True,
        address=address,
    )
