"""The pod of Datadog's agent on a node: not root, its image read-only, the node's folders only read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi_kubernetes.core.v1 import (
    ContainerArgs,
    ContainerPortArgs,
    EnvVarArgs,
    PodSpecArgs,
    ResourceRequirementsArgs,
    TolerationArgs,
    VolumeMountArgs,
)

from quarterdeck_stacks import images
from quarterdeck_stacks.components.node_agent import of_the_node, shown
from quarterdeck_stacks.components.objects import (
    from_field,
    http_probe,
    restricted_container,
    restricted_pod,
    scratch,
)
from quarterdeck_stacks.datadog import AGENT, HEALTH_PORT, OTLP_PORTS, cluster_agent_url

if TYPE_CHECKING:
    from collections.abc import Sequence

USER = 100
"""`dd-agent` in both images, which may run as it: the sockets of container runtimes, which are root's, are not asked;
the kubelet and the control groups say the same."""
CONFIG = "/etc/datadog-agent"
_HOST = {"procdir": "/proc", "cgroups": "/sys/fs/cgroup"}
"""Volume to the node's folder that it shows, below /host."""
_WRITTEN = {
    "config": CONFIG,
    "run": "/opt/datadog-agent/run",
    "logs": "/var/log/datadog",
    "tmp": "/tmp",  # noqa: S108 -- the pod's own volume
}
"""Volume to where a node's agent writes."""
OWN_TOKEN = {
    # What the parts of one agent show to each other; by default beside the configuration.
    "DD_AUTH_TOKEN_FILE_PATH": "/opt/datadog-agent/run/auth_token",
    "DD_IPC_CERT_FILE_PATH": "/opt/datadog-agent/run/ipc_cert.pem",
}


def node_pod(common: Sequence[EnvVarArgs]) -> PodSpecArgs:
    """Return the pod of a node's agent; *common* is what both agents are told."""
    otlp = "DD_OTLP_CONFIG_RECEIVER_PROTOCOLS"
    variables = {
        "DD_CLUSTER_AGENT_ENABLED": "true",
        "DD_CLUSTER_AGENT_URL": cluster_agent_url(),
        "DD_KUBELET_TLS_VERIFY": "false",
        "DD_KUBELET_USE_FINE_GRAINED_AUTHORIZATION": "true",
        "DD_EXTRA_CONFIG_PROVIDERS": "clusterchecks endpointschecks",
        "DD_APM_ENABLED": "false",  # traces go to the collector
        "DD_PROCESS_AGENT_ENABLED": "false",
        "DD_REMOTE_CONFIGURATION_ENABLED": "false",
        **OWN_TOKEN,
        **{f"{otlp}_{name.upper()}_ENDPOINT": f"0.0.0.0:{port}" for name, port in OTLP_PORTS.items()},
    }
    return PodSpecArgs(
        service_account_name=AGENT,
        automount_service_account_token=True,
        enable_service_links=False,
        security_context=restricted_pod(USER),
        # A node that nothing else may run on is still a node.
        tolerations=[TolerationArgs(operator="Exists")],
        # Its configuration is made in the folder where the image has it, which is read-only: copied, then adapted.
        init_containers=[
            _prepares("copy", f"cp -r {CONFIG} /opt", "/opt/datadog-agent"),
            _prepares("adapt", "for each in $(find /etc/cont-init.d -name '*.sh' | sort); do bash $each; done", CONFIG),
        ],
        containers=[
            ContainerArgs(
                name=AGENT,
                image=images.DATADOG_AGENT,
                command=["agent", "run"],
                env=[
                    *common,
                    from_field("DD_KUBERNETES_KUBELET_HOST", "status.hostIP"),
                    from_field("DD_HOSTNAME", "spec.nodeName"),
                    *(EnvVarArgs(name=name, value=value) for name, value in variables.items()),
                ],
                ports=[ContainerPortArgs(name=f"otlp-{name}", container_port=p) for name, p in OTLP_PORTS.items()],
                readiness_probe=http_probe("/ready", HEALTH_PORT, period=15, failures=6),
                liveness_probe=http_probe("/live", HEALTH_PORT, period=15, failures=6),
                resources=ResourceRequirementsArgs(
                    requests={"cpu": "100m", "memory": "256Mi"}, limits={"memory": "512Mi"}
                ),
                security_context=restricted_container(),
                volume_mounts=[
                    *(shown(name, f"/host{path}", follows=True) for name, path in _HOST.items()),
                    *(VolumeMountArgs(name=name, mount_path=path) for name, path in _WRITTEN.items()),
                ],
            )
        ],
        volumes=[
            *of_the_node(_HOST),
            *(scratch(name) for name in _WRITTEN),
        ],
    )


def _prepares(name: str, command: str, config: str) -> ContainerArgs:
    """Return an init container that runs *command* with the agent's configuration at *config*."""
    mounts = {**_WRITTEN, "config": config}
    return ContainerArgs(
        name=name,
        image=images.DATADOG_AGENT,
        command=["bash", "-c", command],
        resources=ResourceRequirementsArgs(requests={"cpu": "50m", "memory": "64Mi"}, limits={"memory": "256Mi"}),
        security_context=restricted_container(),
        volume_mounts=[VolumeMountArgs(name=volume, mount_path=path) for volume, path in mounts.items()],
    )
