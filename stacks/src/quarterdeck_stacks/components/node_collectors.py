"""The collectors of each node: the agent that services send to, and the reader of the containers' log files.

They are apart, because one takes what every pod sends and has no right to anything of the node's, and the other reads
the node's files and takes nothing from anybody.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pulumi
from pulumi_kubernetes.core.v1 import (
    ConfigMapVolumeSourceArgs,
    ContainerArgs,
    ContainerPortArgs,
    EnvVarArgs,
    HostPathVolumeSourceArgs,
    PodSecurityContextArgs,
    PodSpecArgs,
    ResourceRequirementsArgs,
    SeccompProfileArgs,
    Service,
    ServicePortArgs,
    ServiceSpecArgs,
    TolerationArgs,
    VolumeArgs,
    VolumeMountArgs,
)
from pulumi_kubernetes.rbac.v1 import ClusterRole, ClusterRoleBinding, PolicyRuleArgs, RoleRefArgs, SubjectArgs

from quarterdeck_contract.kubernetes import (
    APP_NAME,
    NODE_NAMESPACE,
    SCRAPE_PORT,
    SYSTEM_NAMESPACE,
)
from quarterdeck_stacks import images
from quarterdeck_stacks.components.gateway import CONFIG_DIRECTORY, USER
from quarterdeck_stacks.components.identity import account
from quarterdeck_stacks.components.node_agent import on_every_node
from quarterdeck_stacks.components.objects import (
    POD_IP,
    cluster_metadata,
    content_named,
    from_field,
    http_probe,
    metadata,
    restricted_container,
    restricted_pod,
    scratch,
)
from quarterdeck_stacks.telemetry.agent import NODE
from quarterdeck_stacks.telemetry.collector import QUEUE_DIRECTORY, go_memory_limit
from quarterdeck_stacks.telemetry.log_reader import LOGS_DIRECTORY
from quarterdeck_stacks.telemetry.places import (
    AGENT,
    COLLECTOR_HEALTH_PORT,
    COLLECTOR_METRICS_PORT,
    LOG_READER,
    OTLP_GRPC_PORT,
    OTLP_HTTP_PORT,
)
from quarterdeck_stacks.telemetry.topology import AGENT_MEMORY

if TYPE_CHECKING:
    from pulumi_kubernetes.apps.v1 import DaemonSet

    from quarterdeck_stacks.components.namespaces import Namespaces
    from quarterdeck_stacks.telemetry.agent import Agent as AgentConfiguration
    from quarterdeck_stacks.telemetry.log_reader import LogReader as LogReaderConfiguration

_CONFIG, _READ, _WRITTEN = "config", "node-logs", "queue"
"""Names of volumes."""
_PORTS = {"grpc": OTLP_GRPC_PORT, "http": OTLP_HTTP_PORT}


@dataclass(frozen=True, slots=True)
class _Kind:
    """What one collector of each node is."""

    name: str
    namespace: str
    configuration: str
    memory: int
    """Bytes."""
    security: PodSecurityContextArgs
    ports: dict[str, int] = field(default_factory=dict)
    environment: tuple[EnvVarArgs, ...] = ()
    reads: str = ""
    """The node's folder that it reads, at the same path; empty is none."""
    writes: str = ""
    """Where it writes what goes with the pod; empty is nowhere."""
    speaks_to_api_server: bool = False


class Agent(pulumi.ComponentResource):
    """The agent: one on each node, found by services as one Service that leads to their own node's."""

    def __init__(
        self,
        configuration: AgentConfiguration,
        *,
        namespaces: Namespaces,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("quarterdeck:node_collectors:Agent", AGENT, None, opts)
        kind = _Kind(
            name=AGENT,
            namespace=SYSTEM_NAMESPACE,
            configuration=configuration.to_yaml(),
            memory=configuration.memory,
            security=restricted_pod(USER),
            ports=_PORTS,
            environment=(from_field(NODE, "spec.nodeName"),),
            speaks_to_api_server=True,
        )
        _on_every_node(self, kind, namespaces, [self._may_see_pods(namespaces)])
        Service(
            AGENT,
            metadata=metadata(AGENT, SYSTEM_NAMESPACE, app=AGENT),
            spec=ServiceSpecArgs(
                selector={APP_NAME: AGENT},
                # The agent knows a pod by the address it comes from, and watches those of its own node alone.
                internal_traffic_policy="Local",
                ports=[ServicePortArgs(name=name, port=port, target_port=port) for name, port in _PORTS.items()],
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=namespaces[SYSTEM_NAMESPACE]),
        )
        self.register_outputs({})

    def _may_see_pods(self, namespaces: Namespaces) -> ClusterRoleBinding:
        """Let the agents list and watch pods, by which they know whose telemetry it is; and nothing else."""
        name = f"quarterdeck-{AGENT}"
        child = pulumi.ResourceOptions(parent=self, depends_on=namespaces[SYSTEM_NAMESPACE])
        role = ClusterRole(
            name,
            metadata=cluster_metadata(name, app=AGENT),
            rules=[PolicyRuleArgs(api_groups=[""], resources=["pods"], verbs=["get", "list", "watch"])],
            opts=pulumi.ResourceOptions(parent=self),
        )
        return ClusterRoleBinding(
            name,
            metadata=cluster_metadata(name, app=AGENT),
            role_ref=RoleRefArgs(api_group="rbac.authorization.k8s.io", kind="ClusterRole", name=name),
            subjects=[SubjectArgs(kind="ServiceAccount", name=AGENT, namespace=SYSTEM_NAMESPACE)],
            opts=pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(depends_on=[role])),
        )


