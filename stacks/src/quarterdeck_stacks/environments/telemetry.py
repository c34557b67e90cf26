"""What telemetry passes through and is kept in beyond Prometheus, in dev, staging and prod: by their settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quarterdeck_stacks.components.gateway import Gateway
from quarterdeck_stacks.components.keepers import Loki, Tempo
from quarterdeck_stacks.components.node_collectors import Agent, LogReader
from quarterdeck_stacks.telemetry.topology import agent_of, gateway_of, log_reader_of, loki_of, tempo_of

if TYPE_CHECKING:
    import pulumi

    from quarterdeck_stacks.components.namespaces import Namespaces
    from quarterdeck_stacks.settings import Settings


def telemetry(settings: Settings, namespaces: Namespaces, opts: pulumi.ResourceOptions) -> None:
    """Register collectors, Tempo and Loki."""
    chosen = settings.monitoring
    if chosen.traces.enabled:
        Tempo(tempo_of(settings), chosen, namespaces=namespaces, opts=opts)
    if chosen.logs.enabled:
        Loki(loki_of(settings), chosen, namespaces=namespaces, opts=opts)
        LogReader(log_reader_of(), namespaces=namespaces, opts=opts)
    if chosen.collector.enabled:
        Gateway(gateway_of(settings), chosen, namespaces=namespaces, opts=opts)
        Agent(agent_of(settings), namespaces=namespaces, opts=opts)
