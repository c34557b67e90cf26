"""Alertmanager: one, with the routes that the catalogue's owners and tiers ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
from pulumi_kubernetes.core.v1 import ServiceAccount

from quarterdeck_contract.kubernetes import SYSTEM_NAMESPACE
from quarterdeck_stacks.components.objects import POD_IP, content_named, metadata
from quarterdeck_stacks.components.server import Mount, Server, ServerShape
from quarterdeck_stacks.settings import ALERTMANAGER_PORT

if TYPE_CHECKING:
    from quarterdeck_stacks.components.namespaces import Namespaces

NAME = "alertmanager"
IMAGE = "quay.io/prometheus/alertmanager:v0.28.1"
CONFIG_DIRECTORY = "/etc/alertmanager"
DATA_DIRECTORY = "/alertmanager"


class Alertmanager(pulumi.ComponentResource):
    """One Alertmanager with the configuration *config*, the text of alertmanager.yml."""

    def __init__(
        self,
        config: str,
        *,
        url: str,
        address: str | None,
        namespaces: Namespaces,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("quarterdeck:alertmanager:Alertmanager", NAME, None, opts)
        child = pulumi.ResourceOptions(parent=self, depends_on=[namespaces[SYSTEM_NAMESPACE]])
        account = ServiceAccount(
            NAME,
            metadata=metadata(NAME, SYSTEM_NAMESPACE, app=NAME),
            automount_service_account_token=False,
            opts=child,
        )
        made, config_map = content_named(
            f"{NAME}-config", SYSTEM_NAMESPACE, app=NAME, data={"alertmanager.yml": config}, opts=child
        )
        Server(
            _shape(config_map, url, address),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[namespaces[SYSTEM_NAMESPACE], account, made]),
        )
        self.register_outputs({"url": url})


def _shape(config_map: str, url: str, address: str | None) -> ServerShape:
    return ServerShape(
        name=NAME,
        image=IMAGE,
        port=ALERTMANAGER_PORT,
        arguments=(
            f"--config.file={CONFIG_DIRECTORY}/alertmanager.yml",
            f"--storage.path={DATA_DIRECTORY}",
            f"--web.listen-address=$({POD_IP}):{ALERTMANAGER_PORT}",
            f"--web.external-url={url}",
            # Empty: no gossip with others, and no port for it.
            "--cluster.listen-address=",
        ),
        ready="/-/ready",
        healthy="/-/healthy",
        config_maps=(Mount("config", config_map, CONFIG_DIRECTORY),),
        data=DATA_DIRECTORY,
        memory=("64Mi", "256Mi"),
        speaks_to_api_server=False,
        address=address,
    )
