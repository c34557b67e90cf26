"""The pod of a server of the monitoring: restricted, its root read-only, everything it reads mounted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulumi_kubernetes.core.v1 import (
    ConfigMapProjectionArgs,
    ConfigMapVolumeSourceArgs,
    ContainerArgs,
    ContainerPortArgs,
    PodSpecArgs,
    ProjectedVolumeSourceArgs,
    ResourceRequirementsArgs,
    SecretVolumeSourceArgs,
    TopologySpreadConstraintArgs,
    VolumeArgs,
    VolumeMountArgs,
    VolumeProjectionArgs,
)
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs

from quarterdeck_contract.kubernetes import APP_NAME
from quarterdeck_stacks.components.objects import (
    POD_IP,
    from_field,
    http_probe,
    restricted_container,
    restricted_pod,
    scratch,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quarterdeck_stacks.components.server import ServerShape

DATA = "data"
"""Name of the volume with the server's data."""


@dataclass(frozen=True, slots=True)
class Mount:
    """ConfigMaps in the pod, their files in one folder."""

    volume: str
    config_maps: tuple[str, ...]
    """Their whole names, with the hashes."""
    path: str


@dataclass(frozen=True, slots=True)
class SecretMount:
    """A Secret in the pod. It is made by somebody else, never by the stack."""

    secret: str
    """Its name, and the volume's."""
    path: str
    optional: bool = False
    """Whether the pod starts without it."""


def pod(shape: ServerShape) -> PodSpecArgs:
    """Return the pod of *shape*."""
    return PodSpecArgs(
        service_account_name=shape.name,
        automount_service_account_token=shape.speaks_to_api_server,
        enable_service_links=False,
        security_context=restricted_pod(shape.user),
        termination_grace_period_seconds=shape.standing.grace_seconds,
        topology_spread_constraints=_spread(shape),
        containers=[_container(shape), *shape.sidecars],
        volumes=list(_volumes(shape)) or None,
    )


def _container(shape: ServerShape) -> ContainerArgs:
    request, limit = shape.memory
    mounts = [
        *(VolumeMountArgs(name=m.volume, mount_path=m.path, read_only=True) for m in shape.config_maps),
        *(VolumeMountArgs(name=s.secret, mount_path=s.path, read_only=True) for s in shape.secrets),
        *([VolumeMountArgs(name=DATA, mount_path=shape.data)] if shape.data else []),
        *(VolumeMountArgs(name=_scratch(number), mount_path=path) for number, path in enumerate(shape.writes)),
    ]
    probed = shape.probe_port or shape.port
    return ContainerArgs(
        name=shape.name,
        image=shape.image,
        args=list(shape.arguments) or None,  # the API server stores no empty list: a refresh would call it drift
        env=[from_field(POD_IP, "status.podIP"), *shape.environment],
        ports=[ContainerPortArgs(name="http", container_port=shape.port), *shape.ports],
        # Reading the log of a large database back takes minutes, and is no reason to start again.
        startup_probe=http_probe(shape.ready, probed, period=2, failures=300, scheme=shape.scheme),
        readiness_probe=http_probe(shape.ready, probed, period=2, failures=3, scheme=shape.scheme),
        liveness_probe=http_probe(shape.healthy, probed, period=5, failures=6, scheme=shape.scheme),
        resources=ResourceRequirementsArgs(requests={"cpu": shape.cpu, "memory": request}, limits={"memory": limit}),
        security_context=restricted_container(),
        volume_mounts=mounts or None,
    )


def _volumes(shape: ServerShape) -> Iterator[VolumeArgs]:
    for mount in shape.config_maps:
        yield _of_config_maps(mount)
    for each in shape.secrets:
        yield VolumeArgs(
            name=each.secret, secret=SecretVolumeSourceArgs(secret_name=each.secret, optional=each.optional or None)
        )
    if shape.data and not shape.standing.storage:
        yield scratch(DATA)
    for number, _ in enumerate(shape.writes):
        yield scratch(_scratch(number))


def _of_config_maps(mount: Mount) -> VolumeArgs:
    if len(mount.config_maps) == 1:
        return VolumeArgs(name=mount.volume, config_map=ConfigMapVolumeSourceArgs(name=mount.config_maps[0]))
    sources = [VolumeProjectionArgs(config_map=ConfigMapProjectionArgs(name=name)) for name in mount.config_maps]
    return VolumeArgs(name=mount.volume, projected=ProjectedVolumeSourceArgs(sources=sources))


def _scratch(number: int) -> str:
    return f"scratch-{number}"


def _spread(shape: ServerShape) -> list[TopologySpreadConstraintArgs] | None:
    if shape.standing.replicas == 1:
        return None
    # Two on one node are no pair; two in one zone are better than one alone.
    required = {"kubernetes.io/hostname": "DoNotSchedule", "topology.kubernetes.io/zone": "ScheduleAnyway"}
    return [
        TopologySpreadConstraintArgs(
            topology_key=key,
            max_skew=1,
            when_unsatisfiable=otherwise,
            label_selector=LabelSelectorArgs(match_labels={APP_NAME: shape.name}),
        )
        for key, otherwise in required.items()
    ]
