"""Tempo and Loki: where traces and logs are kept. One process each; what is sent waits where it comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
from pulumi_kubernetes.core.v1 import ContainerPortArgs

from quarterdeck_contract.kubernetes import SYSTEM_NAMESPACE
from quarterdeck_stacks import images
from quarterdeck_stacks.components.identity import Identity, account, identity_of
from quarterdeck_stacks.components.objects import content_named
from quarterdeck_stacks.components.server import Mount, Server, ServerShape, Standing
from quarterdeck_stacks.telemetry import loki, tempo
from quarterdeck_stacks.telemetry.places import LOKI, LOKI_PORT, OTLP_HTTP_PORT, TEMPO, TEMPO_PORT

if TYPE_CHECKING:
    from collections.abc import Callable

    from quarterdeck_stacks.components.namespaces import Namespaces
    from quarterdeck_stacks.settings import MonitoringSettings

USER = 10001
"""The user of both images."""
_MEMORY = ("1Gi", "2Gi")
"""Request and limit: recent chunks and blocks, and one large question."""


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
        identity = identity_of(settings)

        def shape(config_map: str) -> ServerShape:
            return ServerShape(
                name=TEMPO,
                image=images.TEMPO,
                port=TEMPO_PORT,
                ports=(ContainerPortArgs(name="otlp-http", container_port=OTLP_HTTP_PORT),),
                arguments=("-target=all", "-config.file=/etc/tempo/tempo.yaml", "-config.expand-env=true"),
                ready="/ready",
                healthy="/ready",
                config_maps=(Mount("config", (config_map,), "/etc/tempo"),),
                data=tempo.DATA_DIRECTORY,
                memory=_MEMORY,
                speaks_to_api_server=False,
                address=None,
                environment=identity.credentials,
                labels=identity.labels,
                standing=_standing(settings, settings.traces.storage),
                user=USER,
            )

        _keep(self, {"tempo.yaml": configuration.to_yaml()}, shape, identity, namespaces)


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
        identity = identity_of(settings)

        def shape(config_map: str) -> ServerShape:
            return ServerShape(
                name=LOKI,
                image=images.LOKI,
                port=LOKI_PORT,
                arguments=("-target=all", "-config.file=/etc/loki/loki.yaml", "-config.expand-env=true"),
                ready="/ready",
                healthy="/ready",
                config_maps=(Mount("config", (config_map,), "/etc/loki"),),
                data=loki.DATA_DIRECTORY,
                memory=_MEMORY,
                speaks_to_api_server=False,
                address=None,
                environment=identity.credentials,
                labels=identity.labels,
                standing=_standing(settings, settings.logs.storage),
                user=USER,
            )

        _keep(self, {"loki.yaml": configuration.to_yaml()}, shape, identity, namespaces)


def _standing(settings: MonitoringSettings, storage: str) -> Standing:
    return Standing(
        named=True,
        storage=storage,
        storage_class=settings.storage_class,
        protect=settings.protect,
        # What is in memory is written to where it is kept.
        grace_seconds=300,
    )


def _keep(
    parent: pulumi.ComponentResource,
    files: dict[str, str],
    shape: Callable[[str], ServerShape],
    identity: Identity,
    namespaces: Namespaces,
) -> None:
    needs = [namespaces[SYSTEM_NAMESPACE]]
    child = pulumi.ResourceOptions(parent=parent, depends_on=needs)
    name = shape("").name
    made, config_map = content_named(f"{name}-config", SYSTEM_NAMESPACE, app=name, data=files, opts=child)
    needs += [account(name, identity=identity, opts=child), made]
    Server(shape(config_map), opts=pulumi.ResourceOptions(parent=parent, depends_on=needs))
    parent.register_outputs({})
