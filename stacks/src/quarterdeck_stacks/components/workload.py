"""A service of the catalogue: Deployment, Service, ServiceAccount, NetworkPolicy, and what keeps replicas apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
from pulumi_kubernetes.apps.v1 import (
    Deployment,
    DeploymentSpecArgs,
    DeploymentStrategyArgs,
    RollingUpdateDeploymentArgs,
)
from pulumi_kubernetes.autoscaling.v2 import (
    CrossVersionObjectReferenceArgs,
    HorizontalPodAutoscaler,
    HorizontalPodAutoscalerSpecArgs,
    MetricSpecArgs,
    MetricTargetArgs,
    ResourceMetricSourceArgs,
)
from pulumi_kubernetes.core.v1 import PodTemplateSpecArgs, Service, ServiceAccount, ServicePortArgs, ServiceSpecArgs
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs
from pulumi_kubernetes.networking.v1 import NetworkPolicy
from pulumi_kubernetes.policy.v1 import PodDisruptionBudget, PodDisruptionBudgetSpecArgs

from quarterdeck_contract.kubernetes import (
    APP_NAME,
    APP_VERSION,
    MANAGED_BY,
    METRICS_PORT,
    SCRAPE_PORT,
    TRACK,
    TRACK_STABLE,
)
from quarterdeck_stacks.components.isolation import policy_of
from quarterdeck_stacks.components.objects import MANAGER, metadata
from quarterdeck_stacks.components.workload_pod import pod_of, port_name
from quarterdeck_stacks.scaling import SURGE_PERCENT, Autoscaling, autoscaling_of

if TYPE_CHECKING:
    from quarterdeck_dashboards.catalogue import Service as CatalogueService
    from quarterdeck_stacks.components.namespaces import Namespaces
    from quarterdeck_stacks.components.place import Place
    from quarterdeck_stacks.reach import Reach

SKIP_AWAIT = {"pulumi.com/skipAwait": "true"}
"""On a Service where pods are on loopback: Pulumi would wait for its endpoints, and the API server refuses endpoints
with loopback addresses. Source: pulumi-kubernetes provider/pkg/await/service.go."""

_REPLICAS_ARE_THE_AUTOSCALERS = ["spec.replicas"]
"""Given at creation, so that a service never begins with one pod; then the autoscaler's. Pulumi leaves it out of what
it applies once another manager owns it, and otherwise keeps what the cluster has: so to turn an autoscaler on changes
no number either. A rendering does without it, or applying it twice would be a conflict.

