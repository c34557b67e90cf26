"""What every shape of an environment is given, and what all of them have in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pulumi
import pulumi_kubernetes

if TYPE_CHECKING:
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


def provider(environment: Environment, *, delete_unreachable: bool) -> pulumi_kubernetes.Provider:
    """Return the one provider of the environment's cluster.

    Args:
        environment: whose cluster it is.
        delete_unreachable: forget what is in a cluster that does not answer, instead of failing. Right where the
            cluster is thrown away whole.
    """
    kubeconfig = environment.kubeconfig
    return pulumi_kubernetes.Provider(
        "cluster",
        kubeconfig=None if kubeconfig is None else pulumi.Output.secret(kubeconfig),
        context=environment.settings.cluster.context or None,
        delete_unreachable=delete_unreachable,
        # The facts keep their name when they change: replaced, they would be gone for a moment.
        enable_config_map_mutable=True,
    )
