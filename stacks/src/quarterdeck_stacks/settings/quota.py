"""What the services of one namespace may ask for together."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from math import ceil
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import UsageError
from quarterdeck_dashboards.quantity import parse_quantity
from quarterdeck_stacks.scaling import SURGE_PERCENT, autoscaling_of
from quarterdeck_stacks.settings.keys import key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quarterdeck_dashboards.catalogue import Catalogue, Service
    from quarterdeck_stacks.settings.services import ServiceSettings


def _quantity(value: str) -> str:
    if value:
        parse_quantity(value)
    return value


@dataclass(frozen=True, slots=True)
class QuotaSettings:
    """What pods of one namespace of services may request in sum; what is empty has no bound."""

    cpu: str = key("quotaCpu", _quantity)
    """Processors: `8`, `500m`."""
    memory: str = key("quotaMemory", _quantity)
    """Memory: `16Gi`."""

    @property
    def hard(self) -> dict[str, str]:
        """As a ResourceQuota says it."""
        given = {"requests.cpu": self.cpu, "requests.memory": self.memory}
        return {name: value for name, value in given.items() if value}


def too_small(quota: QuotaSettings, catalogue: Catalogue, scaling: ServiceSettings) -> Iterator[UsageError]:
    """Yield what is wrong with *quota*: the pods of *catalogue*'s services do not fit in it while they are updated."""
    asked = {"quotaCpu": (quota.cpu, _cpu), "quotaMemory": (quota.memory, _memory)}
    for namespace in sorted({service.namespace for service in catalogue.services}):
        services = [service for service in catalogue.services if service.namespace == namespace]
        for name, (given, of) in asked.items():
            needed = sum((of(service) * _pods(service, scaling) for service in services), Decimal(0))
            if given and parse_quantity(given) < needed:
                room = f"{needed.normalize():f}"
                yield UsageError(
                    f"{name} for the most pods of the namespace {namespace} and those that an update adds: {room}",
                    given,
                    f"`pulumi config set {name} …`, or fewer replicas or max_replicas",
                )


def _pods(service: Service, scaling: ServiceSettings) -> int:
    """Return the most pods that *service* has: as many as its autoscaler may want, and what an update adds to them."""
    bounds = autoscaling_of(service, scaling)
    most = bounds.most if bounds else service.replicas
    return most + ceil(most * SURGE_PERCENT / 100)


def _cpu(service: Service) -> Decimal:
    return parse_quantity(service.resources.cpu)


def _memory(service: Service) -> Decimal:
    return parse_quantity(service.resources.memory)
