"""What every kind of cluster comes to: the same outputs, whoever made it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pulumi

EXEC_API = "client.authentication.k8s.io/v1beta1"
"""Version of the protocol in which kubectl asks a cloud's program for a token."""

CLUSTER_TAG = "quarterdeck.dev/cluster"
"""Tag of the subnets that a cluster's nodes are in; its value is the cluster's name."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster's outputs."""

    kubeconfig: pulumi.Output[str] | None
    """Contents, a secret; None is kubectl's own. Those of a cluster that the stack made hold no credentials: they name
    the cloud's own program, which uses those of whoever runs it."""
    context: str | None
    """Context in it; None is its current one."""
    issuer: pulumi.Output[str]
    """URL of the OIDC issuer of its service accounts; empty where nobody knows it."""
    made: Sequence[pulumi.Resource] = ()
    """What must be there before anything is put into the cluster."""


def kubeconfig(name: str, *, server: str, authority: str, command: Sequence[str]) -> str:
    """Return the kubeconfig of the cluster *name*.

    Args:
        name: of the cluster, its user and its context.
        server: URL of the API server.
        authority: its certificate authority, PEM in base64.
        command: a program that answers with a token, and its arguments.
    """
    program, *arguments = command
    user = {"exec": {"apiVersion": EXEC_API, "command": program, "args": arguments, "interactiveMode": "Never"}}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": authority}}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    return json.dumps(document, sort_keys=True)


def tags(environment: str, given: Mapping[str, str]) -> dict[str, str]:
    """Return what everything in a cloud that costs is tagged with, beside what the stack's settings have *given*."""
    return {"environment": environment, "managed-by": "quarterdeck", **given}
