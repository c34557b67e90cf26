"""Alertmanager: one, or several that tell each other what has been sent, with the catalogue's routes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
from pulumi_kubernetes.core.v1 import ContainerPortArgs, ServiceAccount

from quarterdeck_contract.kubernetes import SYSTEM_NAMESPACE
from quarterdeck_stacks.components.objects import POD_IP, content_named, metadata
from quarterdeck_stacks.components.server import Mount, SecretMount, Server, ServerShape, Standing, peers_of
from quarterdeck_stacks.settings import ALERTMANAGER_PORT
from quarterdeck_stacks.watch import GOSSIP_PORT, WEBHOOKS_DIRECTORY, WEBHOOKS_SECRET

if TYPE_CHECKING:
    from quarterdeck_stacks.components.namespaces import Namespaces

NAME = "alertmanager"
CONFIG_DIRECTORY = "/etc/alertmanager"
DATA_DIRECTORY = "/alertmanager"


class Alertmanager(pulumi.ComponentResource):
    """Alertmanager with the configuration *config*, the text of alertmanager.yml.

    Args:
        config: the text.
        image: with its tag.
        url: where the operator's commands reach it.
        address: the loopback address it asks for; None where pods have a network of their own.
        standing: how many there are, and on what. With one that has no name there is no gossip.
        has_secret_webhooks: whether *config* names files in WEBHOOKS_DIRECTORY.
        namespaces: its own is among them.
        opts: of the component.
    """

    def __init__(
        self,
        config: str,
        *,
        image: str,
        url: str,
        address: str | None,
        namespaces: Namespaces,
        standing: Standing | None = None,
        has_secret_webhooks: bool = False,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("quarterdeck:alertmanager:Alertmanager", NAME, None, opts)
        child = pulumi.ResourceOptions(parent=self, depends_on=namespaces[SYSTEM_NAMESPACE])
        standing = standing or Standing()
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
            ServerShape(
                name=NAME,
                image=image,
                port=ALERTMANAGER_PORT,
                arguments=_arguments(url, address, standing),
                ready="/-/ready",
                healthy="/-/healthy",
                config_maps=(Mount("config", (config_map,), CONFIG_DIRECTORY),),
                data=DATA_DIRECTORY,
                memory=("64Mi", "256Mi"),
                speaks_to_api_server=False,
                address=address,
                standing=standing,
                ports=_gossip() if standing.named else (),
                secrets=(SecretMount(WEBHOOKS_SECRET, WEBHOOKS_DIRECTORY),) if has_secret_webhooks else (),
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*namespaces[SYSTEM_NAMESPACE], account, made]),
        )
        self.register_outputs({"url": url})


def _arguments(url: str, address: str | None, standing: Standing) -> tuple[str, ...]:
    # See Prometheus: on loopback the pods share one network.
    listens = f"$({POD_IP}):{ALERTMANAGER_PORT}" if address else f":{ALERTMANAGER_PORT}"
    return (
        f"--config.file={CONFIG_DIRECTORY}/alertmanager.yml",
        f"--storage.path={DATA_DIRECTORY}",
        f"--web.listen-address={listens}",
        f"--web.external-url={url}",
        *(_cluster(standing) if standing.named else _ALONE),
    )


_ALONE = ("--cluster.listen-address=",)
"""Empty: no gossip with others, and no port for it."""


def _cluster(standing: Standing) -> tuple[str, ...]:
    return (
        f"--cluster.listen-address=:{GOSSIP_PORT}",
        f"--cluster.advertise-address=$({POD_IP}):{GOSSIP_PORT}",
        # A pod that comes back has another address under the same name: it is looked up again for so long.
        "--cluster.reconnect-timeout=5m",
        *(f"--cluster.peer={peer}" for peer in peers_of(NAME, standing.replicas, GOSSIP_PORT)),
    )


def _gossip() -> tuple[ContainerPortArgs, ...]:
    return (
        ContainerPortArgs(name="gossip", container_port=GOSSIP_PORT),
        ContainerPortArgs(name="gossip-udp", container_port=GOSSIP_PORT, protocol="UDP"),
    )