Source: handleSSAIgnoreFields in provider/pkg/await/await.go of pulumi-kubernetes."""


class Workload(pulumi.ComponentResource):
    """One service of the catalogue, as its stable track.

    The canary beside it is no part of the stack: `quarterdeck rollout` makes and removes it, under the same Service.
    Once a version is promoted, the catalogue has to say so: with the old tag in it, `pulumi up` reports a conflict and
    leaves the Deployment alone; with the new one, it restarts nothing.

    Args:
        service: what the catalogue says of it.
        reach: what its NetworkPolicy lets through; None where nothing would enforce one.
        place: what it takes from its environment.
        namespaces: its own among them.
        opts: the cluster's provider.
    """

    def __init__(
        self,
        service: CatalogueService,
        *,
        reach: Reach | None,
        place: Place,
        namespaces: Namespaces,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("quarterdeck:workload:Workload", service.name, None, opts)
        self._service = service
        self._place = place
        child = pulumi.ResourceOptions(parent=self, depends_on=namespaces[service.namespace])
        scaling = autoscaling_of(service, place.services)
        needed: list[pulumi.Resource] = [
            ServiceAccount(service.name, metadata=self._metadata(), automount_service_account_token=False, opts=child)
        ]
        if reach is not None:
            # Before the pods: none is ever without it.
            spec = policy_of(service, reach, place)
            needed.append(NetworkPolicy(service.name, metadata=self._metadata(), spec=spec, opts=child))
        deployment = Deployment(
            service.name,
            metadata=self._metadata(labels={APP_VERSION: service.version}, shared=True),
            spec=self._deployment(),
            opts=pulumi.ResourceOptions.merge(
                child,
                pulumi.ResourceOptions(
                    depends_on=needed, ignore_changes=_REPLICAS_ARE_THE_AUTOSCALERS if scaling else None
                ),
            ),
        )
        if service.serves:
            self._serve(child)
        if service.replicas > 1 or scaling:  # for a single one it would only keep its node from being drained
            PodDisruptionBudget(service.name, metadata=self._metadata(), spec=self._budget(), opts=child)
        if scaling:
            after = pulumi.ResourceOptions(depends_on=[deployment])
            HorizontalPodAutoscaler(
                service.name,
                metadata=self._metadata(),
                spec=self._autoscaler(scaling),
                opts=pulumi.ResourceOptions.merge(child, after),
            )
        self.register_outputs({})

    def _metadata(
        self,
        *,
        labels: dict[str, str] | None = None,
        annotations: dict[str, str] | None = None,
        shared: bool = False,
    ) -> ObjectMetaArgs:
        name, namespace = self._service.name, self._service.namespace
        return metadata(name, namespace, app=name, labels=labels, annotations=annotations, shared=shared)

    def _serve(self, opts: pulumi.ResourceOptions) -> None:
        service = self._service
        name = port_name(service)
        protocol = "kubernetes.io/h2c" if name == "grpc" else "http"
        Service(
            service.name,
            metadata=self._metadata(annotations=SKIP_AWAIT if self._place.loopback else None),
            spec=ServiceSpecArgs(
                # The name alone: the canary gets its share of the traffic.
                selector={APP_NAME: service.name},
                ports=[ServicePortArgs(name=name, port=service.port, target_port=service.port, app_protocol=protocol)],
            ),
            opts=opts,
        )

    def _deployment(self) -> DeploymentSpecArgs:
        service = self._service
        selector = {APP_NAME: service.name, TRACK: TRACK_STABLE}
        return DeploymentSpecArgs(
            replicas=service.replicas,
            selector=LabelSelectorArgs(match_labels=selector),
            strategy=DeploymentStrategyArgs(
                type="RollingUpdate",
                rolling_update=RollingUpdateDeploymentArgs(max_unavailable=0, max_surge=f"{SURGE_PERCENT}%"),
            ),
            progress_deadline_seconds=int(service.rollout.ready_within.total_seconds()),
            template=PodTemplateSpecArgs(
                metadata=ObjectMetaArgs(
                    labels={**selector, APP_VERSION: service.version, MANAGED_BY: MANAGER},
                    annotations={SCRAPE_PORT: str(METRICS_PORT)},
                ),
                spec=pod_of(service, self._place),
            ),
        )

    def _budget(self) -> PodDisruptionBudgetSpecArgs:
        return PodDisruptionBudgetSpecArgs(
            max_unavailable=1,
            selector=LabelSelectorArgs(match_labels={APP_NAME: self._service.name}),
            # A pod that is broken anyway must not keep its node from being drained.
            unhealthy_pod_eviction_policy="AlwaysAllow",
        )

    def _autoscaler(self, scaling: Autoscaling) -> HorizontalPodAutoscalerSpecArgs:
        target = MetricTargetArgs(type="Utilization", average_utilization=scaling.cpu_percent)
        return HorizontalPodAutoscalerSpecArgs(
            scale_target_ref=CrossVersionObjectReferenceArgs(
                api_version="apps/v1", kind="Deployment", name=self._service.name
            ),
            min_replicas=scaling.fewest,
            max_replicas=scaling.most,
            metrics=[
                MetricSpecArgs(type="Resource", resource=ResourceMetricSourceArgs(name="cpu", target=target)),
            ],
        )
