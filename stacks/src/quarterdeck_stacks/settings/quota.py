"""What the services of one namespace may ask for together."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from quarterdeck_contract.errors import UsageError
from quarterdeck_dashboards.quantity import parse_quantity
from quarterdeck_stacks.settings.keys import key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quarterdeck_dashboards.catalogue import Catalogue, Service


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


def too_small(quota: QuotaSettings, catalogue: Catalogue) -> Iterator[UsageError]:
    """Yield what is wrong with *quota*: the pods that *catalogue* asks for, and one more of each service, do not fit.

    One more, because a rollout's canary and a rolling update have it for a while.
    """
    asked = {"quotaCpu": (quota.cpu, _cpu), "quotaMemory": (quota.memory, _memory)}
    for namespace in sorted({service.namespace for service in catalogue.services}):
        services = [service for service in catalogue.services if service.namespace == namespace]
        for name, (given, of) in asked.items():
            needed = sum((of(service) * (service.replicas + 1) for service in services), Decimal(0))
            if given and parse_quantity(given) < needed:
                room = f"{needed.normalize():f}"
                yield UsageError(
                    f"{name} for the pods of the namespace {namespace} and one more of each service: {room}",
                    given,
                    f"`pulumi config set {name} …`, or fewer replicas",
                )


def _cpu(service: Service) -> Decimal:
    return parse_quantity(service.resources.cpu)


def _memory(service: Service) -> Decimal:
    return parse_quantity(service.resources.memory)
