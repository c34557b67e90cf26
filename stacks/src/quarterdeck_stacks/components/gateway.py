"""The gateways: collectors with names and volumes, between which agents choose by a trace's id."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
from pulumi_kubernetes.core.v1 import ContainerPortArgs, EnvVarArgs

from quarterdeck_contract.kubernetes import SYSTEM_NAMESPACE
from quarterdeck_stacks import images
from quarterdeck_stacks.components.identity import account
from quarterdeck_stacks.components.objects import content_named, from_field
from quarterdeck_stacks.components.server import Mount, Server, ServerShape, Standing
from quarterdeck_stacks.telemetry.collector import QUEUE_DIRECTORY, go_memory_limit
from quarterdeck_stacks.telemetry.gateway import decision_wait
from quarterdeck_stacks.telemetry.places import (
    COLLECTOR_HEALTH_PORT,
    COLLECTOR_METRICS_PORT,
    GATEWAY,
    OTLP_GRPC_PORT,
    OTLP_HTTP_PORT,
)

if TYPE_CHECKING:
    from quarterdeck_stacks.components.namespaces import Namespaces
    from quarterdeck_stacks.settings import MonitoringSettings
    from quarterdeck_stacks.telemetry.gateway import Gateway as Configuration

CONFIG_DIRECTORY = "/etc/otelcol"
USER = 10001
"""The user of the collector's image."""
_GRACE_SECONDS = 30
"""To send what has been decided, after the longest that a trace is held."""


class Gateway(pulumi.ComponentResource):
    """The gateways, which speak to no API server."""

    def __init__(
        self,
        configuration: Configuration,
        settings: MonitoringSettings,
        *,
        namespaces: Namespaces,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("quarterdeck:gateway:Gateway", GATEWAY, None, opts)
        needs = namespaces[SYSTEM_NAMESPACE]
        child = pulumi.ResourceOptions(parent=self, depends_on=needs)
        made, name = content_named(
            f"{GATEWAY}-config",
            SYSTEM_NAMESPACE,
            app=GATEWAY,
            data={"config.yaml": configuration.to_yaml()},
            opts=child,
        )
        needs = [*needs, account(GATEWAY, opts=child), made]
        memory = settings.collector.memory
        Server(
            ServerShape(
                name=GATEWAY,
                image=images.COLLECTOR,
                port=OTLP_HTTP_PORT,
                ports=(ContainerPortArgs(name="grpc", container_port=OTLP_GRPC_PORT),),
                arguments=(f"--config={CONFIG_DIRECTORY}/config.yaml",),
                ready="/",
                healthy="/",
                probe_port=COLLECTOR_HEALTH_PORT,
                metrics_port=COLLECTOR_METRICS_PORT,
                config_maps=(Mount("config", (name,), CONFIG_DIRECTORY),),
                data=QUEUE_DIRECTORY,
                memory=(memory, memory),
                cpu="500m",
                speaks_to_api_server=False,
                address=None,
                environment=(
                    from_field("POD_NAME", "metadata.name"),
                    EnvVarArgs(name="GOMEMLIMIT", value=go_memory_limit(configuration.memory)),
                ),
                standing=Standing(
                    replicas=settings.collector.replicas,
                    named=True,
                    storage=settings.collector.queue,
                    storage_class=settings.storage_class,
                    protect=settings.protect,
                    grace_seconds=round(decision_wait(configuration.traces.slow).total_seconds()) + _GRACE_SECONDS,
                ),
                user=USER,
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=needs),
        )
        self.register_outputs({})
