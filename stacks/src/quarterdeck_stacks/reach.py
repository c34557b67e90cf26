"""Who may call a service and what it calls, as the catalogue says: what its NetworkPolicy lets through. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import UsageError
from quarterdeck_contract.kubernetes import DOMAIN

if TYPE_CHECKING:
    from quarterdeck_dashboards.catalogue import Catalogue, Service
    from quarterdeck_dashboards.catalogue.model import Dependency

PREVIEW = f"{DOMAIN}/preview"
"""Label on the namespaces of a change, `pr-N`: which one's they are."""

KIND_PORTS = {
    "http": 443,
    "grpc": 443,
    "postgresql": 5432,
    "mysql": 3306,
    "mongodb": 27017,
    "redis": 6379,
    "rabbitmq": 5672,
    "kafka": 9092,
}
"""Kind of a dependency to the port it is called on, unless the catalogue says another."""


@dataclass(frozen=True, slots=True, order=True)
class Peer:
    """Pods."""

    namespace: str
    app: str = ""
    """Value of their label APP_NAME; empty: all of the namespace."""
    label: str = ""
    """A label that namespaces have, where nobody knows their names; then `namespace` is empty."""


@dataclass(frozen=True, slots=True)
class Call:
    """One thing that a service calls."""

    port: int
    peer: Peer | None = None
    """Pods of the cluster; None: whatever answers, in the cluster or outside."""
    cidr: str | None = None
    """Addresses, where they are known."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Both directions of one service."""

    callers: tuple[Peer, ...]
    calls: tuple[Call, ...]


def reach_of(service: Service, catalogue: Catalogue) -> Reach:
    """Return who may call *service*, and what it calls.

    Its own namespace may call it, the namespaces it names, and each service that names it as a dependency.

    Raises:
        UsageError: it calls something on a port that nobody has said.
    """
    open_to = {service.namespace, *service.callers}
    dependents = {
        Peer(each.namespace, each.name)
        for each in catalogue.services
        if each.namespace not in open_to and any(d.name == service.name for d in each.dependencies)
    }
    callers = (*(Peer(namespace) for namespace in sorted(open_to)), *sorted(dependents))
    return Reach(callers, tuple(_call(service, each, catalogue) for each in service.dependencies))


def _call(service: Service, dependency: Dependency, catalogue: Catalogue) -> Call:
    target = next((each for each in catalogue.services if each.name == dependency.name), None)
    if target is not None and dependency.cidr is None:
        return Call(dependency.port or target.port, peer=Peer(target.namespace, target.name))
    port = dependency.port or KIND_PORTS.get(dependency.kind)
    if port is None:
        raise UsageError(
            f"the port on which {service.name} calls {dependency.name}, which its network policy lets through",
            f"a dependency of kind {dependency.kind} without `port`, of which the catalogue has no service",
            f"add `port` to the dependency {dependency.name} of {service.name}",
        )
    return Call(port, cidr=dependency.cidr)
