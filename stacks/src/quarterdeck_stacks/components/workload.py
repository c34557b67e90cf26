"""A service of the catalogue: Deployment, Service, ServiceAccount, and a PodDisruptionBudget when it has replicas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
from pulumi_kubernetes.apps.v1 import (
    Deployment,
    DeploymentSpecArgs,
    DeploymentStrategyArgs,
    RollingUpdateDeploymentArgs,
)
from pulumi_kubernetes.core.v1 import (
    ContainerArgs,
    ContainerPortArgs,
    EnvVarArgs,
    LifecycleArgs,
    LifecycleHandlerArgs,
    PodSpecArgs,
    PodTemplateSpecArgs,
    ResourceRequirementsArgs,
    Service,
    ServiceAccount,
    ServicePortArgs,
    ServiceSpecArgs,
    SleepActionArgs,
    TopologySpreadConstraintArgs,
    VolumeMountArgs,
)
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs
from pulumi_kubernetes.policy.v1 import PodDisruptionBudget, PodDisruptionBudgetSpecArgs

from quarterdeck_contract.kubernetes import (
    APP_NAME,
    APP_VERSION,
    MANAGED_BY,
    METRICS_DIR,
    METRICS_PORT,
    SCRAPE_PORT,
    TRACK,
    TRACK_STABLE,
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

if TYPE_CHECKING:
    from datetime import timedelta

    from quarterdeck_dashboards.catalogue import Service as CatalogueService
    from quarterdeck_stacks.components.namespaces import Namespaces

USER = 10001
"""User and group of a service's processes: any but root, and above the ids that images give to people and daemons."""

METRICS_FOLDER = "/run/quarterdeck"
"""Where the workers of a service count together: a volume in memory, gone with its pod."""

SHUTDOWN_SECONDS = 30
"""From SIGTERM to SIGKILL, after the drain: Kubernetes' own default."""

SKIP_AWAIT = {"pulumi.com/skipAwait": "true"}
"""On a Service where pods are on loopback: Pulumi would wait for its endpoints, and the API server refuses endpoints
with loopback addresses. Source: pulumi-kubernetes provider/pkg/await/service.go."""

_REQUESTS = {"cpu": "100m", "memory": "128Mi"}
_LIMITS = {"memory": "512Mi"}
"""No limit of processor time: throttling shows as latency, which is what SLOs are about."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a workload takes from its environment."""

    environment: str
    """OpenTelemetry's `deployment.environment.name`."""
    drain: timedelta
    """How long a stopping pod still serves."""
    loopback: bool
    """Whether pods are processes on loopback."""


