"""Prometheus: configuration and rules named by content, roles no wider than what it discovers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
from pulumi_kubernetes.core.v1 import ServiceAccount
from pulumi_kubernetes.rbac.v1 import PolicyRuleArgs, Role, RoleBinding, RoleRefArgs, SubjectArgs

from quarterdeck_contract.kubernetes import SYSTEM_NAMESPACE
from quarterdeck_contract.prometheus import FEATURE_FLAGS
from quarterdeck_stacks.components.objects import content_named, metadata
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
        may_see = [
            self._may_see_pods(namespace, account) for namespace in sorted({*scraping.namespaces, SYSTEM_NAMESPACE})
        ]
        config, config_name = content_named(
            "prometheus-config",
            SYSTEM_NAMESPACE,
            app=NAME,
            data={"prometheus.yml": scraping.to_yaml()},
            opts=child,
        )
        rule_map, rules_name = content_named(
            "prometheus-rules", SYSTEM_NAMESPACE, app=NAME, data=dict(rules), opts=child
        )
        Server(
            ServerShape(
                name=NAME,
                image=IMAGE,
                port=PROMETHEUS_PORT,
                arguments=(
                    f"--config.file={CONFIG_DIRECTORY}/prometheus.yml",
                    f"--storage.tsdb.path={DATA_DIRECTORY}",
                    f"--web.listen-address=$(POD_IP):{PROMETHEUS_PORT}",
                    f"--web.external-url={url}",
                    f"--enable-feature={','.join(FEATURE_FLAGS)}",
                ),
                ready="/-/ready",
                healthy="/-/healthy",
                config_maps=(
                    Mount("config", config_name, CONFIG_DIRECTORY),
                    Mount("rules", rules_name, RULES_DIRECTORY),
                ),
                data=DATA_DIRECTORY,
                memory=("512Mi", "2Gi"),
                speaks_to_api_server=True,
                address=address,
            ),
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=[namespaces[SYSTEM_NAMESPACE], account, config, rule_map, *may_see]
            ),
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
