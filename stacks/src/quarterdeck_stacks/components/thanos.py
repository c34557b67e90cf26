"""Thanos: one answer for every Prometheus, what is older from the object store, and rules evaluated on both."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pulumi
from pulumi_kubernetes.core.v1 import (
    ContainerArgs,
    ContainerPortArgs,
    EnvVarArgs,
    ResourceRequirementsArgs,
    VolumeMountArgs,
)

from quarterdeck_contract.kubernetes import SYSTEM_NAMESPACE
from quarterdeck_stacks import images
from quarterdeck_stacks.components.identity import Identity, account, identity_of
from quarterdeck_stacks.components.objects import from_field, http_probe, packed, restricted_container
from quarterdeck_stacks.components.prometheus import DATA_DIRECTORY, Beside
from quarterdeck_stacks.components.server import Mount, Server, ServerShape, Standing
from quarterdeck_stacks.components.server_pod import DATA
from quarterdeck_stacks.scraping import REPLICA
from quarterdeck_stacks.settings import ALERTMANAGER_PORT, PROMETHEUS_PORT
from quarterdeck_stacks.telemetry import thanos
from quarterdeck_stacks.telemetry.places import (
    THANOS_COMPACT,
    THANOS_GRPC_PORT,
    THANOS_HTTP_PORT,
    THANOS_QUERY,
    THANOS_RULE,
    THANOS_STORE,
    host,
    url,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from quarterdeck_stacks.components.namespaces import Namespaces
    from quarterdeck_stacks.settings import MonitoringSettings

_USER = 1001
"""The user of Thanos' image."""
_REPLICAS = 2
"""Of what answers and of what evaluates: one may go."""
_GRPC = ContainerPortArgs(name="grpc", container_port=THANOS_GRPC_PORT)
_REPLICA = "POD_NAME"


@dataclass(frozen=True, slots=True)
class Rules:
    """What the rulers evaluate."""

    files: Mapping[str, str]
    """File name to text."""
    interval: timedelta
    cluster: str
    """Value of the label `cluster` on what is recorded."""


def beside_prometheus(settings: MonitoringSettings) -> Beside:
    """Return what is beside each Prometheus: a sidecar that answers for its samples and uploads its blocks."""
    identity = identity_of(settings)
    container = ContainerArgs(
        name="thanos-sidecar",
        image=images.THANOS,
        args=list(thanos.sidecar(f"http://localhost:{PROMETHEUS_PORT}", DATA_DIRECTORY)),
        env=_variables(identity),
        ports=[_GRPC, ContainerPortArgs(name="thanos-http", container_port=THANOS_HTTP_PORT)],
        readiness_probe=http_probe("/-/ready", THANOS_HTTP_PORT, period=5, failures=6),
        liveness_probe=http_probe("/-/healthy", THANOS_HTTP_PORT, period=10, failures=6),
        resources=ResourceRequirementsArgs(requests={"cpu": "50m", "memory": "128Mi"}, limits={"memory": "512Mi"}),
        security_context=restricted_container(),
        volume_mounts=[VolumeMountArgs(name=DATA, mount_path=DATA_DIRECTORY)],
    )
    return Beside(thanos.BLOCK, (container,), identity.annotations, identity.labels)


class Thanos(pulumi.ComponentResource):
    """The one that is asked, the one before the object store, the one that tidies it up, and the one with the rules."""

    def __init__(
        self,
        rules: Rules,
        settings: MonitoringSettings,
        *,
        namespaces: Namespaces,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("quarterdeck:thanos:Thanos", "thanos", None, opts)
        self._settings, self._namespaces = settings, namespaces
        self._identity = identity_of(settings)
        self._query()
        self._store()
        self._compact()
        self._rule(rules)
        self.register_outputs({"url": url(THANOS_QUERY, THANOS_HTTP_PORT)})

    def _query(self) -> None:
        names = ("prometheus", THANOS_STORE, THANOS_RULE)
        endpoints = [f"dns+{host(f'{name}-peers')}:{THANOS_GRPC_PORT}" for name in names]
        shape = _shape(THANOS_QUERY, thanos.query(endpoints, replica_label=REPLICA), ("512Mi", "2Gi"))
        self._serve(replace(shape, standing=Standing(replicas=_REPLICAS)), Identity())

    def _store(self) -> None:
        shape = _shape(THANOS_STORE, thanos.store(thanos.DATA_DIRECTORY), ("1Gi", "2Gi"))
        standing = Standing(replicas=_REPLICAS, named=True)
        self._serve(replace(shape, data=thanos.DATA_DIRECTORY, standing=standing), self._identity)

    def _compact(self) -> None:
        arguments = thanos.compact(thanos.DATA_DIRECTORY, self._settings.long_term_retention)
        shape = _shape(THANOS_COMPACT, arguments, ("512Mi", "2Gi"))
        # Never two: each would merge what the other is merging.
        standing = replace(self._standing(), replicas=1)
        self._serve(replace(shape, data=thanos.DATA_DIRECTORY, ports=(), standing=standing), self._identity)

    def _rule(self, rules: Rules) -> None:
        ruler = thanos.Ruler(
            query=url(THANOS_QUERY, THANOS_HTTP_PORT),
            alertmanagers=(f"dns+http://{host('alertmanager-peers')}:{ALERTMANAGER_PORT}",),
            rules=f"{thanos.RULES_DIRECTORY}/*.yaml",
            interval=rules.interval,
            cluster=rules.cluster,
            replica=f"$({_REPLICA})",
        )
        child = pulumi.ResourceOptions(parent=self, depends_on=self._namespaces[SYSTEM_NAMESPACE])
        made, names = packed(f"{THANOS_RULE}-rules", SYSTEM_NAMESPACE, app=THANOS_RULE, data=rules.files, opts=child)
        shape = replace(
            _shape(THANOS_RULE, ruler.arguments, ("256Mi", "1Gi")),
            data=thanos.DATA_DIRECTORY,
            config_maps=(Mount("rules", names, thanos.RULES_DIRECTORY),),
            standing=self._standing(),
        )
        self._serve(shape, self._identity, needs=made)

    def _standing(self) -> Standing:
        """Return how those are kept that have something to lose: on volumes as large as a Prometheus'."""
        settings = self._settings
        return Standing(
            replicas=_REPLICAS,
            named=True,
            storage=settings.prometheus_storage,
            storage_class=settings.storage_class,
            protect=settings.protect,
        )

    def _serve(self, shape: ServerShape, identity: Identity, needs: list[pulumi.Resource] | None = None) -> None:
        before = [*self._namespaces[SYSTEM_NAMESPACE], *(needs or [])]
        made = account(shape.name, identity=identity, opts=pulumi.ResourceOptions(parent=self, depends_on=before))
        Server(
            replace(shape, environment=tuple(_variables(identity)), labels=identity.labels),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*before, made]),
        )


def _variables(identity: Identity) -> list[EnvVarArgs]:
    return [from_field(_REPLICA, "metadata.name"), *([identity.objstore] if identity.objstore else [])]


def _shape(name: str, arguments: tuple[str, ...], memory: tuple[str, str]) -> ServerShape:
    return ServerShape(
        name=name,
        image=images.THANOS,
        port=THANOS_HTTP_PORT,
        ports=(_GRPC,),
        arguments=arguments,
        ready="/-/ready",
        healthy="/-/healthy",
        config_maps=(),
        data="",
        memory=memory,
        speaks_to_api_server=False,
        address=None,
        user=_USER,
    )
