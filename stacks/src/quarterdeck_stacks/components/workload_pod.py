"""The pod of a service: its container, what it is told by environment variables, and how it is probed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi_kubernetes.core.v1 import (
    ContainerArgs,
    ContainerPortArgs,
    EnvVarArgs,
    LifecycleArgs,
    LifecycleHandlerArgs,
    PodSpecArgs,
    ProbeArgs,
    ResourceRequirementsArgs,
    SleepActionArgs,
    TolerationArgs,
    TopologySpreadConstraintArgs,
    VolumeMountArgs,
)
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs

from quarterdeck_contract.kubernetes import APP_NAME, APP_VERSION, METRICS_DIR, METRICS_PORT
from quarterdeck_stacks.clusters.spot import AKS_TAINT, TAINT
from quarterdeck_stacks.components.objects import (
    POD_IP,
    from_field,
    http_probe,
    restricted_container,
    restricted_pod,
    scratch,
    tcp_probe,
)
from quarterdeck_stacks.settings.services import Instrumentation

if TYPE_CHECKING:
    from quarterdeck_dashboards.catalogue import Service
    from quarterdeck_stacks.components.place import Place

USER = 10001
"""User and group of a service's processes: any but root, and above the ids that images give to people and daemons."""

METRICS_FOLDER = "/run/quarterdeck"
"""Where the workers of a service count together: a volume in memory, gone with its pod."""

INSTRUMENTATION_IN_IMAGE = "/autoinstrumentation"
"""Where the init container's image has the instrumentation: the folder that the OpenTelemetry operator expects, so that
one image serves both."""
INSTRUMENTATION_FOLDER = "/opt/quarterdeck-instrumentation"
"""Where the service finds it."""

SHUTDOWN_SECONDS = 30
"""From SIGTERM to SIGKILL, after the drain: Kubernetes' own default."""

_TMP = "/tmp"  # noqa: S108 -- the pod's own volume


def pod_of(service: Service, place: Place) -> PodSpecArgs:
    """Return the pod of *service* in *place*."""
    copied = place.services.instrumentation is Instrumentation.INIT
    return PodSpecArgs(
        service_account_name=service.name,
        automount_service_account_token=False,
        enable_service_links=False,
        security_context=restricted_pod(USER),
        termination_grace_period_seconds=_drain_seconds(place) + SHUTDOWN_SECONDS,
        # With replicas, a budget and a spread over zones, a node that is taken back is one pod that moves.
        tolerations=[_tolerated(TAINT), _tolerated(AKS_TAINT)] if place.spot else None,
        topology_spread_constraints=[
            _spread(service, "topology.kubernetes.io/zone"),
            _spread(service, "kubernetes.io/hostname"),
        ],
        init_containers=[_copy(place.services.instrumentation_image)] if copied else None,
        containers=[_container(service, place, copied=copied)],
        # Gunicorn and uvicorn need somewhere to write, and so do the workers that count together.
        volumes=[
            scratch("tmp"),
            scratch("metrics", in_memory=True),
            *([scratch("instrumentation")] if copied else []),
        ],
    )


def _copy(image: str) -> ContainerArgs:
    return ContainerArgs(
        name="instrumentation",
        image=image,
        command=["cp", "-r", f"{INSTRUMENTATION_IN_IMAGE}/.", INSTRUMENTATION_FOLDER],
        # It runs before the service does, so it asks for nothing beyond what the service asks for.
        resources=ResourceRequirementsArgs(requests={"cpu": "50m", "memory": "64Mi"}, limits={"memory": "128Mi"}),
        security_context=restricted_container(),
        volume_mounts=[VolumeMountArgs(name="instrumentation", mount_path=INSTRUMENTATION_FOLDER)],
    )


def _container(service: Service, place: Place, *, copied: bool) -> ContainerArgs:
    asked = service.resources
    served = [ContainerPortArgs(name=port_name(service), container_port=service.port)] if service.serves else []
    startup, readiness, liveness = _probes(service)
    return ContainerArgs(
        name=service.name,
        image=service.image,
        ports=[*served, ContainerPortArgs(name="metrics", container_port=METRICS_PORT)],
        env=_variables(service, place, copied=copied),
        startup_probe=startup,
        readiness_probe=readiness,
        liveness_probe=liveness,
        lifecycle=LifecycleArgs(pre_stop=LifecycleHandlerArgs(sleep=SleepActionArgs(seconds=_drain_seconds(place)))),
        resources=ResourceRequirementsArgs(
            requests={"cpu": asked.cpu, "memory": asked.memory}, limits={"memory": asked.memory_limit}
        ),
        security_context=restricted_container(),
        volume_mounts=[
            VolumeMountArgs(name="tmp", mount_path=_TMP),
            VolumeMountArgs(name="metrics", mount_path=METRICS_FOLDER),
            *(
                [VolumeMountArgs(name="instrumentation", mount_path=INSTRUMENTATION_FOLDER, read_only=True)]
                if copied
                else []
            ),
        ],
    )


