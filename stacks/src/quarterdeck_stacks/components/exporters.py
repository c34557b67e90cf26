"""Programs that tell of the cluster what it does not tell itself: objects' states, and answers to probes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
import yaml
from pulumi_kubernetes.core.v1 import ContainerPortArgs, ServiceAccount
from pulumi_kubernetes.rbac.v1 import ClusterRole, ClusterRoleBinding, PolicyRuleArgs, RoleRefArgs, SubjectArgs

from quarterdeck_contract.kubernetes import SYSTEM_NAMESPACE
from quarterdeck_stacks import images
from quarterdeck_stacks.components.objects import cluster_metadata, content_named, metadata
from quarterdeck_stacks.components.server import Mount, Server, ServerShape
from quarterdeck_stacks.targets import (
    BLACKBOX_EXPORTER,
    BLACKBOX_EXPORTER_PORT,
    KUBE_STATE_METRICS,
    KUBE_STATE_METRICS_OWN_PORT,
    KUBE_STATE_METRICS_PORT,
    MODULE,
)

if TYPE_CHECKING:
    from quarterdeck_stacks.components.namespaces import Namespaces

WATCHED = {
    "": (
        *("limitranges", "namespaces", "nodes", "persistentvolumeclaims", "persistentvolumes", "pods"),
        *("replicationcontrollers", "resourcequotas", "services"),
    ),
    "apps": ("daemonsets", "deployments", "replicasets", "statefulsets"),
    "autoscaling": ("horizontalpodautoscalers",),
    "batch": ("cronjobs", "jobs"),
    "policy": ("poddisruptionbudgets",),
}
"""API group to the resources that kube-state-metrics watches. Neither Secrets nor ConfigMaps, which it would by itself:
to list them is to read them."""

_TIMEOUT = "5s"
"""Of a probe: shorter than a scrape may take, so that a probe that fails says why."""


class KubeStateMetrics(pulumi.ComponentResource):
    """kube-state-metrics: the states of objects as metrics. One, because two would be counted twice."""

    def __init__(self, *, namespaces: Namespaces, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("quarterdeck:exporters:KubeStateMetrics", KUBE_STATE_METRICS, None, opts)
        account = _account(KUBE_STATE_METRICS, self, namespaces)
        name = f"quarterdeck-{KUBE_STATE_METRICS}"
        role = ClusterRole(
            name,
            metadata=cluster_metadata(name, app=KUBE_STATE_METRICS),
            rules=[
                PolicyRuleArgs(api_groups=[group], resources=list(resources), verbs=["list", "watch"])
                for group, resources in WATCHED.items()
            ],
            opts=pulumi.ResourceOptions(parent=self),
        )
        binding = ClusterRoleBinding(
            name,
            metadata=cluster_metadata(name, app=KUBE_STATE_METRICS),
            role_ref=RoleRefArgs(api_group="rbac.authorization.k8s.io", kind="ClusterRole", name=name),
            subjects=[SubjectArgs(kind="ServiceAccount", name=KUBE_STATE_METRICS, namespace=SYSTEM_NAMESPACE)],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[account, role]),
        )
        Server(
            ServerShape(
                name=KUBE_STATE_METRICS,
                image=images.KUBE_STATE_METRICS,
                port=KUBE_STATE_METRICS_PORT,
                arguments=(
                    f"--port={KUBE_STATE_METRICS_PORT}",
                    f"--telemetry-port={KUBE_STATE_METRICS_OWN_PORT}",
                    f"--resources={','.join(sorted(each for group in WATCHED.values() for each in group))}",
                ),
                ready="/healthz",
                healthy="/livez",
                config_maps=(),
                data="",
                memory=("128Mi", "512Mi"),
                speaks_to_api_server=True,
                address=None,
                alone=True,
                metrics_port=KUBE_STATE_METRICS_OWN_PORT,
                ports=(ContainerPortArgs(name="telemetry", container_port=KUBE_STATE_METRICS_OWN_PORT),),
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*namespaces[SYSTEM_NAMESPACE], binding]),
        )
        self.register_outputs({})


class BlackboxExporter(pulumi.ComponentResource):
    """The blackbox exporter: asks URLs as a client would, and tells how it went and how long certificates last."""

    def __init__(self, *, namespaces: Namespaces, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("quarterdeck:exporters:BlackboxExporter", BLACKBOX_EXPORTER, None, opts)
        account = _account(BLACKBOX_EXPORTER, self, namespaces)
        made, config = content_named(
            f"{BLACKBOX_EXPORTER}-config",
            SYSTEM_NAMESPACE,
            app=BLACKBOX_EXPORTER,
            data={"blackbox.yml": blackbox_config()},
            opts=pulumi.ResourceOptions(parent=self, depends_on=namespaces[SYSTEM_NAMESPACE]),
        )
        Server(
            ServerShape(
                name=BLACKBOX_EXPORTER,
                image=images.BLACKBOX_EXPORTER,
                port=BLACKBOX_EXPORTER_PORT,
                arguments=(
                    "--config.file=/etc/blackbox/blackbox.yml",
                    f"--web.listen-address=:{BLACKBOX_EXPORTER_PORT}",
                ),
                ready="/-/healthy",
                healthy="/-/healthy",
                config_maps=(Mount("config", (config,), "/etc/blackbox"),),
                data="",
                memory=("32Mi", "128Mi"),
                speaks_to_api_server=False,
                address=None,
                cpu="20m",
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*namespaces[SYSTEM_NAMESPACE], account, made]),
        )
        self.register_outputs({})


def blackbox_config() -> str:
    """Return blackbox.yml: one module, which follows redirects and checks certificates."""
    module = {"prober": "http", "timeout": _TIMEOUT, "http": {"preferred_ip_protocol": "ip4", "follow_redirects": True}}
    return yaml.safe_dump({"modules": {MODULE: module}}, sort_keys=False)


def _account(name: str, parent: pulumi.Resource, namespaces: Namespaces) -> ServiceAccount:
    return ServiceAccount(
        name,
        metadata=metadata(name, SYSTEM_NAMESPACE, app=name),
        automount_service_account_token=False,
        opts=pulumi.ResourceOptions(parent=parent, depends_on=namespaces[SYSTEM_NAMESPACE]),
    )
