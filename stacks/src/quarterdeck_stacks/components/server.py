"""A server of the monitoring: its pods with their configuration and their data, and a Service before them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pulumi
from pulumi_kubernetes.apps.v1 import (
    Deployment,
    DeploymentSpecArgs,
    DeploymentStrategyArgs,
    StatefulSet,
    StatefulSetSpecArgs,
)
from pulumi_kubernetes.core.v1 import (
    ContainerArgs,
    ContainerPortArgs,
    EnvVarArgs,
    PersistentVolumeClaimArgs,
    PersistentVolumeClaimSpecArgs,
    PodTemplateSpecArgs,
    Service,
    ServicePortArgs,
    ServiceSpecArgs,
    VolumeResourceRequirementsArgs,
)
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs
from pulumi_kubernetes.policy.v1 import PodDisruptionBudget, PodDisruptionBudgetSpecArgs

from quarterdeck_contract.kubernetes import (
    APP_NAME,
    APP_VERSION,
    MANAGED_BY,
    POD_ADDRESS,
    SCRAPE_PORT,
    SYSTEM_NAMESPACE,
)
from quarterdeck_stacks.components.objects import MANAGER, metadata
from quarterdeck_stacks.components.server_pod import DATA, Mount, SecretMount, pod
from quarterdeck_stacks.components.workload import SKIP_AWAIT
from quarterdeck_stacks.images import version_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Mount", "SecretMount", "Server", "ServerShape", "Standing", "peers_of"]

NOBODY = 65534
"""The user of Prometheus' images."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a server is kept: how many of it there are, and what outlives a pod."""

    replicas: int = 1
    named: bool = False
    """Whether each has a name that outlives its pod, by which the others find it: a StatefulSet."""
    storage: str = ""
    """Size of each one's volume; empty is the node's disk, gone with the pod. Only for one that is named."""
    storage_class: str = ""
    """Empty is the cluster's default."""
    protect: bool = False
    """Whether Pulumi refuses to delete it."""
    grace_seconds: int | None = None
    """From SIGTERM to SIGKILL; None is Kubernetes' own half minute."""


@dataclass(frozen=True, slots=True)
class ServerShape:
    """What one server is."""

    name: str
    """Of its Deployment or StatefulSet, Service, ServiceAccount and container."""
    image: str
    """With its tag, which is its version."""
    port: int
    """Where it serves its API and its probes."""
    arguments: tuple[str, ...]
    ready: str
    """Path of the readiness and startup probe."""
    healthy: str
    """Path of the liveness probe."""
    config_maps: tuple[Mount, ...]
    data: str
    """Where it writes; empty is nowhere."""
    memory: tuple[str, str]
    """Request and limit."""
    speaks_to_api_server: bool
    """Whether it needs its service account's token."""
    address: str | None
    """The loopback address it asks for; None where pods have a network of their own."""
    cpu: str = "100m"
    """Request. There is no limit: a throttled monitoring is late just when something is wrong."""
    standing: Standing = field(default_factory=Standing)
    alone: bool = False
    """Whether two at once would be counted twice, so that a new one starts when the old one is gone."""
    metrics_port: int | None = None
    """Where its own metrics are, if not at `port`."""
    is_scraped: bool = True
    """Whether they are scraped: not where they are behind TLS."""
    probe_port: int | None = None
    """Where its probes are, if not at `port`."""
    scheme: str = "HTTP"
    """Of its probes."""
    speaks: str = "http"
    """What is spoken at `port`, for a mesh or a proxy before it: `http` or `https`."""
    ports: tuple[ContainerPortArgs, ...] = ()
    """Beyond `port`."""
    environment: tuple[EnvVarArgs, ...] = ()
    secrets: tuple[SecretMount, ...] = ()
    writes: tuple[str, ...] = ()
    """Paths beside `data` where it writes what need not be kept."""
    sidecars: tuple[ContainerArgs, ...] = ()
    """Containers beside it, which may mount the volume DATA."""
    user: int = NOBODY
    labels: Mapping[str, str] = field(default_factory=dict)
    """Of its pods, beside those that every pod has."""


def peers_of(name: str, replicas: int, port: int) -> tuple[str, ...]:
    """Return the addresses by which the replicas of the named server *name* find each other.

    >>> peers_of("alertmanager", 2, 9094)[1]
    'alertmanager-1.alertmanager-peers.quarterdeck.svc:9094'
    """
    return tuple(f"{name}-{number}.{name}-peers.{SYSTEM_NAMESPACE}.svc:{port}" for number in range(replicas))