class LogReader(pulumi.ComponentResource):
    """The log reader: one on each node, in the namespace of those who read the node's files."""

    def __init__(
        self,
        configuration: LogReaderConfiguration,
        *,
        namespaces: Namespaces,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("quarterdeck:node_collectors:LogReader", LOG_READER, None, opts)
        kind = _Kind(
            name=LOG_READER,
            namespace=NODE_NAMESPACE,
            configuration=configuration.to_yaml(),
            memory=configuration.memory,
            # The files may be read by root's group, which is no right to anything else.
            security=PodSecurityContextArgs(
                run_as_non_root=True,
                run_as_user=USER,
                run_as_group=0,
                seccomp_profile=SeccompProfileArgs(type="RuntimeDefault"),
            ),
            reads=LOGS_DIRECTORY,
            writes=QUEUE_DIRECTORY,
        )
        _on_every_node(self, kind, namespaces, [])
        self.register_outputs({})


def _on_every_node(
    parent: pulumi.Resource, kind: _Kind, namespaces: Namespaces, more: list[pulumi.Resource]
) -> DaemonSet:
    needs = namespaces[kind.namespace]
    child = pulumi.ResourceOptions(parent=parent, depends_on=needs)
    made, config_name = content_named(
        f"{kind.name}-config", kind.namespace, app=kind.name, data={"config.yaml": kind.configuration}, opts=child
    )
    needs = [*needs, account(kind.name, namespace=kind.namespace, opts=child), made, *more]
    return on_every_node(
        kind.name,
        images.COLLECTOR,
        _pod(kind, config_name),
        namespace=kind.namespace,
        annotations={SCRAPE_PORT: str(COLLECTOR_METRICS_PORT)},
        opts=pulumi.ResourceOptions(parent=parent, depends_on=needs),
    )


def _pod(kind: _Kind, config_map: str) -> PodSpecArgs:
    mounts = [VolumeMountArgs(name=_CONFIG, mount_path=CONFIG_DIRECTORY, read_only=True)]
    volumes = [VolumeArgs(name=_CONFIG, config_map=ConfigMapVolumeSourceArgs(name=config_map))]
    if kind.reads:
        mounts.append(VolumeMountArgs(name=_READ, mount_path=kind.reads, read_only=True))
        volumes.append(VolumeArgs(name=_READ, host_path=HostPathVolumeSourceArgs(path=kind.reads, type="Directory")))
    if kind.writes:
        mounts.append(VolumeMountArgs(name=_WRITTEN, mount_path=kind.writes))
        volumes.append(scratch(_WRITTEN))
    return PodSpecArgs(
        service_account_name=kind.name,
        automount_service_account_token=kind.speaks_to_api_server,
        enable_service_links=False,
        security_context=kind.security,
        # What runs on a node that little else may run on has telemetry, too.
        tolerations=[TolerationArgs(operator="Exists")],
        containers=[
            ContainerArgs(
                name=kind.name,
                image=images.COLLECTOR,
                args=[f"--config={CONFIG_DIRECTORY}/config.yaml"],
                env=[
                    from_field(POD_IP, "status.podIP"),
                    from_field("POD_NAME", "metadata.name"),
                    EnvVarArgs(name="GOMEMLIMIT", value=go_memory_limit(kind.memory)),
                    *kind.environment,
                ],
                ports=[ContainerPortArgs(name=name, container_port=port) for name, port in kind.ports.items()] or None,
                readiness_probe=http_probe("/", COLLECTOR_HEALTH_PORT, period=5, failures=3),
                liveness_probe=http_probe("/", COLLECTOR_HEALTH_PORT, period=10, failures=6),
                resources=ResourceRequirementsArgs(
                    requests={"cpu": "100m", "memory": AGENT_MEMORY}, limits={"memory": AGENT_MEMORY}
                ),
                security_context=restricted_container(),
                volume_mounts=mounts,
            )
        ],
        volumes=volumes,
    )
