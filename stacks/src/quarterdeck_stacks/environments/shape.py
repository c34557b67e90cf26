"""What every shape of an environment is given, and what all of them have in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pulumi
import pulumi_kubernetes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quarterdeck_dashboards.catalogue import Catalogue
    from quarterdeck_stacks.settings import Settings


@dataclass(frozen=True, slots=True)
class Environment:
    """One environment before anything is registered."""

    settings: Settings
    catalogue: Catalogue
    catalogue_text: str
    """The catalogue as deployed, with the stack's overrides in it."""
    kubeconfig: str | None = field(repr=False)
    """The kubeconfig's contents, a secret; None is kubectl's own."""


def provider(
    name: str,
    kubeconfig: pulumi.Output[str] | None,
    context: pulumi.Input[str] | None,
    *,
    identifier: pulumi.Input[str] | None = None,
    delete_unreachable: bool = False,
    after: Sequence[pulumi.Resource] = (),
) -> pulumi_kubernetes.Provider:
    """Return the provider *name* of a cluster.

    Args:
        name: in the program.
        kubeconfig: contents; None is kubectl's own.
        context: in it; None is its current one.
        identifier: by which Pulumi knows the cluster for the same, whatever else of the provider changes; None is the
            address of its API server. Where that changes, all that is in the cluster is made again.
        delete_unreachable: forget what is in a cluster that does not answer, instead of failing. Right where the
            cluster is thrown away whole.
        after: what must be there before it is asked anything.
    """
    return pulumi_kubernetes.Provider(
        name,
        kubeconfig=kubeconfig,
        context=context,
        cluster_identifier=identifier,
        delete_unreachable=delete_unreachable,
        # The facts keep their name when they change: replaced, they would be gone for a moment.
        enable_config_map_mutable=True,
        opts=pulumi.ResourceOptions(depends_on=list(after)),
    )