class Workload(pulumi.ComponentResource):
    """One service of the catalogue, as its stable track.

    The canary beside it is no part of the stack: `quarterdeck rollout` makes and removes it, under the same Service.
    Once a version is promoted, the catalogue has to say so: with the old tag in it, `pulumi up` reports a conflict and
    leaves the Deployment alone; with the new one, it restarts nothing.
    """

    def __init__(
        self,
        service: CatalogueService,
        *,
        place: Place,
        namespaces: Namespaces,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("quarterdeck:workload:Workload", service.name, None, opts)
        child = pulumi.ResourceOptions(parent=self, depends_on=[namespaces[service.namespace]])
        self._service = service
        self._place = place
        account = ServiceAccount(
            service.name, metadata=self._metadata(), automount_service_account_token=False, opts=child
        )
        Deployment(
            service.name,
            metadata=self._metadata(shared=True),
            spec=self._deployment(),
            opts=pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(depends_on=[account])),
        )
        Service(
            service.name,
            metadata=self._metadata(SKIP_AWAIT if place.loopback else None),
            spec=ServiceSpecArgs(
                # The name alone: the canary gets its share of the traffic.
                selector={APP_NAME: service.name},
                ports=[ServicePortArgs(name="http", port=service.port, target_port=service.port, app_protocol="http")],
            ),
            opts=child,
        )
        if service.replicas > 1:  # for a single one it would only keep its node from being drained
            PodDisruptionBudget(service.name, metadata=self._metadata(), spec=self._budget(), opts=child)
        self.register_outputs({})

    def _metadata(self, annotations: dict[str, str] | None = None, *, shared: bool = False) -> ObjectMetaArgs:
        name, namespace = self._service.name, self._service.namespace
        return metadata(name, namespace, app=name, annotations=annotations, shared=shared)

    def _deployment(self) -> DeploymentSpecArgs:
        service = self._service
        selector = {APP_NAME: service.name, TRACK: TRACK_STABLE}
        return DeploymentSpecArgs(
            replicas=service.replicas,
            selector=LabelSelectorArgs(match_labels=selector),
            strategy=DeploymentStrategyArgs(
                type="RollingUpdate",
                rolling_update=RollingUpdateDeploymentArgs(max_unavailable=0, max_surge="25%"),
            ),
            progress_deadline_seconds=int(service.rollout.ready_within.total_seconds()),
            template=PodTemplateSpecArgs(
                metadata=ObjectMetaArgs(
                    labels={**selector, APP_VERSION: service.version, MANAGED_BY: MANAGER},
                    annotations={SCRAPE_PORT: str(METRICS_PORT)},
                ),
                spec=self._pod(),
            ),
        )

    def _pod(self) -> PodSpecArgs:
        service = self._service
        return PodSpecArgs(
            service_account_name=service.name,
            automount_service_account_token=False,
            enable_service_links=False,
            security_context=restricted_pod(USER),
            termination_grace_period_seconds=self._drain_seconds + SHUTDOWN_SECONDS,
            topology_spread_constraints=[
                self._spread("topology.kubernetes.io/zone"),
                self._spread("kubernetes.io/hostname"),
            ],
            containers=[self._container()],
            # Gunicorn and uvicorn need somewhere to write, and so do the workers that count together.
            volumes=[scratch("tmp"), scratch("metrics", in_memory=True)],
        )

    def _container(self) -> ContainerArgs:
        service = self._service
        return ContainerArgs(
            name=service.name,
            image=service.image,
            ports=[
                ContainerPortArgs(name="http", container_port=service.port),
                ContainerPortArgs(name="metrics", container_port=METRICS_PORT),
            ],
            env=self._variables(),
            # Up to a minute to start; after that a restart within half a minute, out of the Service within six seconds.
            startup_probe=http_probe(service.health, service.port, period=2, failures=30),
            readiness_probe=http_probe(service.health, service.port, period=2, failures=3),
            liveness_probe=http_probe(service.health, service.port, period=5, failures=6),
            lifecycle=LifecycleArgs(pre_stop=LifecycleHandlerArgs(sleep=SleepActionArgs(seconds=self._drain_seconds))),
            resources=ResourceRequirementsArgs(requests=_REQUESTS, limits=_LIMITS),
            security_context=restricted_container(),
            volume_mounts=[
                VolumeMountArgs(name="tmp", mount_path="/tmp"),  # noqa: S108 -- the pod's own volume
                VolumeMountArgs(name="metrics", mount_path=METRICS_FOLDER),
            ],
        )

    def _variables(self) -> list[EnvVarArgs]:
        service = self._service
        attributes = {
            "service.namespace": service.namespace,
            # From the label, which a rollout changes together with the image.
            "service.version": "$(POD_VERSION)",
            "service.instance.id": "$(POD_NAME)",
            "k8s.namespace.name": service.namespace,
            "k8s.pod.name": "$(POD_NAME)",
            "deployment.environment.name": self._place.environment,
        }
        plain = {
            "PORT": str(service.port),
            "TMPDIR": "/tmp",  # noqa: S108 -- the pod's own volume
            METRICS_DIR: METRICS_FOLDER,
            "OTEL_SERVICE_NAME": service.name,
            "OTEL_RESOURCE_ATTRIBUTES": ",".join(f"{key}={value}" for key, value in attributes.items()),
            "OTEL_EXPORTER_PROMETHEUS_HOST": f"$({POD_IP})",
            "OTEL_EXPORTER_PROMETHEUS_PORT": str(METRICS_PORT),
        }
        return [
            # First: a variable can refer only to those before it.
            from_field(POD_IP, "status.podIP"),
            from_field("POD_NAME", "metadata.name"),
            from_field("POD_VERSION", f"metadata.labels['{APP_VERSION}']"),
            *(EnvVarArgs(name=name, value=value) for name, value in plain.items()),
        ]

    def _spread(self, topology: str) -> TopologySpreadConstraintArgs:
        return TopologySpreadConstraintArgs(
            topology_key=topology,
            max_skew=1,
            when_unsatisfiable="ScheduleAnyway",
            label_selector=LabelSelectorArgs(match_labels={APP_NAME: self._service.name}),
            # Only against pods of the same version: those about to go do not count.
            match_label_keys=["pod-template-hash"],
        )

    def _budget(self) -> PodDisruptionBudgetSpecArgs:
        return PodDisruptionBudgetSpecArgs(
            max_unavailable=1,
            selector=LabelSelectorArgs(match_labels={APP_NAME: self._service.name}),
            # A pod that is broken anyway must not keep its node from being drained.
            unhealthy_pod_eviction_policy="AlwaysAllow",
        )

    @property
    def _drain_seconds(self) -> int:
        return int(self._place.drain.total_seconds())
