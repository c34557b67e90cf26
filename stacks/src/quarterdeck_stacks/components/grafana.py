"""Grafana: the catalogue's dashboards and what they ask, provisioned; nothing in it that a restart could lose."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
import yaml
from pulumi_kubernetes.core.v1 import (
    EnvVarArgs,
    EnvVarSourceArgs,
    Secret,
    SecretKeySelectorArgs,
    ServiceAccount,
)

from quarterdeck_contract.kubernetes import SYSTEM_NAMESPACE
from quarterdeck_dashboards.uid import uid_of
from quarterdeck_stacks import images
from quarterdeck_stacks.components.objects import content_named, metadata, packed
from quarterdeck_stacks.components.server import Mount, Server, ServerShape
from quarterdeck_stacks.settings import GRAFANA_PORT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quarterdeck_stacks.components.namespaces import Namespaces

NAME = "grafana"
ADMIN_SECRET = "grafana-admin"  # noqa: S105 -- a Secret's name
"""Its key `password` is the administrator's. It is made by the stack from a Pulumi secret, or by somebody else."""
_USER = 472
"""The user of Grafana's image."""
_PROVISIONING = "/etc/grafana/provisioning"
_DASHBOARDS = "/var/lib/quarterdeck/dashboards"
_SETTINGS = {
    # It says nothing to anybody outside, and asks nobody for plugins: it may not connect to them anyway.
    "GF_ANALYTICS_REPORTING_ENABLED": "false",
    "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
    "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
    "GF_PLUGINS_PREINSTALL_DISABLED": "true",
    "GF_NEWS_NEWS_FEED_ENABLED": "false",
    "GF_USERS_ALLOW_SIGN_UP": "false",
    "GF_LOG_MODE": "console",
    "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH": f"{_DASHBOARDS}/{uid_of('on-call')}.json",
}


class Grafana(pulumi.ComponentResource):
    """Grafana with *dashboards* (file name to text), each in a browser read-only: its source is the catalogue.

    Its own database is in the pod: users, stars and what somebody drew by hand go with it. What is to stay is described
    in the repository, or kept by Grafana elsewhere.

    Args:
        dashboards: file name to JSON.
        datasources: the text of a provisioning file; it names `$PROMETHEUS_URL` and others.
        addresses: the values of those variables.
        root_url: where people reach it; empty is its Service.
        password: the administrator's, from a Pulumi secret; empty is the Secret that somebody else makes.
        namespaces: its own is among them.
        opts: of the component.
    """

    def __init__(
        self,
        dashboards: Mapping[str, str],
        *,
        datasources: str,
        addresses: Mapping[str, str],
        root_url: str,
        password: str,
        namespaces: Namespaces,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("quarterdeck:grafana:Grafana", NAME, None, opts)
        child = pulumi.ResourceOptions(parent=self, depends_on=namespaces[SYSTEM_NAMESPACE])
        account = ServiceAccount(
            NAME,
            metadata=metadata(NAME, SYSTEM_NAMESPACE, app=NAME),
            automount_service_account_token=False,
            opts=child,
        )
        needs: list[pulumi.Resource] = [account]
        if password:
            needs.append(
                Secret(
                    ADMIN_SECRET,
                    metadata=metadata(ADMIN_SECRET, SYSTEM_NAMESPACE, app=NAME),
                    string_data={"password": pulumi.Output.secret(password)},
                    opts=child,
                )
            )
        mounts: list[Mount] = []
        for volume, files, path in (
            ("provider", {"quarterdeck.yaml": provider()}, f"{_PROVISIONING}/dashboards"),
            ("datasources", {"quarterdeck.yaml": datasources}, f"{_PROVISIONING}/datasources"),
        ):
            made, name = content_named(f"{NAME}-{volume}", SYSTEM_NAMESPACE, app=NAME, data=files, opts=child)
            needs.append(made)
            mounts.append(Mount(volume, (name,), path))
        parts, names = packed(f"{NAME}-dashboards", SYSTEM_NAMESPACE, app=NAME, data=dashboards, opts=child)
        Server(
            ServerShape(
                name=NAME,
                image=images.GRAFANA,
                port=GRAFANA_PORT,
                arguments=(),
                ready="/api/health",
                healthy="/api/health",
                config_maps=(*mounts, Mount("dashboards", names, _DASHBOARDS)),
                data="/var/lib/grafana",
                memory=("256Mi", "512Mi"),
                speaks_to_api_server=False,
                address=None,
                environment=_environment(addresses, root_url),
                writes=("/tmp",),  # noqa: S108 -- the pod's own volume
                user=_USER,
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*namespaces[SYSTEM_NAMESPACE], *needs, *parts]),
        )
        self.register_outputs({"url": root_url})


def provider() -> str:
    """Return the provisioning file that names the folder of dashboards."""
    found = {
        "name": "quarterdeck",
        "folder": "Quarterdeck",
        "type": "file",
        # What is saved in the browser would be gone with the next change of the catalogue.
        "allowUiUpdates": False,
        "disableDeletion": True,
        "options": {"path": _DASHBOARDS},
    }
    return yaml.safe_dump({"apiVersion": 1, "providers": [found]}, sort_keys=False)


def _environment(addresses: Mapping[str, str], root_url: str) -> tuple[EnvVarArgs, ...]:
    plain = {**_SETTINGS, **addresses, **({"GF_SERVER_ROOT_URL": root_url} if root_url else {})}
    password = SecretKeySelectorArgs(name=ADMIN_SECRET, key="password")
    return (
        *(EnvVarArgs(name=name, value=value) for name, value in plain.items()),
        EnvVarArgs(name="GF_SECURITY_ADMIN_PASSWORD", value_from=EnvVarSourceArgs(secret_key_ref=password)),
    )