class Server(pulumi.ComponentResource):
    """The pods of one server, one budget for their disruption and one Service, or two where they have names."""

    def __init__(self, shape: ServerShape, *, opts: pulumi.ResourceOptions) -> None:
        super().__init__("quarterdeck:server:Server", shape.name, None, opts)
        # Children inherit the provider of their parent, but not what it depends on.
        child = pulumi.ResourceOptions(parent=self, depends_on=opts.depends_on)
        self._shape = shape
        self._labels = {APP_NAME: shape.name}
        if shape.standing.named:
            self._stateful(child)
            self._service(f"{shape.name}-peers", child, headless=True)
        else:
            self._stateless(child)
        self._service(shape.name, child)
        if shape.standing.replicas > 1:
            self._budget(child)
        self.register_outputs({})

    def _metadata(self, name: str, annotations: dict[str, str] | None = None) -> ObjectMetaArgs:
        return metadata(name, SYSTEM_NAMESPACE, app=self._shape.name, annotations=annotations)

    def _stateless(self, opts: pulumi.ResourceOptions) -> None:
        shape = self._shape
        # Two at once would share an address.
        recreate = shape.alone or shape.address is not None
        Deployment(
            shape.name,
            metadata=self._metadata(shape.name),
            spec=DeploymentSpecArgs(
                replicas=shape.standing.replicas,
                selector=LabelSelectorArgs(match_labels=self._labels),
                strategy=DeploymentStrategyArgs(type="Recreate" if recreate else "RollingUpdate"),
                template=self._template(),
            ),
            opts=opts,
        )

    def _stateful(self, opts: pulumi.ResourceOptions) -> None:
        shape, standing = self._shape, self._shape.standing
        StatefulSet(
            shape.name,
            metadata=self._metadata(shape.name),
            spec=StatefulSetSpecArgs(
                service_name=f"{shape.name}-peers",
                replicas=standing.replicas,
                # One that cannot start must not keep the others from starting.
                pod_management_policy="Parallel",
                selector=LabelSelectorArgs(match_labels=self._labels),
                template=self._template(),
                volume_claim_templates=[_claim(shape)] if standing.storage else None,
            ),
            opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(protect=standing.protect)),
        )

    def _template(self) -> PodTemplateSpecArgs:
        shape = self._shape
        annotations = {SCRAPE_PORT: str(shape.metrics_port or shape.port)} if shape.is_scraped else {}
        return PodTemplateSpecArgs(
            metadata=ObjectMetaArgs(
                labels={**shape.labels, **self._labels, APP_VERSION: version_of(shape.image), MANAGED_BY: MANAGER},
                annotations={**annotations, **({POD_ADDRESS: shape.address} if shape.address else {})} or None,
            ),
            spec=pod(shape),
        )

    def _service(self, name: str, opts: pulumi.ResourceOptions, *, headless: bool = False) -> None:
        shape = self._shape
        Service(
            name,
            metadata=self._metadata(name, SKIP_AWAIT if shape.address else None),
            spec=ServiceSpecArgs(
                selector=self._labels,
                ports=[
                    ServicePortArgs(name="http", port=shape.port, target_port=shape.port, app_protocol=shape.speaks),
                    *(
                        ServicePortArgs(
                            name=port.name,
                            port=port.container_port,
                            target_port=port.container_port,
                            protocol=port.protocol,
                        )
                        for port in shape.ports
                    ),
                ],
                cluster_ip="None" if headless else None,
                # They must find each other before any of them is ready.
                publish_not_ready_addresses=True if headless else None,
            ),
            opts=opts,
        )

    def _budget(self, opts: pulumi.ResourceOptions) -> None:
        PodDisruptionBudget(
            self._shape.name,
            metadata=self._metadata(self._shape.name),
            spec=PodDisruptionBudgetSpecArgs(
                max_unavailable=1,
                selector=LabelSelectorArgs(match_labels=self._labels),
                # A pod that is broken anyway must not keep its node from being drained.
                unhealthy_pod_eviction_policy="AlwaysAllow",
            ),
            opts=opts,
        )


def _claim(shape: ServerShape) -> PersistentVolumeClaimArgs:
    standing = shape.standing
    return PersistentVolumeClaimArgs(
        metadata=ObjectMetaArgs(name=DATA, labels={APP_NAME: shape.name, MANAGED_BY: MANAGER}),
        spec=PersistentVolumeClaimSpecArgs(
            access_modes=["ReadWriteOnce"],
            storage_class_name=standing.storage_class or None,
            resources=VolumeResourceRequirementsArgs(requests={"storage": standing.storage}),
        ),
    )
