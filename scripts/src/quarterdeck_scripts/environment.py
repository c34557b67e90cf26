"""From `--env` to an open environment: its cluster, and the facts the stack wrote there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from quarterdeck_contract.environment import EnvironmentFacts, configmap_of
from quarterdeck_contract.errors import UsageError
from quarterdeck_contract.kubernetes import SYSTEM_NAMESPACE
from quarterdeck_scripts import console
from quarterdeck_scripts.kube.client import ApiError, path
from quarterdeck_scripts.kube.server_time import warning
from quarterdeck_scripts.workspace import kubeconfig_of

if TYPE_CHECKING:
    from quarterdeck_dashboards.catalogue import Catalogue, Service
    from quarterdeck_scripts.kube.client import Cluster


@dataclass(frozen=True)
class Environment:
    """One environment as its operators see it."""

    name: str
    cluster: Cluster
    facts: EnvironmentFacts
    cluster_uid: str
    """UID of the namespace `kube-system`: the identity of the cluster, whatever its kubeconfig says."""

    @cached_property
    def catalogue(self) -> Catalogue:
        """The catalogue as deployed."""
        from quarterdeck_dashboards.catalogue import parse  # noqa: PLC0415 -- pydantic costs 100 ms, --help has none

        return parse(self.facts.catalogue, origin=f"ConfigMap {SYSTEM_NAMESPACE}/{configmap_of(self.name)}")

    def service(self, name: str) -> Service:
        """Return the service called *name*.

        Raises:
            UsageError: the catalogue of this environment has none.
        """
        try:
            return self.catalogue.service(name)
        except KeyError:
            known = ", ".join(sorted(service.name for service in self.catalogue.services))
            raise UsageError(
                f"a service of the environment {self.name}: {known}",
                f"{name!r}",
                "name one of these, or add it to services.yaml and deploy",
            ) from None


def open_environment(env: str, context: str | None = None) -> Environment:
    """Connect to *env* and read what its stack wrote. Says so when this machine's clock is not the cluster's.

    Raises:
        UsageError: there is no such environment, or no stack has been deployed to it.
        UnreachableError: the API server does not answer.
    """
    from quarterdeck_scripts.adapters.kubernetes import connect  # noqa: PLC0415 -- the client costs 260 ms

    kubeconfig = kubeconfig_of(env)
    cluster: Cluster
    if context is None and kubeconfig.exists():
        from quarterdeck_scripts.local.guard import GuardedCluster  # noqa: PLC0415 -- only where it is local

        cluster = GuardedCluster(connect(kubeconfig=kubeconfig), kubeconfig.parent)
    elif context is None and env == "local":
        raise UsageError(
            f"a running local environment ({kubeconfig})",
            "none in this folder",
            "start one with `quarterdeck local up`, or name another with --env",
        )
    else:
        cluster = connect(context=context or f"quarterdeck-{env}")
    environment = read_environment(env, cluster)
    difference = warning(cluster.skew)
    if difference:
        console.say(difference)
    return environment


def read_environment(env: str, cluster: Cluster) -> Environment:
    """Read *env*'s facts from *cluster*.

    Raises:
        UsageError: no stack has been deployed there.
    """
    name = configmap_of(env)
    try:
        data = cluster.request("GET", path("ConfigMap", SYSTEM_NAMESPACE, name)).get("data", {})
    except ApiError as error:
        if error.status != 404:  # noqa: PLR2004 -- HTTP's own number
            raise
        raise UsageError(
            f"the ConfigMap {SYSTEM_NAMESPACE}/{name} in the cluster {cluster.server}",
            "none",
            f"deploy the stack: `pulumi up --stack {env}`",
        ) from error
    uid = cluster.request("GET", path("Namespace", name="kube-system"))["metadata"]["uid"]
    return Environment(env, cluster, EnvironmentFacts.from_data(data), uid)
