"""A server of the monitoring: one pod with its configuration and its data, and a Service before it."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.apps.v1 import Deployment, DeploymentSpecArgs, DeploymentStrategyArgs
from pulumi_kubernetes.core.v1 import (
    ConfigMapVolumeSourceArgs,
    ContainerArgs,
    ContainerPortArgs,
    PodSpecArgs,
    PodTemplateSpecArgs,
    ResourceRequirementsArgs,
    Service,
    ServicePortArgs,
    ServiceSpecArgs,
    VolumeArgs,
    VolumeMountArgs,
)
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs

from quarterdeck_contract.kubernetes import (
    APP_NAME,
    APP_VERSION,
    MANAGED_BY,
    POD_ADDRESS,
    SCRAPE_PORT,
    SYSTEM_NAMESPACE,
)
from quarterdeck_stacks.components.objects import (
    MANAGER,
    POD_IP,
    from_field,
    http_probe,
    metadata,
    restricted_container,
    restricted_pod,
    scratch,
)
from quarterdeck_stacks.components.workload import SKIP_AWAIT

_USER = 65534
"""The user of Prometheus' images: nobody."""
_DATA = "data"
"""Name of the volume with the server's data."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A ConfigMap in the pod."""

    volume: str
    config_map: str
    """Its whole name, with the hash."""
    path: str


@dataclass(frozen=True, slots=True)
class ServerShape:
    """What one server is."""

    name: str
    """Of its Deployment, Service, ServiceAccount and container."""
    image: str
    """With its tag, which is its version."""
    port: int
    """Where it serves its API, its probes and its own metrics."""
    arguments: tuple[str, ...]
    ready: str
    """Path of the readiness and startup probe."""
    healthy: str
    """Path of the liveness probe."""
    config_maps: tuple[Mount, ...]
    data: str
    """Where it writes."""
    memory: tuple[str, str]
    """Request and limit."""
    speaks_to_api_server: bool
    """Whether it needs its service account's token."""
    address: str | None
    """The loopback address it asks for; None where pods have a network of their own."""


class Server(pulumi.ComponentResource):
    """One replica, recreated on change: two at once would share an address, or their data."""

    def __init__(self, shape: ServerShape, *, opts: pulumi.ResourceOptions) -> None:
        super().__init__("quarterdeck:server:Server", shape.name, None, opts)
        # Children inherit the provider of their parent, but not what it depends on.
        child = pulumi.ResourceOptions(parent=self, depends_on=opts.depends_on)
        labels = {APP_NAME: shape.name}
        Deployment(
            shape.name,
            metadata=metadata(shape.name, SYSTEM_NAMESPACE, app=shape.name),
            spec=DeploymentSpecArgs(
                replicas=1,
                selector=LabelSelectorArgs(match_labels=labels),
                strategy=DeploymentStrategyArgs(type="Recreate"),
                template=PodTemplateSpecArgs(
                    metadata=ObjectMetaArgs(
                        labels={**labels, APP_VERSION: shape.image.rpartition(":")[2], MANAGED_BY: MANAGER},
                        annotations=_annotations(shape),
                    ),
                    spec=_pod(shape),
                ),
            ),
            opts=child,
        )
        Service(
            shape.name,
            metadata=metadata(
                shape.name, SYSTEM_NAMESPACE, app=shape.name, annotations=SKIP_AWAIT if shape.address else None
            ),
            spec=ServiceSpecArgs(
                selector=labels,
                ports=[ServicePortArgs(name="http", port=shape.port, target_port=shape.port, app_protocol="http")],
            ),
            opts=child,
        )
        self.register_outputs({})


def _annotations(shape: ServerShape) -> dict[str, str]:
    return {SCRAPE_PORT: str(shape.port), **({POD_ADDRESS: shape.address} if shape.address else {})}


def _pod(shape: ServerShape) -> PodSpecArgs:
    request, limit = shape.memory
    return PodSpecArgs(
        service_account_name=shape.name,
        automount_service_account_token=shape.speaks_to_api_server,
        enable_service_links=False,
        security_context=restricted_pod(_USER),
        containers=[
            ContainerArgs(
                name=shape.name,
                image=shape.image,
                args=list(shape.arguments),
                env=[from_field(POD_IP, "status.podIP")],
                ports=[ContainerPortArgs(name="http", container_port=shape.port)],
                # Reading the log of a large database back takes minutes, and is no reason to start again.
                startup_probe=http_probe(shape.ready, shape.port, period=2, failures=300),
                readiness_probe=http_probe(shape.ready, shape.port, period=2, failures=3),
                liveness_probe=http_probe(shape.healthy, shape.port, period=5, failures=6),
                resources=ResourceRequirementsArgs(
                    requests={"cpu": "100m", "memory": request}, limits={"memory": limit}
                ),
                security_context=restricted_container(),
                volume_mounts=[
                    *(VolumeMountArgs(name=m.volume, mount_path=m.path, read_only=True) for m in shape.config_maps),
                    VolumeMountArgs(name=_DATA, mount_path=shape.data),
                ],
            )
        ],
        volumes=[
            *(
                VolumeArgs(name=m.volume, config_map=ConfigMapVolumeSourceArgs(name=m.config_map))
                for m in shape.config_maps
            ),
            scratch(_DATA),
        ],
    )