def port_name(service: Service) -> str:
    """Return the name of the port that *service* serves on."""
    return "grpc" if service.framework == "grpc" else "http"


def _probes(service: Service) -> tuple[ProbeArgs | None, ProbeArgs | None, ProbeArgs | None]:
    """Return the startup, readiness and liveness probe.

    Up to a minute to start; after that a restart within half a minute, out of the Service within six seconds. gRPC has
    no paths, and not every server has its health service: a connection has to do. What serves nothing has nothing to
    ask, and its page is there from its first measurement on: its process is restarted when it ends.
    """
    limits = ((2, 30), (2, 3), (5, 6))
    if not service.serves:
        return None, None, None
    if service.framework == "grpc":
        startup, readiness, liveness = (tcp_probe(service.port, period=p, failures=f) for p, f in limits)
    else:
        startup, readiness, liveness = (
            http_probe(service.health, service.port, period=p, failures=f) for p, f in limits
        )
    return startup, readiness, liveness


def _variables(service: Service, place: Place, *, copied: bool) -> list[EnvVarArgs]:
    attributes = {
        "service.namespace": service.namespace,
        # From the label, which a rollout changes together with the image.
        "service.version": "$(POD_VERSION)",
        "service.instance.id": "$(POD_NAME)",
        # No k8s.deployment.name: a canary has this template, and another Deployment. The collector knows it.
        "k8s.namespace.name": service.namespace,
        "k8s.node.name": "$(NODE_NAME)",
        "k8s.pod.name": "$(POD_NAME)",
        "k8s.pod.uid": "$(POD_UID)",
        "k8s.container.name": service.name,
        "deployment.environment.name": place.environment,
    }
    plain = {
        "PORT": str(service.port),
        "TMPDIR": _TMP,
        METRICS_DIR: METRICS_FOLDER,
        "OTEL_SERVICE_NAME": service.name,
        "OTEL_RESOURCE_ATTRIBUTES": ",".join(f"{key}={value}" for key, value in attributes.items()),
        "OTEL_EXPORTER_PROMETHEUS_HOST": f"$({POD_IP})",
        "OTEL_EXPORTER_PROMETHEUS_PORT": str(METRICS_PORT),
    }
    if place.collector is not None:
        plain["OTEL_EXPORTER_OTLP_ENDPOINT"] = place.collector.url
    if copied:
        # As `quarterdeck-instrument` does it: its own sitecustomize first, then what that imports.
        plain["PYTHONPATH"] = f"{INSTRUMENTATION_FOLDER}/quarterdeck_instrumentation/bootstrap:{INSTRUMENTATION_FOLDER}"
    return [
        # First: a variable can refer only to those before it.
        from_field(POD_IP, "status.podIP"),
        from_field("NODE_NAME", "spec.nodeName"),
        from_field("POD_NAME", "metadata.name"),
        from_field("POD_UID", "metadata.uid"),
        from_field("POD_VERSION", f"metadata.labels['{APP_VERSION}']"),
        *(EnvVarArgs(name=name, value=value) for name, value in plain.items()),
    ]


def _tolerated(taint: str) -> TolerationArgs:
    return TolerationArgs(key=taint, operator="Exists", effect="NoSchedule")


def _spread(service: Service, topology: str) -> TopologySpreadConstraintArgs:
    return TopologySpreadConstraintArgs(
        topology_key=topology,
        max_skew=1,
        when_unsatisfiable="ScheduleAnyway",
        label_selector=LabelSelectorArgs(match_labels={APP_NAME: service.name}),
        # Only against pods of the same version: those about to go do not count.
        match_label_keys=["pod-template-hash"],
    )


def _drain_seconds(place: Place) -> int:
    return int(place.drain.total_seconds())
