"""A cluster that is there already: told by a kubeconfig and a context, never changed by the stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi

from quarterdeck_stacks.clusters.cluster import Cluster

if TYPE_CHECKING:
    from quarterdeck_stacks.settings import ClusterSettings


def make(settings: ClusterSettings, *, contents: str | None) -> Cluster:
    """Return the cluster that *settings* name.

    Args:
        settings: context and issuer.
        contents: of the kubeconfig; None is kubectl's own.
    """
    return Cluster(
        kubeconfig=None if contents is None else pulumi.Output.secret(contents),
        context=settings.context or None,
        issuer=pulumi.Output.from_input(settings.issuer),
    )
