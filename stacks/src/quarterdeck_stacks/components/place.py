"""What a workload takes from its environment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from quarterdeck_contract.kubernetes import SYSTEM_NAMESPACE
from quarterdeck_stacks.reach import Peer
from quarterdeck_stacks.telemetry.places import AGENT, OTLP_HTTP_PORT, url

if TYPE_CHECKING:
    from datetime import timedelta

    from quarterdeck_stacks.settings import ServiceSettings, Settings


@dataclass(frozen=True, slots=True)
class Collector:
    """Where services send spans."""

    url: str
    """Base URL; the instrumentation appends `/v1/traces`."""
    port: int
    """Where OTLP over HTTP, which is what the instrumentation speaks, is listened for."""
    pods: Peer
    """What answers there."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a workload takes from its environment."""

    environment: str
    """OpenTelemetry's `deployment.environment.name`."""
    drain: timedelta
    """How long a stopping pod still serves."""
    loopback: bool
    """Whether pods are processes on loopback."""
    services: ServiceSettings
    """Autoscaling, and how the instrumentation gets in."""
    collector: Collector | None
    """None where nobody takes spans: then services send none."""
    foreign_prometheus: bool
    """Whether it is an operator's Prometheus that scrapes, in a namespace that the stack does not know."""
    spot: bool
    """Whether the cluster has nodes that the cloud may take back, which services may run on."""

    @classmethod
    def of(cls, settings: Settings) -> Place:
        """Return the place that *settings* describe."""
        collector = Collector(url(AGENT, OTLP_HTTP_PORT), OTLP_HTTP_PORT, Peer(SYSTEM_NAMESPACE, AGENT))
        return cls(
            environment=settings.environment,
            drain=settings.drain,
            loopback=settings.loopback is not None,
            services=settings.services,
            collector=collector if settings.monitoring.collector.enabled and settings.loopback is None else None,
            foreign_prometheus=settings.monitoring.operator,
            spot=settings.cluster.made and any(pool.spot for pool in settings.cluster.cloud.pools),
        )
