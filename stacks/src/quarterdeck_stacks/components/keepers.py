"""Tempo and Loki: where traces and logs are kept. One process each; what is sent waits where it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
from pulumi_kubernetes.core.v1 import ContainerPortArgs

from quarterdeck_contract.kubernetes import SYSTEM_NAMESPACE
from quarterdeck_stacks import images
from quarterdeck_stacks.components.identity import account, identity_of
from quarterdeck_stacks.components.objects import content_named
from quarterdeck_stacks.components.server import Mount, Server, ServerShape, Standing
from quarterdeck_stacks.telemetry import loki, tempo
from quarterdeck_stacks.telemetry.places import LOKI, LOKI_PORT, OTLP_HTTP_PORT, TEMPO, TEMPO_PORT

if TYPE_CHECKING:
    from quarterdeck_stacks.components.namespaces import Namespaces
    from quarterdeck_stacks.settings import MonitoringSettings

USER = 10001
"""The user of both images."""
_MEMORY = ("1Gi", "2Gi")
"""Request and limit: recent chunks and blocks, and one large question."""


@dataclass(frozen=True, slots=True)
class _Keeper:
    """What differs between the two."""

    name: str
    image: str
    port: int
    file: str
    """Its configuration's name, in a folder below /etc that has the program's own."""
    data: str
    """Where it writes."""
    storage: str
    """Size of its volume; empty is the node's disk."""
    ports: tuple[ContainerPortArgs, ...] = ()
    """Beyond `port`."""


class Tempo(pulumi.ComponentResource):
    """Tempo: takes kept traces by OTLP, answers Grafana."""

    def __init__(
        self,
        configuration: tempo.Tempo,
        settings: MonitoringSettings,
        *,
        namespaces: Namespaces,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("quarterdeck:keepers:Tempo", TEMPO, None, opts)
        otlp = ContainerPortArgs(name="otlp-http", container_port=OTLP_HTTP_PORT)
        storage = settings.traces.storage
        keeper = _Keeper(TEMPO, images.TEMPO, TEMPO_PORT, "tempo.yaml", tempo.DATA_DIRECTORY, storage, (otlp,))
        _keep(self, keeper, configuration.to_yaml(), settings, namespaces)


class Loki(pulumi.ComponentResource):
    """Loki: takes lines by OTLP, answers Grafana."""

    def __init__(
        self,
        configuration: loki.Loki,
        settings: MonitoringSettings,
        *,
        namespaces: Namespaces,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("quarterdeck:keepers:Loki", LOKI, None, opts)
        keeper = _Keeper(LOKI, images.LOKI, LOKI_PORT, "loki.yaml", loki.DATA_DIRECTORY, settings.logs.storage)
        _keep(self, keeper, configuration.to_yaml(), settings, namespaces)


def _keep(
    parent: pulumi.ComponentResource,
    keeper: _Keeper,
    configuration: str,
    settings: MonitoringSettings,
    namespaces: Namespaces,
) -> None:
    identity = identity_of(settings)
    needs = namespaces[SYSTEM_NAMESPACE]
    child = pulumi.ResourceOptions(parent=parent, depends_on=needs)
    made, config_map = content_named(
        f"{keeper.name}-config", SYSTEM_NAMESPACE, app=keeper.name, data={keeper.file: configuration}, opts=child
    )
    folder = f"/etc/{keeper.name}"
    shape = ServerShape(
        name=keeper.name,
        image=keeper.image,
        port=keeper.port,
        ports=keeper.ports,
        arguments=("-target=all", f"-config.file={folder}/{keeper.file}", "-config.expand-env=true"),
        ready="/ready",
        healthy="/ready",
        config_maps=(Mount("config", (config_map,), folder),),
        data=keeper.data,
        memory=_MEMORY,
        speaks_to_api_server=False,
        address=None,
        environment=identity.credentials,
        secrets=identity.files,
        labels=identity.labels,
        standing=_standing(settings, keeper.storage),
        user=USER,
    )
    needed = [*needs, account(keeper.name, identity=identity, opts=child), made]
    Server(shape, opts=pulumi.ResourceOptions(parent=parent, depends_on=needed))
    parent.register_outputs({})


def _standing(settings: MonitoringSettings, storage: str) -> Standing:
    return Standing(
        named=True,
        storage=storage,
        storage_class=settings.storage_class,
        protect=settings.protect,
        # What is in memory is written to where it is kept.
        grace_seconds=300,
    )
