"""How many pods a service has, and between which bounds an autoscaler moves that number. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from quarterdeck_dashboards.catalogue import Service
    from quarterdeck_stacks.settings import ServiceSettings

SURGE_PERCENT = 25
"""Of its replicas, rounded up, that a service has more of while it is updated: none of the old ones goes before."""


@dataclass(frozen=True, slots=True)
class Autoscaling:
    """What a HorizontalPodAutoscaler is told."""

    fewest: int
    most: int
    cpu_percent: int
    """Of the requested processor time, averaged over the pods."""


def autoscaling_of(service: Service, settings: ServiceSettings) -> Autoscaling | None:
    """Return the bounds of *service*; None where its pods are as many as the catalogue says.

    Without a bound of its own, a single replica stays single: the catalogue may know why.
    """
    most = service.max_replicas
    if most is None:
        most = service.replicas * settings.max_factor if service.replicas > 1 else service.replicas
    if not settings.autoscale or most <= service.replicas:
        return None
    return Autoscaling(service.replicas, most, settings.cpu_target)
