"""What objects of every component share: their labels, the restricted pod, and ConfigMaps named by content."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from pulumi_kubernetes.core.v1 import (
    CapabilitiesArgs,
    ConfigMap,
    EmptyDirVolumeSourceArgs,
    EnvVarArgs,
    EnvVarSourceArgs,
    HTTPGetActionArgs,
    ObjectFieldSelectorArgs,
    PodSecurityContextArgs,
    ProbeArgs,
    SeccompProfileArgs,
    SecurityContextArgs,
    TCPSocketActionArgs,
    VolumeArgs,
)
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from quarterdeck_contract.kubernetes import APP_NAME, MANAGED_BY
from quarterdeck_stacks.packing import pack

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pulumi

MANAGER = "quarterdeck"
"""Value of the label MANAGED_BY on everything the stack makes."""

OURS_ALONE = {"pulumi.com/patchForce": "true"}
"""On an object that nobody but the stack describes: `pulumi up` undoes what was changed by hand. Without it, a field
that another manager has changed is a conflict, and `pulumi up` says so and changes nothing: right for Deployments of
services, whose image a promoted rollout has changed, and whose replicas a runbook."""

POD_IP = "POD_IP"
"""Environment variable with the pod's own address. Everything listens there and nowhere else: in the local environment
the pods share one network, and each has one address of it."""


def metadata(
    name: str,
    namespace: str,
    *,
    app: str,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    shared: bool = False,
) -> ObjectMetaArgs:
    """Return the metadata of an object that belongs to *app*.

    Args:
        name: the whole name. Pulumi would append a random suffix to one that it makes up.
        namespace: where it is.
        app: value of the label APP_NAME.
        labels: beyond those that every object has.
        annotations: beyond those that every object has.
        shared: whether somebody other than the stack may change it, too; see OURS_ALONE.
    """
    given = {**({} if shared else OURS_ALONE), **(annotations or {})}
    return ObjectMetaArgs(
        name=name,
        namespace=namespace,
        labels={APP_NAME: app, MANAGED_BY: MANAGER, **(labels or {})},
        annotations=given or None,
    )


def cluster_metadata(name: str, *, app: str, labels: Mapping[str, str] | None = None) -> ObjectMetaArgs:
    """Return the metadata of an object that belongs to *app* and to no namespace."""
    given = {APP_NAME: app, MANAGED_BY: MANAGER, **(labels or {})}
    return ObjectMetaArgs(name=name, labels=given, annotations=OURS_ALONE)


def content_named(
    base: str, namespace: str, *, app: str, data: Mapping[str, str], opts: pulumi.ResourceOptions
) -> tuple[ConfigMap, str]:
    """Make an immutable ConfigMap whose name ends in a hash of *data*; return it and that name.

    A pod that mounts it is rolled when the content changes, because the name in its template does, and can never see
    half of a change.
    """
    digest = hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:10]
    name = f"{base}-{digest}"
    made = ConfigMap(base, metadata=metadata(name, namespace, app=app), data=data, immutable=True, opts=opts)
    return made, name


def packed(
    base: str, namespace: str, *, app: str, data: Mapping[str, str], opts: pulumi.ResourceOptions
) -> tuple[list[pulumi.Resource], tuple[str, ...]]:
    """Make as many immutable ConfigMaps, named by content, as *data* needs; return them and their names."""
    made = [
        content_named(base if number == 0 else f"{base}-{number}", namespace, app=app, data=part, opts=opts)
        for number, part in enumerate(pack(data))
    ]
    return [each for each, _ in made], tuple(name for _, name in made)


def restricted_pod(user: int) -> PodSecurityContextArgs:
    """Return a pod's security context for the PodSecurity level `restricted`, running as *user* and that group."""
    return PodSecurityContextArgs(
        run_as_non_root=True,
        run_as_user=user,
        run_as_group=user,
        fs_group=user,
        seccomp_profile=SeccompProfileArgs(type="RuntimeDefault"),
    )


def restricted_container() -> SecurityContextArgs:
    """Return a container's security context for the PodSecurity level `restricted`, its root file system read-only."""
    return SecurityContextArgs(
        allow_privilege_escalation=False,
        read_only_root_filesystem=True,
        capabilities=CapabilitiesArgs(drop=["ALL"]),
    )


def from_field(name: str, path: str) -> EnvVarArgs:
    """Return an environment variable with a field of the pod itself (`status.podIP`)."""
    return EnvVarArgs(name=name, value_from=EnvVarSourceArgs(field_ref=ObjectFieldSelectorArgs(field_path=path)))


def scratch(name: str, *, in_memory: bool = False) -> VolumeArgs:
    """Return a volume that lives as long as its pod, on the node's disk or in memory that counts as the pod's."""
    return VolumeArgs(name=name, empty_dir=EmptyDirVolumeSourceArgs(medium="Memory" if in_memory else None))


def tcp_probe(port: int, *, period: int, failures: int) -> ProbeArgs:
    """Return a probe that connects to *port* every *period* seconds and gives up after *failures* in a row."""
    return ProbeArgs(
        tcp_socket=TCPSocketActionArgs(port=port),
        period_seconds=period,
        timeout_seconds=2,
        failure_threshold=failures,
    )


def http_probe(path: str, port: int, *, period: int, failures: int, scheme: str = "HTTP") -> ProbeArgs:
    """Return a probe that asks *path* every *period* seconds and gives up after *failures* in a row."""
    return ProbeArgs(
        http_get=HTTPGetActionArgs(path=path, port=port, scheme=None if scheme == "HTTP" else scheme),
        period_seconds=period,
        timeout_seconds=2,
        failure_threshold=failures,
    )
