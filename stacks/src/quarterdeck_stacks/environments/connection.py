"""How the program reaches its cluster: made or found, asked who it is, and only then written to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi

from quarterdeck_stacks.clusters import existing
from quarterdeck_stacks.clusters.extras import load
from quarterdeck_stacks.clusters.identity import checked, observed
from quarterdeck_stacks.environments.shape import provider
from quarterdeck_stacks.settings import ClusterKind

if TYPE_CHECKING:
    import pulumi_kubernetes

    from quarterdeck_stacks.clusters.cluster import Cluster
    from quarterdeck_stacks.environments.shape import Environment


@dataclass(frozen=True, slots=True)
class Connection:
    """What an environment's components need of its cluster."""

    opts: pulumi.ResourceOptions
    """With the one provider that everything in the cluster is written by."""
    uid: pulumi.Output[str]
    """The cluster's UID; in a rendering, the one that the settings expect."""
    kubeconfig: pulumi.Output[str] | None
    """Of a cluster that the stack made: for whoever works with it."""
    issuer: pulumi.Output[str]
    """URL of the OIDC issuer; empty where nobody knows it."""


def connect(environment: Environment, *, disposable: bool) -> Connection:
    """Make or find the environment's cluster, and return the way into it.

    Args:
        environment: whose cluster it is.
        disposable: whether the cluster may be thrown away whole: then it is made without protection, and what is in
            one that does not answer is forgotten instead of waited for.

    Raises:
        UsageError: the extra that makes such a cluster is not installed.
    """
    settings = environment.settings.cluster
    if settings.made:
        module = load(settings.kind)
        cluster: Cluster = module.make(environment.settings.environment, settings, protect=not disposable)
    else:
        cluster = existing.make(settings, contents=environment.kubeconfig)
    if settings.rendering:
        written = provider("cluster", None, None, delete_unreachable=disposable)
        uid = pulumi.Output.from_input(settings.uid)
    else:
        asking = provider("identity", cluster.kubeconfig, cluster.context, after=cluster.made)
        uid = checked(observed(asking), settings.uid)
        # The expected one where there is one: a preview knows it, even when it does not know the cluster's way in.
        identifier = settings.uid or uid
        written = _checked_provider(cluster, uid, identifier=identifier, delete_unreachable=disposable)
    opts = pulumi.ResourceOptions(provider=written)
    if settings.kind is ClusterKind.EKS:
        _inside(environment, opts)
    return Connection(opts, uid, cluster.kubeconfig if settings.made else None, cluster.issuer)


def _checked_provider(
    cluster: Cluster, uid: pulumi.Output[str], *, identifier: pulumi.Input[str], delete_unreachable: bool
) -> pulumi_kubernetes.Provider:
    """Return a provider whose inputs are known once *uid* is: so nothing is registered in a cluster not meant."""
    given = cluster.kubeconfig
    known = None if given is None else _after(uid, given)
    context = None if cluster.context is None else _after(uid, pulumi.Output.from_input(cluster.context))
    return provider(
        "cluster", known, context, identifier=identifier, delete_unreachable=delete_unreachable, after=cluster.made
    )


def _after(uid: pulumi.Output[str], value: pulumi.Output[str]) -> pulumi.Output[str]:
    """Return *value*, known and secret as it is, once *uid* is known."""
    waiting: pulumi.Output[str] = pulumi.Output.all(value, uid).apply(lambda both: str(both[0]))
    return waiting


def _inside(environment: Environment, opts: pulumi.ResourceOptions) -> None:
    from quarterdeck_stacks.clusters.eks_inside import Inside  # noqa: PLC0415 -- another cloud's stack needs none of it

    name = environment.settings.environment
    Inside(f"quarterdeck-{name}", name, environment.settings.cluster.cloud, opts=opts)
