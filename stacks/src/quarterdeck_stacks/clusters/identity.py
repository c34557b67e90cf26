"""Which cluster it is that a kubeconfig points to: the one whose namespace kube-system has this UID."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
from pulumi_kubernetes.core.v1 import Namespace

from quarterdeck_contract.errors import RefusedError

if TYPE_CHECKING:
    import pulumi_kubernetes

_EVERYWHERE = "kube-system"
"""A namespace that every cluster has from its first moment and keeps until its end."""


def observed(provider: pulumi_kubernetes.Provider) -> pulumi.Output[str]:
    """Return the UID of the cluster behind *provider*, which is asked."""
    namespace = Namespace.get("identity", _EVERYWHERE, opts=pulumi.ResourceOptions(provider=provider))
    return pulumi.Output.from_input(namespace.metadata).apply(lambda metadata: str(metadata["uid"]))


def checked(uid: pulumi.Output[str], expected: str) -> pulumi.Output[str]:
    """Return *uid* once it is the *expected* one; empty expects nothing.

    Whatever is put into the cluster must wait for this output: then nothing is registered in the wrong one.
    """
    return uid.apply(lambda found: _compared(found, expected))


def _compared(found: str, expected: str) -> str:
    if expected and found != expected:
        refused = RefusedError(
            f"the cluster whose namespace kube-system has the UID {expected}",
            f"one with {found}",
            "correct the stack's kubeconfig or context; if the cluster was made anew, `pulumi config set clusterUid …`",
        )
        # Pulumi shows this error's text alone, and any other's traceback.
        raise pulumi.RunError(str(refused)) from refused
    return found
